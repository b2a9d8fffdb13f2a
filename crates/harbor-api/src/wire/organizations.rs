//! Organizations, members, roles and invitations on the wire (contract, control-plane §9.3, §9.4).

use std::collections::BTreeMap;

use harbor_control::{Member, Usage};
use harbor_model::Timestamp;
use harbor_model::identity::Permission;
use harbor_model::ids::OrganizationId;
use harbor_model::organizations::MemberRole;
use harbor_model::resources::Resources;
use serde::Serialize;
use utoipa::ToSchema;

use super::iso;

/// What is said where there is no quota: clients need a number.
const NO_QUOTA: u32 = 999_999;

/// What an organization takes, and what there is.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct OrganizationUsageOverview {
    region_usage: [RegionUsageOverview; 1],
    total_snapshot_quota: u32,
    current_snapshot_usage: usize,
    total_volume_quota: u32,
    current_volume_usage: usize,
}

/// The same of one region and class: totals are what all sandboxes together may be promised. Both generations' names of the maxima are
/// there.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct RegionUsageOverview {
    region_id: String,
    sandbox_class: &'static str,
    total_cpu_quota: u32,
    current_cpu_usage: u32,
    /// GiB.
    total_memory_quota: u32,
    /// GiB.
    current_memory_usage: u32,
    /// GiB.
    total_disk_quota: u32,
    /// GiB.
    current_disk_usage: u32,
    total_gpu_quota: u32,
    current_gpu_usage: u32,
    #[serde(flatten)]
    maxima: BTreeMap<&'static str, Option<u32>>,
}

impl OrganizationUsageOverview {
    /// `usage` of `total`, of which one sandbox may have up to `limits`.
    pub(crate) fn of(usage: Usage, region: &str, total: Resources, limits: Resources) -> Self {
        let gpu_maxima = ["maxCpuPerGpuSandbox", "maxMemoryPerGpuSandbox", "maxDiskPerGpuSandbox"];
        let gpu_maxima = gpu_maxima.into_iter().chain(["maxCpuPerGpu", "maxMemoryPerGpu", "maxDiskPerGpu"]);
        let maxima = [
            ("maxCpuPerSandbox", limits.cpu),
            ("maxMemoryPerSandbox", limits.memory_gib),
            ("maxDiskPerSandbox", limits.disk_gib),
            ("maxDiskPerNonEphemeralSandbox", limits.disk_gib),
        ];
        let maxima =
            maxima.map(|(name, most)| (name, Some(most))).into_iter().chain(gpu_maxima.map(|name| (name, None)));
        let Usage { sandboxes, snapshots, volumes } = usage;
        let region_usage = RegionUsageOverview {
            region_id: region.to_owned(),
            sandbox_class: "container",
            total_cpu_quota: total.cpu,
            current_cpu_usage: sandboxes.cpu,
            total_memory_quota: total.memory_gib,
            current_memory_usage: sandboxes.memory_gib,
            total_disk_quota: total.disk_gib,
            current_disk_usage: sandboxes.disk_gib,
            total_gpu_quota: total.gpu,
            current_gpu_usage: sandboxes.gpu,
            maxima: maxima.collect(),
        };
        Self {
            region_usage: [region_usage],
            total_snapshot_quota: NO_QUOTA,
            current_snapshot_usage: snapshots,
            total_volume_quota: NO_QUOTA,
            current_volume_usage: volumes,
        }
    }
}

/// An organization. Keys of what this installation does not have (suspension, quotas, single sign-on) are there with
/// the values that say so, because clients require them.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Organization {
    id: String,
    name: String,
    created_by: String,
    personal: bool,
    created_at: String,
    updated_at: String,
    default_region_id: String,
    suspended: bool,
    #[schema(required)]
    suspended_at: Option<String>,
    suspension_reason: &'static str,
    #[schema(required)]
    suspended_until: Option<String>,
    suspension_cleanup_grace_period_hours: u32,
    max_cpu_per_sandbox: u32,
    max_memory_per_sandbox: u32,
    max_disk_per_sandbox: u32,
    snapshot_deactivation_timeout_minutes: u32,
    sandbox_limited_network_egress: bool,
    #[schema(required)]
    authenticated_rate_limit: Option<u32>,
    #[schema(required)]
    sandbox_create_rate_limit: Option<u32>,
    #[schema(required)]
    sandbox_lifecycle_rate_limit: Option<u32>,
    #[schema(required)]
    authenticated_rate_limit_ttl_seconds: Option<u32>,
    #[schema(required)]
    sandbox_create_rate_limit_ttl_seconds: Option<u32>,
    #[schema(required)]
    sandbox_lifecycle_rate_limit_ttl_seconds: Option<u32>,
    experimental_config: BTreeMap<String, String>,
    #[schema(required)]
    otel_config: Option<String>,
    secret_quota: u32,
    max_secrets_per_sandbox: u32,
    #[schema(required)]
    default_queue_timeout: Option<u32>,
    preview_warning_enabled: bool,
    sso_enabled: bool,
    scim_enabled: bool,
}

