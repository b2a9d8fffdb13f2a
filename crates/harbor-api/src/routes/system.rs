//! What anybody may ask about this installation, and whether it works (contract, control-plane §10, §14.3).

use std::time::Duration;

use axum::Json;
use axum::extract::{FromRequestParts, State};
use axum::response::{IntoResponse, Response};
use harbor_control::{Administer, Allowed, Caller};
use http::StatusCode;
use http::request::Parts;
use subtle::ConstantTimeEq;

use crate::authentication::bearer;
use crate::error::ApiError;
use crate::input::Query;
use crate::state::Api;
use crate::wire::config::Configuration;
use crate::wire::garbage::Garbage;
use crate::wire::health::{Health, Ready};
use crate::wire::loops::Loop;

/// For how many seconds nobody has needed what is collected, unless the caller says something else.
const UNNEEDED_FOR: u64 = 60 * 60;

/// The most that a caller can say: ten years.
const LONGEST_UNNEEDED: i64 = 10 * 365 * 24 * 60 * 60;

/// Facts about this installation.
#[utoipa::path(get, path = "/config", tag = "system", security(()), responses((status = 200, body = Configuration)))]
pub(super) async fn config(State(api): State<Api>) -> Json<Configuration> {
    Json(Configuration::of(&api.config, api.control.config().default_snapshot.clone()))
}

/// harbor answers.
#[utoipa::path(get, path = "/health", tag = "system", security(()), responses((status = 200, body = Health)))]
pub(super) async fn health() -> Json<Health> {
    Json(Health { status: "ok" })
}

/// Whether a create can work; for the health probe's key only.
#[utoipa::path(
    get, path = "/health/ready", tag = "system",
    responses((status = 200, body = Ready), (status = 503, description = "Something is missing", body = Ready))
)]
pub(super) async fn health_ready(State(api): State<Api>, mut parts: Parts) -> Result<Response, ApiError> {
    let given = bearer(&parts).unwrap_or_default();
    let opens =
        api.config.health_key.as_ref().is_some_and(|key| bool::from(key.reveal().as_bytes().ct_eq(given.as_bytes())));
    if opens {
        return Ok(ready(&api).await);
    }
    Caller::from_request_parts(&mut parts, &api).await?;
    Err(ApiError::new(StatusCode::FORBIDDEN, "Invalid authentication context: this needs the key of the health probe"))
}

/// Whether a create can work; for everybody.
#[utoipa::path(
    get, path = "/harbor/ready", tag = "harbor", security(()),
    responses((status = 200, body = Ready), (status = 503, description = "Something is missing", body = Ready))
)]
pub(super) async fn harbor_ready(State(api): State<Api>) -> Response {
    ready(&api).await
}

/// What harbor's own loops do; for the administrator.
#[utoipa::path(get, path = "/harbor/loops", tag = "harbor", responses((status = 200, body = [Loop])))]
pub(super) async fn harbor_loops(_: Allowed<Administer>, State(api): State<Api>) -> Result<Json<Vec<Loop>>, ApiError> {
    Ok(Json(api.readiness.loops().into_iter().map(Loop::of).collect()))
}

/// What nobody needs any more; for the administrator.
#[utoipa::path(
    get, path = "/harbor/garbage", tag = "harbor",
    params(("olderThan" = Option<u64>, Query, description = "Seconds for which nobody has needed it; 3600 by default")),
    responses((status = 200, body = Garbage))
)]
pub(super) async fn harbor_garbage(
    _: Allowed<Administer>,
    State(api): State<Api>,
    query: Query,
) -> Result<Json<Garbage>, ApiError> {
    collect(&api, query, true).await
}

/// Lets go of it, and tells what it was; for the administrator.
#[utoipa::path(
    delete, path = "/harbor/garbage", tag = "harbor",
    params(("olderThan" = Option<u64>, Query, description = "Seconds for which nobody has needed it; 3600 by default")),
    responses((status = 200, body = Garbage))
)]
pub(super) async fn collect_harbor_garbage(
    _: Allowed<Administer>,
    State(api): State<Api>,
    query: Query,
) -> Result<Json<Garbage>, ApiError> {
    collect(&api, query, false).await
}

async fn collect(api: &Api, mut query: Query, rehearse: bool) -> Result<Json<Garbage>, ApiError> {
    let older_than = query.integer("olderThan", 0, LONGEST_UNNEEDED);
    query.finish()?;
    let older_than = older_than.and_then(|seconds| u64::try_from(seconds).ok()).unwrap_or(UNNEEDED_FOR);
    let collected = api.readiness.collect_garbage(Duration::from_secs(older_than), rehearse).await;
    let collected = collected.map_err(|problem| {
        tracing::warn!(problem, "garbage was not collected");
        ApiError::new(StatusCode::SERVICE_UNAVAILABLE, format!("Garbage was not collected: {problem}"))
    })?;
    Ok(Json(Garbage::of(older_than, &collected)))
}

async fn ready(api: &Api) -> Response {
    let (all, body) = Ready::of(api.components().await);
    let status = if all { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(body)).into_response()
}
