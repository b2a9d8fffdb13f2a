//! API keys (contract, control-plane §9.1).

use axum::Json;
use axum::extract::State;
use harbor_control::{Caller, Grant, NewKey};
use harbor_model::ids::UserId;
use http::StatusCode;

use crate::error::ApiError;
use crate::input::{Body, Segments, date};
use crate::state::Api;
use crate::wire::keys::{CreateApiKey, ListedApiKey, NewApiKey};

/// Makes a key for the caller; its value is shown this once.
#[utoipa::path(post, path = "/api-keys", tag = "api-keys", request_body = CreateApiKey, responses((status = 201, body = NewApiKey)))]
pub(super) async fn create(
    caller: Caller,
    State(api): State<Api>,
    body: Body,
) -> Result<(StatusCode, Json<NewApiKey>), ApiError> {
    let issued = api.control.create_key(&caller, parse(body.read().await?)?).await?;
    Ok((StatusCode::CREATED, Json(issued.into())))
}

fn parse(CreateApiKey { name, permissions, expires_at }: CreateApiKey) -> Result<NewKey, ApiError> {
    let name = name.parse().map_err(|error| ApiError::invalid(format!("name {error}")))?;
    let permissions = permissions
        .iter()
        .map(|word| word.parse().map_err(|error| ApiError::invalid(format!("permissions: {error}"))))
        .collect::<Result<_, _>>()?;
    let expires_at = expires_at
        .map(|text| date(&text).ok_or_else(|| ApiError::invalid("expiresAt must be a date in ISO 8601")))
        .transpose()?;
    Ok(NewKey { name, permissions, expires_at })
}

/// An owner sees all keys of the organization, a member its own.
#[utoipa::path(get, path = "/api-keys", tag = "api-keys", responses((status = 200, body = [ListedApiKey])))]
pub(super) async fn list(caller: Caller, State(api): State<Api>) -> Result<Json<Vec<ListedApiKey>>, ApiError> {
    Ok(Json(api.control.keys(&caller).await?.into_iter().map(Into::into).collect()))
}

/// The key of this very request.
#[utoipa::path(get, path = "/api-keys/current", tag = "api-keys", responses((status = 200, body = ListedApiKey)))]
pub(super) async fn current(caller: Caller) -> Result<Json<ListedApiKey>, ApiError> {
    match caller.grant() {
        Grant::Key(key) => Ok(Json(ListedApiKey::from((**key).clone()))),
        Grant::Harbor => Err(ApiError::unauthenticated()),
    }
}

/// The caller's own key of this name.
#[utoipa::path(
    get, path = "/api-keys/{name}", tag = "api-keys", params(("name" = String, Path)),
    responses((status = 200, body = ListedApiKey))
)]
pub(super) async fn get(
    caller: Caller,
    State(api): State<Api>,
    Segments(name): Segments<String>,
) -> Result<Json<ListedApiKey>, ApiError> {
    Ok(Json(api.control.key(&caller, &name).await?.into()))
}

/// Deletes the caller's own key of this name.
#[utoipa::path(
    delete, path = "/api-keys/{name}", tag = "api-keys", params(("name" = String, Path)),
    responses((status = 204, description = "Deleted"))
)]
pub(super) async fn delete(
    caller: Caller,
    State(api): State<Api>,
    Segments(name): Segments<String>,
) -> Result<StatusCode, ApiError> {
    api.control.delete_key(&caller, None, &name).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Deletes a user's key: one's own, or as an owner anybody's.
#[utoipa::path(
    delete, path = "/api-keys/{userId}/{name}", tag = "api-keys",
    params(("userId" = String, Path), ("name" = String, Path)), responses((status = 204, description = "Deleted"))
)]
pub(super) async fn delete_of_user(
    caller: Caller,
    State(api): State<Api>,
    Segments((user, name)): Segments<(String, String)>,
) -> Result<StatusCode, ApiError> {
    api.control.delete_key(&caller, Some(UserId::new(user)), &name).await?;
    Ok(StatusCode::NO_CONTENT)
}
