//! Making, activating and deactivating snapshots (contract, control-plane §6.2, §6.4).

use axum::Json;
use axum::extract::State;
use harbor_control::{Allowed, NewImage, NewSnapshot, WriteSnapshots};
use harbor_model::resources::Asked;
use http::StatusCode;
use serde::Deserialize;
use utoipa::ToSchema;

use crate::error::ApiError;
use crate::input::{Body, Segments, whole};
use crate::routes::build::CreateBuildInfo;
use crate::state::Api;
use crate::wire::snapshots::Snapshot;

/// A snapshot to make: of an image, or of what a Dockerfile builds.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::routes) struct CreateSnapshot {
    name: String,
    /// With a tag that is not `latest`, or a digest.
    image_name: Option<String>,
    /// Of an image only.
    entrypoint: Option<Vec<String>>,
    /// Instead of an image.
    build_info: Option<CreateBuildInfo>,
    /// Processors; 1 otherwise.
    #[serde(default, deserialize_with = "whole")]
    cpu: Option<i64>,
    /// 0: this host gives none.
    #[serde(default, deserialize_with = "whole")]
    gpu: Option<i64>,
    /// GiB; 1 otherwise.
    #[serde(default, deserialize_with = "whole")]
    memory: Option<i64>,
    /// GiB; 3 otherwise.
    #[serde(default, deserialize_with = "whole")]
    disk: Option<i64>,
    /// Any text: there is one region.
    #[serde(rename = "regionId")]
    _region_id: Option<String>,
    /// `container`, the only class there is.
    sandbox_class: Option<String>,
}

impl CreateSnapshot {
    /// Checks everything that needs no look at what exists, and answers what to ask control for.
    fn check(self) -> Result<NewSnapshot, ApiError> {
        if let Some(class) = self.sandbox_class.as_ref().filter(|class| *class != "container") {
            return Err(ApiError::invalid(format!("sandboxClass must be container, not {}", class.escape_default())));
        }
        let mut problems = Vec::new();
        let mut size = |field: &str, given: Option<i64>| {
            if given.is_some_and(|given| given < 0) {
                problems.push(format!("{field} must not be less than 0"));
            }
            given.map(|given| u32::try_from(given.max(0)).unwrap_or(u32::MAX))
        };
        let asked = Asked {
            cpu: size("cpu", self.cpu),
            memory_gib: size("memory", self.memory),
            disk_gib: size("disk", self.disk),
            gpu: size("gpu", self.gpu),
        };
        if !problems.is_empty() {
            return Err(ApiError::invalid(problems.join(", ")));
        }
        let source = source(self.image_name.filter(|name| !name.is_empty()), self.build_info, self.entrypoint)?;
        Ok(NewSnapshot { name: self.name, source, asked })
    }
}

fn source(
    image: Option<String>,
    build: Option<CreateBuildInfo>,
    entrypoint: Option<Vec<String>>,
) -> Result<NewImage, ApiError> {
    match (image, build) {
        (Some(_), Some(_)) => Err(ApiError::invalid("Cannot specify an image name when using a build info entry")),
        (None, Some(_)) if entrypoint.as_ref().is_some_and(|words| !words.is_empty()) => {
            Err(ApiError::invalid("Cannot specify an entrypoint when using a build info entry"))
        }
        (None, None) => Err(ApiError::invalid("Must specify an image name or a build info entry")),
        (Some(reference), None) => Ok(NewImage::Reference { reference, entrypoint }),
        (None, Some(build)) => Ok(NewImage::Dockerfile(build.dockerfile())),
    }
}

/// Makes a snapshot: its image is pulled or built by and by, unless it is there already.
#[utoipa::path(
    post, path = "/snapshots", tag = "snapshots", request_body = CreateSnapshot,
    responses((status = 200, body = Snapshot))
)]
pub(in crate::routes) async fn create(
    caller: Allowed<WriteSnapshots>,
    State(api): State<Api>,
    body: Body,
) -> Result<Json<Snapshot>, ApiError> {
    let wanted = body.read::<CreateSnapshot>().await?.check()?;
    Ok(api.render_snapshot(api.control.create_snapshot(&caller, wanted).await?))
}

/// Lets a snapshot be used again that was put aside.
#[utoipa::path(
    post, path = "/snapshots/{id}/activate", tag = "snapshots",
    params(("id" = String, Path, description = "Name or id")), responses((status = 200, body = Snapshot))
)]
pub(in crate::routes) async fn activate(
    caller: Allowed<WriteSnapshots>,
    State(api): State<Api>,
    Segments(text): Segments<String>,
) -> Result<Json<Snapshot>, ApiError> {
    Ok(api.render_snapshot(api.control.activate_snapshot(&caller, &text).await?))
}

/// Puts a snapshot aside: no sandbox is made of it until it is activated again.
#[utoipa::path(
    post, path = "/snapshots/{id}/deactivate", tag = "snapshots",
    params(("id" = String, Path, description = "Name or id")), responses((status = 204, description = "Put aside"))
)]
pub(in crate::routes) async fn deactivate(
    caller: Allowed<WriteSnapshots>,
    State(api): State<Api>,
    Segments(text): Segments<String>,
) -> Result<StatusCode, ApiError> {
    api.control.deactivate_snapshot(&caller, &text).await?;
    Ok(StatusCode::NO_CONTENT)
}
