//! Registries on the wire (contract, control-plane §8.1, §8.2).

use serde::Serialize;
use utoipa::ToSchema;

use super::iso;

/// A login to the registry that harbor itself is (contract, control-plane §8.2).
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RegistryPushAccess {
    pub(crate) username: String,
    pub(crate) secret: String,
    /// Host and port.
    pub(crate) registry_url: String,
    pub(crate) registry_id: String,
    /// With this and a slash the names begin of the repositories that it opens.
    pub(crate) project: String,
    pub(crate) expires_at: String,
}

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
