//! What builds say, while they go on and afterwards (contract, control-plane §5.15).

use std::time::Duration;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream;
use harbor_control::{BuildLog, Built, Caller, Error};
use harbor_model::errors::chain;
use harbor_model::names::SandboxRef;
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
pub(in crate::routes) async fn snapshot_log_url(
    caller: Caller,
    State(api): State<Api>,
    Segments(text): Segments<String>,
) -> Result<Json<Url>, ApiError> {
    let id = api.control.snapshot(&caller, &text).await?.id;
    api.control.build_log(&caller, &Built::Snapshot(text), u32::MAX).await?;
    Ok(Json(Url { url: format!("{}/snapshots/{id}/build-logs", api.config.urls.api) }))
}

/// The log of a snapshot's build: UTF-8, whole lines; nothing once the snapshot is active, unless it is followed.
#[utoipa::path(
    get, path = "/snapshots/{id}/build-logs", tag = "snapshots",
    params(
        ("id" = String, Path, description = "Name or id"),
        ("follow" = Option<bool>, Query, description = "Until the build has ended"),
    ),
    responses((status = 200, content_type = "application/octet-stream"))
)]
pub(in crate::routes) async fn snapshot_log(
    caller: Caller,
    State(api): State<Api>,
    Segments(text): Segments<String>,
    query: Query,
) -> Result<Response, ApiError> {
    // by its id: the name may be given to another one meanwhile
    let id = api.control.snapshot(&caller, &text).await?.id.to_string();
    log(api, caller, Built::Snapshot(id), query).await
}

/// Where the log of the build of a sandbox's image is read.
#[utoipa::path(
    get, path = "/sandbox/{sandboxIdOrName}/build-logs-url", tag = "sandbox",
    params(("sandboxIdOrName" = String, Path)), responses((status = 200, body = Url))
)]
pub(in crate::routes) async fn sandbox_log_url(
    caller: Caller,
    State(api): State<Api>,
    Segments(text): Segments<String>,
) -> Result<Json<Url>, ApiError> {
    let sandbox = SandboxRef::new(text);
    let id = api.control.sandbox(&caller, &sandbox).await?.id;
    api.control.build_log(&caller, &Built::Sandbox(sandbox), u32::MAX).await?;
    Ok(Json(Url { url: format!("{}/sandbox/{id}/build-logs", api.config.urls.api) }))
}

/// The log of the build of a sandbox's image: UTF-8, whole lines.
#[utoipa::path(
    get, path = "/sandbox/{sandboxIdOrName}/build-logs", tag = "sandbox",
    params(
        ("sandboxIdOrName" = String, Path),
        ("follow" = Option<bool>, Query, description = "Until the build has ended"),
    ),
    responses((status = 200, content_type = "application/octet-stream"))
)]
pub(in crate::routes) async fn sandbox_log(
    caller: Caller,
    State(api): State<Api>,
    Segments(text): Segments<String>,
    query: Query,
) -> Result<Response, ApiError> {
    let id = api.control.sandbox(&caller, &SandboxRef::new(text)).await?.id;
    log(api, caller, Built::Sandbox(id.into()), query).await
}

async fn log(api: Api, caller: Caller, built: Built, mut query: Query) -> Result<Response, ApiError> {
    // what was not built is told before what is wrong with the question
    let first = api.control.build_log(&caller, &built, 0).await?;
    let follow = query.flag("follow").unwrap_or(false);
    query.finish()?;
    let body = match follow {
        true if first.goes_on => followed(api, caller, built, first),
        // who begins to follow a build that was quick gets all of it
        false if first.active => Body::empty(),
        _ => Body::from(first.text),
    };
    Ok(([(CONTENT_TYPE, "application/octet-stream")], body).into_response())
}

/// The log from its beginning, and what is added until the build has ended or what it is for is gone.
fn followed(api: Api, caller: Caller, built: Built, first: BuildLog) -> Body {
    let state = (api, caller, built, Some(first), 0);
    Body::from_stream(stream::try_unfold(state, |(api, caller, built, mut ready, mut seen)| async move {
        loop {
            let log = match ready.take() {
                Some(log) => log,
                None => match api.control.build_log(&caller, &built, seen).await {
                    Ok(log) => log,
                    Err(error) => {
                        tracing::debug!(error = chain(&error), "a build's log is not followed any further");
                        return Ok::<_, Error>(None);
                    }
                },
            };
            seen = log.seen;
            if !log.text.is_empty() {
                return Ok(Some((Bytes::from(log.text), (api, caller, built, None, seen))));
            }
            if !log.goes_on {
                return Ok(None);
            }
            tokio::time::sleep(LOOK).await;
        }
    }))
}
