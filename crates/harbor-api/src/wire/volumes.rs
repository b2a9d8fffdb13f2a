//! Volumes on the wire (contract, control-plane §7.2).

use serde::Serialize;
use utoipa::ToSchema;

use super::iso;

/// A directory that outlives sandboxes.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Volume {
    id: String,
    name: String,
    organization_id: String,
    /// `ready`, `deleting` or `deleted`.
    state: &'static str,
    /// Why it could not be removed yet.
    #[schema(required)]
    error_reason: Option<String>,
    created_at: String,
    updated_at: String,
    /// When a sandbox was last made that has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_used_at: Option<String>,
}

impl Volume {
    pub(crate) fn of(volume: harbor_model::volumes::Volume) -> Self {
        let harbor_model::volumes::Volume {
            id,
            organization,
            name,
            state,
            error,
            last_used_at,
            created_at,
            updated_at,
        } = volume;
        Self {
            id: id.to_string(),
            name: name.as_str().to_owned(),
            organization_id: organization.to_string(),
            state: state.word(),
            error_reason: error,
            created_at: iso(created_at),
            updated_at: iso(updated_at),
            last_used_at: last_used_at.map(iso),
        }
    }
}
