//! What is made of a sandbox's files, and what brings one back (contract, control-plane §5.5, §5.12).

use axum::Json;
use axum::extract::State;
use harbor_control::{Allowed, Caller, WriteSandboxes};
use harbor_model::names::{DisplayName, SandboxRef};
use serde::Deserialize;
use utoipa::ToSchema;

use crate::error::ApiError;
use crate::input::{Body, Query, Segments};
use crate::state::Api;
use crate::wire::sandboxes::Sandbox;

/// Stores the sandbox's files and removes its containers; answers at once. A start brings it back.
#[utoipa::path(
    post, path = "/sandbox/{sandboxIdOrName}/archive", tag = "sandbox", params(("sandboxIdOrName" = String, Path)),
    responses((status = 200, body = Sandbox))
)]
pub(in crate::routes) async fn archive(
    caller: Allowed<WriteSandboxes>,
    State(api): State<Api>,
    Segments(sandbox): Segments<String>,
) -> Result<Json<Sandbox>, ApiError> {
    Ok(api.render(api.control.archive_sandbox(&caller, &SandboxRef::new(sandbox)).await?))
}

/// Stores the sandbox's files beside it; answers at once.
#[utoipa::path(
    post, path = "/sandbox/{sandboxIdOrName}/backup", tag = "sandbox", params(("sandboxIdOrName" = String, Path)),
    responses((status = 200, body = Sandbox))
)]
pub(in crate::routes) async fn backup(
    caller: Allowed<WriteSandboxes>,
    State(api): State<Api>,
    Segments(sandbox): Segments<String>,
) -> Result<Json<Sandbox>, ApiError> {
    Ok(api.render(api.control.back_up_sandbox(&caller, &SandboxRef::new(sandbox)).await?))
}

/// What a fork is called.
#[derive(Deserialize, ToSchema)]
pub(in crate::routes) struct ForkSandbox {
    /// Its id otherwise.
    name: Option<String>,
}

/// Makes another sandbox with the files that this one has now; answers when it is started, or sooner with the state it
/// has then.
#[utoipa::path(
    post, path = "/sandbox/{sandboxIdOrName}/fork", tag = "sandbox", params(("sandboxIdOrName" = String, Path)),
    request_body = ForkSandbox, responses((status = 200, body = Sandbox))
)]
pub(in crate::routes) async fn fork(
    caller: Allowed<WriteSandboxes>,
    State(api): State<Api>,
    Segments(sandbox): Segments<String>,
    body: Body,
) -> Result<Json<Sandbox>, ApiError> {
    let ForkSandbox { name } = body.read().await?;
    let name = name.filter(|name| !name.is_empty()).map(|name| named(&name)).transpose()?;
    Ok(api.render(api.control.fork_sandbox(&caller, &SandboxRef::new(sandbox), name).await?))
}

/// What a snapshot of a sandbox is called.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::routes) struct CreateSandboxSnapshot {
    name: String,
    /// Of no use for containers: true is refused.
    include_memory: Option<bool>,
}

/// Makes a snapshot of the files that the sandbox has now; answers at once with the sandbox, which is `snapshotting` until
/// the snapshot is there.
#[utoipa::path(
    post, path = "/sandbox/{sandboxIdOrName}/snapshot", tag = "sandbox", params(("sandboxIdOrName" = String, Path)),
    request_body = CreateSandboxSnapshot, responses((status = 200, body = Sandbox))
)]
pub(in crate::routes) async fn snapshot(
    caller: Allowed<WriteSandboxes>,
    State(api): State<Api>,
    Segments(sandbox): Segments<String>,
    body: Body,
) -> Result<Json<Sandbox>, ApiError> {
    let CreateSandboxSnapshot { name, include_memory } = body.read().await?;
    if include_memory == Some(true) {
        return Err(ApiError::invalid("includeMemory: the memory of a container cannot be kept; leave it out"));
    }
    let name = named(&name)?;
    Ok(api.render(api.control.snapshot_sandbox(&caller, &SandboxRef::new(sandbox), name).await?))
}

/// Tries again what the sandbox failed at, or brings back its files as they were last stored.
#[utoipa::path(
    post, path = "/sandbox/{sandboxIdOrName}/recover", tag = "sandbox",
    params(
        ("sandboxIdOrName" = String, Path),
        ("skipStart" = Option<bool>, Query, description = "It is not started"),
    ),
    responses((status = 200, body = Sandbox))
)]
pub(in crate::routes) async fn recover(
    caller: Allowed<WriteSandboxes>,
    State(api): State<Api>,
    Segments(sandbox): Segments<String>,
    mut query: Query,
) -> Result<Json<Sandbox>, ApiError> {
    let start = !query.flag("skipStart").unwrap_or(false);
    query.finish()?;
    Ok(api.render(api.control.recover_sandbox(&caller, &SandboxRef::new(sandbox), start).await?))
}

/// The sandboxes that were made of this one's files, oldest first.
#[utoipa::path(
    get, path = "/sandbox/{sandboxIdOrName}/forks", tag = "sandbox",
    params(
        ("sandboxIdOrName" = String, Path),
        ("includeDestroyed" = Option<bool>, Query, description = "Also those that are gone"),
    ),
    responses((status = 200, body = Vec<Sandbox>))
)]
pub(in crate::routes) async fn forks(
    caller: Caller,
    State(api): State<Api>,
    Segments(sandbox): Segments<String>,
    mut query: Query,
) -> Result<Json<Vec<Sandbox>>, ApiError> {
    let gone = query.flag("includeDestroyed").unwrap_or(false);
    query.finish()?;
    let forks = api.control.forks(&caller, &SandboxRef::new(sandbox), gone).await?;
    Ok(Json(forks.into_iter().map(|fork| Sandbox::of(fork, &api.config)).collect()))
}

/// The sandbox of whose files this one was made.
#[utoipa::path(
    get, path = "/sandbox/{sandboxIdOrName}/parent", tag = "sandbox", params(("sandboxIdOrName" = String, Path)),
    responses((status = 200, body = Sandbox))
)]
pub(in crate::routes) async fn parent(
    caller: Caller,
    State(api): State<Api>,
    Segments(sandbox): Segments<String>,
) -> Result<Json<Sandbox>, ApiError> {
    Ok(api.render(api.control.parent(&caller, &SandboxRef::new(sandbox)).await?))
}

/// The sandboxes that this one descends from, the first one first.
#[utoipa::path(
    get, path = "/sandbox/{sandboxIdOrName}/ancestors", tag = "sandbox", params(("sandboxIdOrName" = String, Path)),
    responses((status = 200, body = Vec<Sandbox>))
)]
pub(in crate::routes) async fn ancestors(
    caller: Caller,
    State(api): State<Api>,
    Segments(sandbox): Segments<String>,
) -> Result<Json<Vec<Sandbox>>, ApiError> {
    let ancestors = api.control.ancestors(&caller, &SandboxRef::new(sandbox)).await?;
    Ok(Json(ancestors.into_iter().map(|ancestor| Sandbox::of(ancestor, &api.config)).collect()))
}

fn named(name: &str) -> Result<DisplayName, ApiError> {
    name.parse().map_err(|error| ApiError::invalid(format!("name {error}")))
}
