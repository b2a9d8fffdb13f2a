//! Users on the wire (contract, control-plane §9.2).

use serde::Serialize;
use utoipa::ToSchema;

use super::iso;

/// The caller.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct User {
    id: String,
    name: String,
    email: String,
    /// Its owner configured the address: nobody else could have.
    email_verified: bool,
    public_keys: Vec<PublicKey>,
    created_at: String,
}

/// A key for SSH; none can be stored yet.
#[derive(Serialize, ToSchema)]
pub(crate) struct PublicKey {
    key: String,
    name: String,
}

impl From<harbor_model::organizations::User> for User {
    fn from(user: harbor_model::organizations::User) -> Self {
        let harbor_model::organizations::User { id, name, email, administrator: _, created_at } = user;
        Self {
            id: id.as_str().to_owned(),
            name: name.as_str().to_owned(),
            email,
            email_verified: true,
            public_keys: Vec::new(),
            created_at: iso(created_at),
        }
    }
}