impl Organization {
    /// The organization; one sandbox of it may have up to `limits`.
    pub(crate) fn of(organization: harbor_model::organizations::Organization, limits: Resources) -> Self {
        let harbor_model::organizations::Organization {
            id,
            name,
            created_by,
            personal,
            default_region,
            created_at,
            updated_at,
        } = organization;
        let Resources { cpu, memory_gib, disk_gib, gpu: _ } = limits;
        Self {
            id: id.to_string(),
            name: name.as_str().to_owned(),
            created_by: created_by.as_str().to_owned(),
            personal,
            created_at: iso(created_at),
            updated_at: iso(updated_at),
            default_region_id: default_region.as_str().to_owned(),
            suspended: false,
            suspended_at: None,
            suspension_reason: "",
            suspended_until: None,
            suspension_cleanup_grace_period_hours: 24,
            max_cpu_per_sandbox: cpu,
            max_memory_per_sandbox: memory_gib,
            max_disk_per_sandbox: disk_gib,
            snapshot_deactivation_timeout_minutes: 20_160,
            sandbox_limited_network_egress: false,
            authenticated_rate_limit: None,
            sandbox_create_rate_limit: None,
            sandbox_lifecycle_rate_limit: None,
            authenticated_rate_limit_ttl_seconds: None,
            sandbox_create_rate_limit_ttl_seconds: None,
            sandbox_lifecycle_rate_limit_ttl_seconds: None,
            experimental_config: BTreeMap::new(),
            otel_config: None,
            secret_quota: 0,
            max_secrets_per_sandbox: 0,
            default_queue_timeout: None,
            preview_warning_enabled: false,
            sso_enabled: false,
            scim_enabled: false,
        }
    }
}

/// A member.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct OrganizationUser {
    user_id: String,
    organization_id: String,
    name: String,
    email: String,
    /// `owner` or `member`.
    role: &'static str,
    assigned_roles: Vec<OrganizationRole>,
    created_at: String,
    updated_at: String,
}

impl OrganizationUser {
    /// The member of this organization.
    pub(crate) fn of(member: Member, organization: OrganizationId) -> Self {
        let Member { user, role, joined_at } = member;
        let harbor_model::organizations::User { id, name, email, administrator: _, created_at: _ } = user;
        Self {
            user_id: id.as_str().to_owned(),
            organization_id: organization.to_string(),
            name: name.as_str().to_owned(),
            email,
            role: match role {
                MemberRole::Owner => "owner",
                MemberRole::Member => "member",
            },
            assigned_roles: Vec::new(), // roles cannot be assigned yet
            created_at: iso(joined_at),
            updated_at: iso(joined_at),
        }
    }
}

/// A set of permissions that members can be given.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct OrganizationRole {
    id: String,
    name: &'static str,
    description: &'static str,
    permissions: Vec<&'static str>,
    /// Belongs to every organization and cannot be changed.
    is_global: bool,
    created_at: String,
    updated_at: String,
}

/// Name, description, permissions; the place in this table is the end of the id.
const BUILT_IN: &[(&str, &str, &[Permission])] = {
    use Permission as P;
    &[
        ("Developer", "Create and use sandboxes", &[P::WriteSandboxes]),
        ("Sandboxes Admin", "Create, use and delete sandboxes", &[P::WriteSandboxes, P::DeleteSandboxes]),
        ("Snapshots Admin", "Create and delete snapshots", &[P::WriteSnapshots, P::DeleteSnapshots]),
        ("Registries Admin", "Create, change and delete registries", &[P::WriteRegistries, P::DeleteRegistries]),
        ("Super Admin", "Everything", Permission::ALL),
        ("Volumes Admin", "Read, create and delete volumes", &[P::ReadVolumes, P::WriteVolumes, P::DeleteVolumes]),
        ("Auditor", "Read the audit log", &[P::ReadAuditLogs]),
        (
            "Infrastructure Admin",
            "Manage regions and runners",
            &[P::WriteRegions, P::DeleteRegions, P::ReadRunners, P::WriteRunners, P::DeleteRunners],
        ),
    ]
};

/// The roles that every organization has, there since `since`.
pub(crate) fn built_in_roles(since: Timestamp) -> Vec<OrganizationRole> {
    let role = |(at, (name, description, permissions)): (usize, &(&'static str, &'static str, &[Permission]))| {
        OrganizationRole {
            id: format!("00000000-0000-0000-0000-{:012}", at + 1),
            name,
            description,
            permissions: permissions.iter().map(|permission| permission.word()).collect(),
            is_global: true,
            created_at: iso(since),
            updated_at: iso(since),
        }
    };
    BUILT_IN.iter().enumerate().map(role).collect()
}

/// An invitation. None can be made yet, so every list of them is empty.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct OrganizationInvitation {
    id: String,
    email: String,
    invited_by: String,
    organization_id: String,
    organization_name: String,
    expires_at: String,
    status: &'static str,
    role: &'static str,
    assigned_roles: Vec<OrganizationRole>,
    created_at: String,
    updated_at: String,
}
