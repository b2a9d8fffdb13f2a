//! The one machine, as its owner sees it (contract, control-plane §11; design §3a).

use axum::Json;
use axum::extract::{Query, State};
use harbor_control::{Administer, Allowed, ReadMachine};
use http::StatusCode;
use serde::Deserialize;

use crate::error::ApiError;
use crate::input::Segments;
use crate::state::Api;
use crate::wire::runners::{Runner, RunnerFull};

/// Which runners to list.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct InRegion {
    /// Id of a region; absent: any.
    region_id: Option<String>,
}

/// The machine that sandboxes run on.
#[utoipa::path(
    get, path = "/runners", tag = "runners", params(("regionId" = Option<String>, Query)),
    responses((status = 200, body = Vec<Runner>))
)]
pub(super) async fn list(
    _: Allowed<ReadMachine>,
    State(api): State<Api>,
    Query(region): Query<InRegion>,
) -> Result<Json<Vec<Runner>>, ApiError> {
    Ok(Json(those_in(&api, &region).await?))
}

/// The machine that sandboxes run on, by its id.
#[utoipa::path(get, path = "/runners/{id}", tag = "runners", params(("id" = String, Path)), responses((status = 200, body = Runner)))]
pub(super) async fn get(
    _: Allowed<ReadMachine>,
    State(api): State<Api>,
    Segments(id): Segments<String>,
) -> Result<Json<Runner>, ApiError> {
    Ok(Json(by_id(&api, &id).await?))
}

/// The machine that sandboxes run on; for the administrator.
#[utoipa::path(
    get, path = "/admin/runners", tag = "admin", params(("regionId" = Option<String>, Query)),
    responses((status = 200, body = Vec<RunnerFull>))
)]
pub(super) async fn list_all(
    _: Allowed<Administer>,
    State(api): State<Api>,
    Query(region): Query<InRegion>,
) -> Result<Json<Vec<RunnerFull>>, ApiError> {
    Ok(Json(those_in(&api, &region).await?.into_iter().map(RunnerFull::of).collect()))
}

/// The machine that sandboxes run on, by its id; for the administrator.
#[utoipa::path(
    get, path = "/admin/runners/{id}", tag = "admin", params(("id" = String, Path)),
    responses((status = 200, body = RunnerFull))
)]
pub(super) async fn get_any(
    _: Allowed<Administer>,
    State(api): State<Api>,
    Segments(id): Segments<String>,
) -> Result<Json<RunnerFull>, ApiError> {
    Ok(Json(RunnerFull::of(by_id(&api, &id).await?)))
}

async fn those_in(api: &Api, InRegion { region_id }: &InRegion) -> Result<Vec<Runner>, ApiError> {
    let asked = region_id.as_deref().filter(|region| !region.is_empty());
    if asked.is_some_and(|region| region != api.control.config().region.as_str()) {
        return Ok(Vec::new());
    }
    Ok(vec![the_runner(api).await?])
}

async fn by_id(api: &Api, id: &str) -> Result<Runner, ApiError> {
    if api.config.instance.to_string() != id {
        return Err(ApiError::new(StatusCode::NOT_FOUND, format!("Runner {id} not found")));
    }
    the_runner(api).await
}

async fn the_runner(api: &Api) -> Result<Runner, ApiError> {
    let (since, components) = tokio::join!(api.control.installed_at(), api.components());
    let answers = components.iter().all(|component| component.problem.is_none() || component.name != ENGINE);
    let usage = api.control.machine_usage();
    Ok(Runner::of(&api.config, &api.control.config().region, since?, answers, usage))
}

/// What the readiness calls the engine.
const ENGINE: &str = "engine";
