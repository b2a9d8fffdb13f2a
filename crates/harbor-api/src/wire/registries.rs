//! Registries on the wire (contract, control-plane §8.1).

use serde::Serialize;
use utoipa::ToSchema;

use super::iso;

/// A registry, without its password.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Registry {
    id: String,
    name: String,
    url: String,
    username: String,
    project: String,
    registry_type: &'static str,
    created_at: String,
    updated_at: String,
}

impl Registry {
    pub(crate) fn of(registry: harbor_model::registries::Registry) -> Self {
        let harbor_model::registries::Registry {
            id,
            organization: _,
            name,
            url,
            username,
            password: _,
            project,
            created_at,
            updated_at,
        } = registry;
        Self {
            id: id.to_string(),
            name: name.as_str().to_owned(),
            url,
            username,
            project,
            registry_type: "organization",
            created_at: iso(created_at),
            updated_at: iso(updated_at),
        }
    }
}
