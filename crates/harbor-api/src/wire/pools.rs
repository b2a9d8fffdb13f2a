//! Warm pools on the wire (contract, control-plane §12.2).

use std::collections::BTreeMap;

use harbor_control::PoolInUse;
use serde::Serialize;
use utoipa::ToSchema;

use super::iso;

/// How many sandboxes of a snapshot are kept ready.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct WarmPool {
    id: String,
    organization_id: String,
    /// The snapshot's name.
    snapshot: String,
    target: String,
    /// How many shall be ready.
    pool: u32,
    /// How many are.
    current_size: usize,
    cpu: u32,
    /// GiB.
    mem: u32,
    /// GiB.
    disk: u32,
    os_user: &'static str,
    env: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_reason: Option<String>,
    created_at: String,
    updated_at: String,
}

impl WarmPool {
    pub(crate) fn of(found: PoolInUse) -> Self {
        let PoolInUse { pool, snapshot, ready } = found;
        Self {
            id: pool.id.to_string(),
            organization_id: pool.organization.to_string(),
            snapshot: snapshot.name,
            target: pool.target.as_str().to_owned(),
            pool: pool.size,
            current_size: ready,
            cpu: snapshot.resources.cpu,
            mem: snapshot.resources.memory_gib,
            disk: snapshot.resources.disk_gib,
            os_user: "daytona",
            env: BTreeMap::new(),
            error_reason: pool.error,
            created_at: iso(pool.created_at),
            updated_at: iso(pool.updated_at),
        }
    }
}
