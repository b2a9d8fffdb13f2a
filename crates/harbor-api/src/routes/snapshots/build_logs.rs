//! What builds say, while they go on and afterwards (contract, control-plane §5.15).

use std::time::Duration;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream;
use harbor_control::{BuildLog, Caller, Error};
use harbor_model::snapshots::SnapshotState;
use http::header::CONTENT_TYPE;

use crate::error::ApiError;
use crate::input::{Query, Segments};
use crate::state::Api;
use crate::wire::Url;

/// How often it is looked for more while a build goes on.
const LOOK: Duration = Duration::from_millis(200);

/// Where the log of a snapshot's build is read.
#[utoipa::path(
    get, path = "/snapshots/{id}/build-logs-url", tag = "snapshots",
    params(("id" = String, Path, description = "Name or id")), responses((status = 200, body = Url))
)]
pub(in crate::routes) async fn url(
    caller: Caller,
    State(api): State<Api>,
    Segments(text): Segments<String>,
) -> Result<Json<Url>, ApiError> {
    let snapshot = api.control.snapshot(&caller, &text).await?;
    api.control.snapshot_build_log(&caller, &text, u32::MAX).await?;
    Ok(Json(Url { url: format!("{}/snapshots/{}/build-logs", api.config.urls.api, snapshot.id) }))
}

/// The log of a snapshot's build: UTF-8, whole lines; nothing once the snapshot is active.
#[utoipa::path(
    get, path = "/snapshots/{id}/build-logs", tag = "snapshots",
    params(
        ("id" = String, Path, description = "Name or id"),
        ("follow" = Option<bool>, Query, description = "Until the build has ended"),
    ),
    responses((status = 200, content_type = "application/octet-stream"))
)]
pub(in crate::routes) async fn read(
    caller: Caller,
    State(api): State<Api>,
    Segments(text): Segments<String>,
    mut query: Query,
) -> Result<Response, ApiError> {
    let follow = query.flag("follow").unwrap_or(false);
    query.finish()?;
    let first = api.control.snapshot_build_log(&caller, &text, 0).await?;
    let body = if first.state == SnapshotState::Active {
        Body::empty()
    } else if follow && goes_on(&first) {
        followed(api, caller, text, first)
    } else {
        Body::from(first.text)
    };
    Ok(([(CONTENT_TYPE, "application/octet-stream")], body).into_response())
}

/// The log from its beginning, and what is added until the build has ended or its snapshot is gone.
fn followed(api: Api, caller: Caller, text: String, first: BuildLog) -> Body {
    let state = (api, caller, text, Some(first), 0_u32);
    Body::from_stream(stream::try_unfold(state, |(api, caller, text, mut ready, mut seen)| async move {
        loop {
            let log = match ready.take() {
                Some(log) => log,
                None => match api.control.snapshot_build_log(&caller, &text, seen).await {
                    Ok(log) => log,
                    Err(_) => return Ok::<_, Error>(None),
                },
            };
            let more = goes_on(&log);
            seen = log.seen;
            if !log.text.is_empty() {
                return Ok(Some((Bytes::from(log.text), (api, caller, text, None, seen))));
            }
            if !more {
                return Ok(None);
            }
            tokio::time::sleep(LOOK).await;
        }
    }))
}

fn goes_on(log: &BuildLog) -> bool {
    matches!(log.state, SnapshotState::Pending | SnapshotState::Building)
}
