//! The caller itself (contract, control-plane §9.2).

use axum::Json;
use harbor_control::Caller;

use crate::wire::users::User;

/// The caller.
#[utoipa::path(get, path = "/users/me", tag = "users", responses((status = 200, body = User)))]
pub(super) async fn me(caller: Caller) -> Json<User> {
    Json(caller.user().clone().into())
}
