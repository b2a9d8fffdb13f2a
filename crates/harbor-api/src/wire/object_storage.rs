//! Access to the object storage on the wire (contract, control-plane §8.3).

use serde::Serialize;
use utoipa::ToSchema;

/// Temporary credentials, and where they open something.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct StorageAccess {
    pub(crate) access_key: String,
    pub(crate) secret: String,
    pub(crate) session_token: String,
    /// Scheme, host and port.
    pub(crate) storage_url: String,
    pub(crate) organization_id: String,
    pub(crate) bucket: String,
    pub(crate) region: String,
}
