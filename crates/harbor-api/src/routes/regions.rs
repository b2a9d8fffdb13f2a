//! The one region (contract, control-plane §9.6).

use axum::Json;
use axum::extract::State;
use harbor_control::Caller;
use http::StatusCode;

use crate::error::ApiError;
use crate::input::Segments;
use crate::state::Api;
use crate::wire::regions::Region;

/// Regions that the caller may use.
#[utoipa::path(get, path = "/regions", tag = "regions", responses((status = 200, body = [Region])))]
pub(super) async fn list(_: Caller, State(api): State<Api>) -> Result<Json<[Region; 1]>, ApiError> {
    Ok(Json([the_region(&api).await?]))
}

/// Regions that everybody may use.
#[utoipa::path(get, path = "/shared-regions", tag = "regions", security(()), responses((status = 200, body = [Region])))]
pub(super) async fn shared(State(api): State<Api>) -> Result<Json<[Region; 1]>, ApiError> {
    Ok(Json([the_region(&api).await?]))
}

/// One region.
#[utoipa::path(get, path = "/regions/{id}", tag = "regions", params(("id" = String, Path)), responses((status = 200, body = Region)))]
pub(super) async fn get(
    _: Caller,
    State(api): State<Api>,
    Segments(id): Segments<String>,
) -> Result<Json<Region>, ApiError> {
    if api.control.config().region.as_str() != id {
        return Err(ApiError::new(StatusCode::NOT_FOUND, format!("Region {id} not found")));
    }
    Ok(Json(the_region(&api).await?))
}

async fn the_region(api: &Api) -> Result<Region, ApiError> {
    let since = api.control.installed_at().await?;
    Ok(Region::of(&api.control.config().region, since, &api.config))
}
