//! API keys on the wire (contract, control-plane §9.1).

use harbor_control::IssuedKey;
use harbor_model::identity::ApiKey;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::iso;

/// What a new key shall be.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct CreateApiKey {
    pub(crate) name: String,
    /// Words such as `write:sandboxes`; an empty list still reads.
    pub(crate) permissions: Vec<String>,
    /// ISO 8601; in the past: it opens nothing. Not later than the expiry of the key that makes it, and that otherwise.
    pub(crate) expires_at: Option<String>,
}

/// A key just made; its value is shown this once.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct NewApiKey {
    name: String,
    value: String,
    created_at: String,
    permissions: Vec<&'static str>,
    #[schema(required)]
    expires_at: Option<String>,
}

impl From<IssuedKey> for NewApiKey {
    fn from(IssuedKey { key, value }: IssuedKey) -> Self {
        let ListedApiKey {
            name,
            value: _,
            created_at,
            permissions,
            last_used_at: _,
            expires_at,
            user_id: _,
            organization_id: _,
        } = key.into();
        Self { name, value: value.reveal().to_owned(), created_at, permissions, expires_at }
    }
}

/// A key, its value masked.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ListedApiKey {
    name: String,
    /// Its first and last three characters around twenty asterisks.
    value: String,
    created_at: String,
    permissions: Vec<&'static str>,
    #[schema(required)]
    last_used_at: Option<String>,
    #[schema(required)]
    expires_at: Option<String>,
    user_id: String,
    organization_id: String,
}

impl From<ApiKey> for ListedApiKey {
    fn from(key: ApiKey) -> Self {
        let ApiKey {
            organization,
            user,
            name,
            hash: _,
            ends,
            permissions,
            created_at,
            last_used_at,
            expires_at,
            parent: _,
        } = key;
        Self {
            name: name.as_str().to_owned(),
            value: ends.masked(),
            created_at: iso(created_at),
            permissions: permissions.into_iter().map(harbor_model::identity::Permission::word).collect(),
            last_used_at: last_used_at.map(iso),
            expires_at: expires_at.map(iso),
            user_id: user.as_str().to_owned(),
            organization_id: organization.to_string(),
        }
    }
}
