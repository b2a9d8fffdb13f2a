//! Sandboxes on the wire (contract, control-plane §5).

use std::collections::BTreeMap;

use harbor_model::sandboxes::{CopyPurpose, Copying, Desired, Files, Network, Origin, SandboxState, Seen, Settings};
use harbor_model::volumes::Mount;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{BuildInfo, iso};
use crate::Config;

/// A sandbox, one shape for single reads, lists and events of every client generation.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Sandbox {
    id: String,
    organization_id: String,
    name: String,
    /// Absent where it was made with a Dockerfile.
    #[serde(skip_serializing_if = "Option::is_none")]
    snapshot: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    build_info: Option<BuildInfo>,
    user: String,
    env: BTreeMap<String, String>,
    labels: BTreeMap<String, String>,
    public: bool,
    network_block_all: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    network_allow_list: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    domain_allow_list: Option<String>,
    target: String,
    cpu: u32,
    gpu: u32,
    /// GiB.
    memory: u32,
    /// GiB.
    disk: u32,
    state: &'static str,
    desired_state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_reason: Option<String>,
    recoverable: bool,
    backup_state: &'static str,
    /// When its files were as they were last stored.
    #[serde(skip_serializing_if = "Option::is_none")]
    backup_created_at: Option<String>,
    /// Minutes; 0: never.
    auto_stop_interval: u32,
    /// Minutes.
    auto_archive_interval: u32,
    /// Minutes; 0: at once, -1: never.
    auto_delete_interval: i64,
    /// Minutes; 0: never.
    auto_pause_interval: u32,
    volumes: Vec<SandboxVolume>,
    created_at: String,
    updated_at: String,
    last_activity_at: String,
    /// When it is deleted, whatever state it is in.
    #[serde(skip_serializing_if = "Option::is_none")]
    auto_destroy_at: Option<String>,
    sandbox_class: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    daemon_version: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    runner_id: Option<String>,
    toolbox_proxy_url: String,
    kvm: bool,
    spot: bool,
    /// The sandbox that it shares a private network with, and is deleted with.
    #[serde(skip_serializing_if = "Option::is_none")]
    linked_sandbox_id: Option<String>,
    /// The warm pool in which it waits for an owner.
    #[serde(skip_serializing_if = "Option::is_none")]
    warm_pool_id: Option<String>,
    /// harbor's own: why it stopped, when nobody asked for that.
    #[serde(skip_serializing_if = "Option::is_none")]
    stop_reason: Option<String>,
}

/// A volume mounted in a sandbox.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SandboxVolume {
    /// Id or name.
    pub(crate) volume_id: String,
    pub(crate) mount_path: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) subpath: Option<String>,
}

impl SandboxVolume {
    fn of(Mount { volume, path, subpath }: Mount) -> Self {
        Self { volume_id: volume.to_string(), mount_path: path, subpath }
    }
}

impl Sandbox {
    /// The sandbox as this installation shows it. Tokens stay behind.
    pub(crate) fn of(sandbox: harbor_model::sandboxes::Sandbox, config: &Config) -> Self {
        let state = sandbox.state();
        let harbor_model::sandboxes::Sandbox {
            id,
            organization,
            name,
            origin: Origin { snapshot, image: _, build, entrypoint: _, user, env, mounts, target },
            resources: harbor_model::resources::Resources { cpu, memory_gib, disk_gib, gpu },
            resize_to: _,
            files,
            settings:
                Settings {
                    labels,
                    public,
                    auto_stop_minutes,
                    auto_pause_minutes,
                    auto_archive_minutes,
                    auto_delete_minutes,
                    network: Network { block_all, allow_networks, allow_domains },
                },
            preview_token: _,
            toolbox_token: _,
            desired,
            force: _,
            seen,
            failure,
            note,
            toolbox_version,
            started_once: _,
            generation: _,
            created_at,
            updated_at,
            last_activity_at,
            linked,
            warm_pool,
            destroy_at,
        } = sandbox;
        let recoverable = failure.as_ref().is_some_and(|failure| failure.recoverable);
        Self {
            id: id.to_string(),
            organization_id: organization.to_string(),
            name: name.as_str().to_owned(),
            snapshot: Some(snapshot).filter(|name| build.as_ref().is_none_or(|recipe| recipe.reference != *name)),
            build_info: build.map(|recipe| BuildInfo::of(recipe, created_at, updated_at)),
            user,
            env,
            labels,
            public,
            network_block_all: block_all,
            network_allow_list: allow_networks,
            domain_allow_list: allow_domains,
            target: target.as_str().to_owned(),
            cpu,
            gpu,
            memory: memory_gib,
            disk: disk_gib,
            state: state.word(),
            desired_state: desired.word(),
            error_reason: failure.map(|failure| failure.reason),
            recoverable,
            backup_state: if desired == Desired::Destroyed { "None" } else { backup_state(&files) },
            backup_created_at: files.backup.map(|backup| iso(backup.at)),
            auto_stop_interval: auto_stop_minutes,
            auto_archive_interval: auto_archive_minutes,
            auto_delete_interval: auto_delete_minutes.map_or(-1, i64::from),
            auto_pause_interval: auto_pause_minutes,
            volumes: mounts.into_iter().map(SandboxVolume::of).collect(),
            created_at: iso(created_at),
            updated_at: iso(updated_at),
            last_activity_at: iso(last_activity_at),
            auto_destroy_at: destroy_at.map(iso),
            sandbox_class: "container",
            daemon_version: toolbox_version,
            runner_id: (state != SandboxState::Destroyed && !matches!(seen, Seen::Archived { .. }))
                .then(|| config.instance.to_string()),
            toolbox_proxy_url: config.urls.proxy_toolbox.clone(),
            kvm: false,
            spot: false,
            linked_sandbox_id: linked.map(|id| id.to_string()),
            warm_pool_id: warm_pool.map(|id| id.to_string()),
            stop_reason: note,
        }
    }
}

/// The contract's word for what is stored of a sandbox's files.
fn backup_state(files: &Files) -> &'static str {
    match files {
        Files {
            copying: Some(Copying { purpose: CopyPurpose::Backup | CopyPurpose::Stopped | CopyPurpose::Archive, .. }),
            ..
        } => "InProgress",
        Files { backup: Some(_), .. } => "Completed",
        Files { backup: None, .. } => "None",
    }
}

/// One page by cursor.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SandboxPage {
    pub(crate) items: Vec<Sandbox>,
    /// Null on the last page.
    #[schema(required)]
    pub(crate) next_cursor: Option<String>,
}

/// One page by number.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct NumberedSandboxPage {
    pub(crate) items: Vec<Sandbox>,
    pub(crate) total: usize,
    pub(crate) page: usize,
    pub(crate) total_pages: usize,
}

/// All labels of a sandbox.
#[derive(Deserialize, ToSchema)]
pub(crate) struct SandboxLabels {
    pub(crate) labels: BTreeMap<String, String>,
}

/// A preview URL with the token that opens it in a header.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PortPreviewUrl {
    pub(crate) sandbox_id: String,
    pub(crate) url: String,
    pub(crate) token: String,
}
