//! Volumes (contract, control-plane §7).

use axum::Json;
use axum::extract::State;
use harbor_control::{Allowed, DeleteVolumes, ReadVolumes, WriteVolumes};
use harbor_model::names::DisplayName;
use http::StatusCode;
use serde::Deserialize;
use utoipa::ToSchema;

use crate::error::ApiError;
use crate::input::{Body, Query, Segments};
use crate::state::Api;
use crate::wire::volumes::Volume;

/// A volume to make.
#[derive(Deserialize, ToSchema)]
pub(super) struct CreateVolume {
    /// Empty: its id.
    name: String,
}

/// Makes a volume, which is ready at once.
#[utoipa::path(
    post, path = "/volumes", tag = "volumes", request_body = CreateVolume, responses((status = 200, body = Volume))
)]
pub(super) async fn create(
    caller: Allowed<WriteVolumes>,
    State(api): State<Api>,
    body: Body,
) -> Result<Json<Volume>, ApiError> {
    let CreateVolume { name } = body.read().await?;
    let name = Some(name).filter(|name| !name.is_empty()).map(|name| name.parse::<DisplayName>()).transpose();
    let name = name.map_err(|error| ApiError::invalid(format!("name {error}")))?;
    Ok(Json(Volume::of(api.control.create_volume(&caller, name).await?)))
}

/// The organization's volumes, those used last first.
#[utoipa::path(
    get, path = "/volumes", tag = "volumes",
    params(("includeDeleted" = Option<bool>, Query, description = "Also those that are gone")),
    responses((status = 200, body = Vec<Volume>))
)]
pub(super) async fn list(
    caller: Allowed<ReadVolumes>,
    State(api): State<Api>,
    mut query: Query,
) -> Result<Json<Vec<Volume>>, ApiError> {
    let deleted = query.flag("includeDeleted").unwrap_or(false);
    query.finish()?;
    Ok(Json(api.control.volumes(&caller, deleted).await?.into_iter().map(Volume::of).collect()))
}

/// A volume by its id, also one that is gone.
#[utoipa::path(
    get, path = "/volumes/{volumeId}", tag = "volumes", params(("volumeId" = String, Path)),
    responses((status = 200, body = Volume))
)]
pub(super) async fn get(
    caller: Allowed<ReadVolumes>,
    State(api): State<Api>,
    Segments(id): Segments<String>,
) -> Result<Json<Volume>, ApiError> {
    Ok(Json(Volume::of(api.control.volume(&caller, &id).await?)))
}

/// A volume by its name.
#[utoipa::path(
    get, path = "/volumes/by-name/{name}", tag = "volumes", params(("name" = String, Path)),
    responses((status = 200, body = Volume))
)]
pub(super) async fn get_by_name(
    caller: Allowed<ReadVolumes>,
    State(api): State<Api>,
    Segments(name): Segments<String>,
) -> Result<Json<Volume>, ApiError> {
    Ok(Json(Volume::of(api.control.volume_named(&caller, &name).await?)))
}

/// Removes a volume with all that is in it; its name is free at once.
#[utoipa::path(
    delete, path = "/volumes/{volumeId}", tag = "volumes", params(("volumeId" = String, Path)),
    responses((status = 200, description = "To be removed"))
)]
pub(super) async fn delete(
    caller: Allowed<DeleteVolumes>,
    State(api): State<Api>,
    Segments(id): Segments<String>,
) -> Result<StatusCode, ApiError> {
    api.control.delete_volume(&caller, &id).await?;
    Ok(StatusCode::OK)
}
