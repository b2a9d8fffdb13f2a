//! Warm pools (contract, control-plane §12.2).

use axum::Json;
use axum::extract::State;
use harbor_control::{Allowed, Caller, WriteSandboxes};
use http::StatusCode;
use serde::Deserialize;
use utoipa::ToSchema;

use crate::error::ApiError;
use crate::input::{Body, Segments, whole};
use crate::state::Api;
use crate::wire::pools::WarmPool;

/// A pool to make.
#[derive(Deserialize, ToSchema)]
pub(super) struct CreateWarmPool {
    /// Name or id.
    snapshot: String,
    /// How many to keep ready; 1 or more.
    #[serde(deserialize_with = "whole")]
    pool: Option<i64>,
    /// Any text: it means the one region.
    target: Option<String>,
}

/// What to change of a pool.
#[derive(Deserialize, ToSchema)]
pub(super) struct UpdateWarmPool {
    /// How many to keep ready; 0: none.
    #[serde(deserialize_with = "whole")]
    pool: Option<i64>,
}

/// Keeps sandboxes of a snapshot ready.
#[utoipa::path(post, path = "/warm-pools", tag = "warm-pools", request_body = CreateWarmPool, responses((status = 201, body = WarmPool)))]
pub(super) async fn create(
    caller: Allowed<WriteSandboxes>,
    State(api): State<Api>,
    body: Body,
) -> Result<(StatusCode, Json<WarmPool>), ApiError> {
    let CreateWarmPool { snapshot, pool, target } = body.read().await?;
    let size = pool.ok_or_else(no_size)?;
    let made = api.control.create_warm_pool(&caller, &snapshot, size, target).await?;
    Ok((StatusCode::CREATED, Json(WarmPool::of(made))))
}

/// The organization's warm pools.
#[utoipa::path(get, path = "/warm-pools", tag = "warm-pools", responses((status = 200, body = Vec<WarmPool>)))]
pub(super) async fn list(caller: Caller, State(api): State<Api>) -> Result<Json<Vec<WarmPool>>, ApiError> {
    Ok(Json(api.control.warm_pools(&caller).await?.into_iter().map(WarmPool::of).collect()))
}

/// Changes how many are kept ready.
#[utoipa::path(
    patch, path = "/warm-pools/{id}", tag = "warm-pools", params(("id" = String, Path)),
    request_body = UpdateWarmPool, responses((status = 200, body = WarmPool))
)]
pub(super) async fn update(
    caller: Allowed<WriteSandboxes>,
    State(api): State<Api>,
    Segments(id): Segments<String>,
    body: Body,
) -> Result<Json<WarmPool>, ApiError> {
    let UpdateWarmPool { pool } = body.read().await?;
    let size = pool.ok_or_else(no_size)?;
    Ok(Json(WarmPool::of(api.control.resize_warm_pool(&caller, &id, size).await?)))
}

/// Removes a pool, with the sandboxes that wait in it.
#[utoipa::path(
    delete, path = "/warm-pools/{id}", tag = "warm-pools", params(("id" = String, Path)),
    responses((status = 204, description = "Removed"))
)]
pub(super) async fn delete(
    caller: Allowed<WriteSandboxes>,
    State(api): State<Api>,
    Segments(id): Segments<String>,
) -> Result<StatusCode, ApiError> {
    api.control.delete_warm_pool(&caller, &id).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn no_size() -> ApiError {
    ApiError::invalid("pool is missing: how many sandboxes to keep ready")
}
