//! Sandboxes (contract, control-plane §5).

mod copies;
mod create;
mod intervals;
mod list;

use axum::Json;
use axum::extract::State;
use harbor_control::{Allowed, Caller, DeleteSandboxes, WriteSandboxes};
use harbor_model::ids::SnapshotId;
use harbor_model::names::SandboxRef;
use harbor_model::resources::Asked;
use http::StatusCode;
use serde::Deserialize;
use utoipa::ToSchema;

pub(super) use copies::{
    __path_ancestors, __path_archive, __path_backup, __path_fork, __path_forks, __path_parent, __path_recover,
    __path_snapshot, ancestors, archive, backup, fork, forks, parent, recover, snapshot,
};
pub(super) use intervals::{
    __path_set_auto_archive, __path_set_auto_delete, __path_set_auto_pause, __path_set_auto_stop, __path_set_ttl,
    set_auto_archive, set_auto_delete, set_auto_pause, set_auto_stop, set_ttl,
};
pub(super) use list::{__path_list, __path_list_numbered, list, list_numbered};

use crate::error::ApiError;
use crate::input::{Body, Query, Segments, Warnings, whole};
use crate::state::Api;
use crate::wire::Url;
use crate::wire::sandboxes::{PortPreviewUrl, Sandbox, SandboxLabels};
use create::CreateSandbox;

/// Makes a sandbox; answers when it is started, or sooner with the state it has then.
#[utoipa::path(post, path = "/sandbox", tag = "sandbox", request_body = CreateSandbox, responses((status = 200, body = Sandbox)))]
pub(super) async fn create(
    caller: Allowed<WriteSandboxes>,
    State(api): State<Api>,
    body: Body,
    warnings: Warnings,
) -> Result<Json<Sandbox>, ApiError> {
    let asked = body.read::<CreateSandbox>().await?;
    asked.warn(&warnings);
    let new = asked.check()?;
    let snapshot = new.snapshot.clone().filter(|asked| !asked.trim().is_empty());
    let made = api.control.create_sandbox(&caller, new).await?;
    let by_id = |asked: &str| asked.parse::<SnapshotId>().is_ok();
    if let Some(asked) = snapshot.filter(|asked| *asked != made.origin.snapshot && !by_id(asked)) {
        let used = &made.origin.snapshot;
        warnings.add(format!("snapshot {asked} is not here: the sandbox was made of {used}, which stands for it"));
    }
    Ok(api.render(made))
}

/// One sandbox, by id or name.
#[utoipa::path(
    get, path = "/sandbox/{sandboxIdOrName}", tag = "sandbox", params(("sandboxIdOrName" = String, Path)),
    responses((status = 200, body = Sandbox))
)]
pub(super) async fn get(
    caller: Caller,
    State(api): State<Api>,
    Segments(sandbox): Segments<String>,
) -> Result<Json<Sandbox>, ApiError> {
    Ok(api.render(api.control.sandbox(&caller, &SandboxRef::new(sandbox)).await?))
}

/// Wants the sandbox gone, and answers at once.
#[utoipa::path(
    delete, path = "/sandbox/{sandboxIdOrName}", tag = "sandbox", params(("sandboxIdOrName" = String, Path)),
    responses((status = 200, body = Sandbox))
)]
pub(super) async fn delete(
    caller: Allowed<DeleteSandboxes>,
    State(api): State<Api>,
    Segments(sandbox): Segments<String>,
) -> Result<Json<Sandbox>, ApiError> {
    Ok(api.render(api.control.delete_sandbox(&caller, &SandboxRef::new(sandbox)).await?))
}

/// Starts the sandbox; answers when it is started, or sooner with the state it has then.
#[utoipa::path(
    post, path = "/sandbox/{sandboxIdOrName}/start", tag = "sandbox", params(("sandboxIdOrName" = String, Path)),
    responses((status = 200, body = Sandbox))
)]
pub(super) async fn start(
    caller: Allowed<WriteSandboxes>,
    State(api): State<Api>,
    Segments(sandbox): Segments<String>,
) -> Result<Json<Sandbox>, ApiError> {
    Ok(api.render(api.control.start_sandbox(&caller, &SandboxRef::new(sandbox)).await?))
}

/// Wants the sandbox stopped, and answers at once.
#[utoipa::path(
    post, path = "/sandbox/{sandboxIdOrName}/stop", tag = "sandbox",
    params(
        ("sandboxIdOrName" = String, Path),
        ("force" = Option<bool>, Query, description = "Its processes get no time to end by themselves"),
    ),
    responses((status = 200, body = Sandbox))
)]
pub(super) async fn stop(
    caller: Allowed<WriteSandboxes>,
    State(api): State<Api>,
    Segments(sandbox): Segments<String>,
    mut query: Query,
) -> Result<Json<Sandbox>, ApiError> {
    let force = query.flag("force").unwrap_or(false);
    query.finish()?;
    Ok(api.render(api.control.stop_sandbox(&caller, &SandboxRef::new(sandbox), force).await?))
}

/// Wants the sandbox's processes frozen, and answers at once. A start lets them go on.
#[utoipa::path(
    post, path = "/sandbox/{sandboxIdOrName}/pause", tag = "sandbox", params(("sandboxIdOrName" = String, Path)),
    responses((status = 200, body = Sandbox))
)]
pub(super) async fn pause(
    caller: Allowed<WriteSandboxes>,
    State(api): State<Api>,
    Segments(sandbox): Segments<String>,
) -> Result<Json<Sandbox>, ApiError> {
    Ok(api.render(api.control.pause_sandbox(&caller, &SandboxRef::new(sandbox)).await?))
}

/// Sizes to give a sandbox; absent ones stay.
#[derive(Deserialize, ToSchema)]
pub(super) struct ResizeSandbox {
    #[serde(default, deserialize_with = "whole")]
    cpu: Option<i64>,
    /// GiB.
    #[serde(default, deserialize_with = "whole")]
    memory: Option<i64>,
    /// GiB.
    #[serde(default, deserialize_with = "whole")]
    disk: Option<i64>,
}

/// Gives the sandbox other sizes; answers when it has them, or sooner with the state it has then.
#[utoipa::path(
    post, path = "/sandbox/{sandboxIdOrName}/resize", tag = "sandbox", params(("sandboxIdOrName" = String, Path)),
    request_body = ResizeSandbox, responses((status = 200, body = Sandbox))
)]
pub(super) async fn resize(
    caller: Allowed<WriteSandboxes>,
    State(api): State<Api>,
    Segments(sandbox): Segments<String>,
    body: Body,
) -> Result<Json<Sandbox>, ApiError> {
    let ResizeSandbox { cpu, memory, disk } = body.read().await?;
    let asked =
        Asked { cpu: size("cpu", cpu)?, memory_gib: size("memory", memory)?, disk_gib: size("disk", disk)?, gpu: None };
    Ok(api.render(api.control.resize_sandbox(&caller, &SandboxRef::new(sandbox), asked).await?))
}

fn size(field: &str, given: Option<i64>) -> Result<Option<u32>, ApiError> {
    let Some(given) = given else { return Ok(None) };
    let size = u32::try_from(given).ok().filter(|size| *size > 0);
    size.map(Some)
        .ok_or_else(|| ApiError::invalid(format!("{field} must be a number from 1 to {}, not {given}", u32::MAX)))
}

/// Replaces all labels.
#[utoipa::path(
    put, path = "/sandbox/{sandboxIdOrName}/labels", tag = "sandbox", params(("sandboxIdOrName" = String, Path)),
    request_body = SandboxLabels, responses((status = 200, body = Sandbox))
)]
pub(super) async fn set_labels(
    caller: Allowed<WriteSandboxes>,
    State(api): State<Api>,
    Segments(sandbox): Segments<String>,
    body: Body,
) -> Result<Json<Sandbox>, ApiError> {
    let SandboxLabels { labels } = body.read().await?;
    Ok(api.render(api.control.set_labels(&caller, &SandboxRef::new(sandbox), labels).await?))
}

/// Says whether the sandbox's previews need no token: `true` means that, anything else that they do.
#[utoipa::path(
    post, path = "/sandbox/{sandboxIdOrName}/public/{isPublic}", tag = "sandbox",
    params(("sandboxIdOrName" = String, Path), ("isPublic" = bool, Path)), responses((status = 200, body = Sandbox))
)]
pub(super) async fn set_public(
    caller: Allowed<WriteSandboxes>,
    State(api): State<Api>,
    Segments((sandbox, public)): Segments<(String, String)>,
    warnings: Warnings,
) -> Result<Json<Sandbox>, ApiError> {
    let public = public == "true";
    if public {
        warnings.add(create::PUBLIC);
    }
    Ok(api.render(api.control.set_public(&caller, &SandboxRef::new(sandbox), public).await?))
}

/// Base of toolbox calls.
#[utoipa::path(
    get, path = "/sandbox/{sandboxId}/toolbox-proxy-url", tag = "sandbox",
    params(("sandboxId" = String, Path, description = "Id or name")), responses((status = 200, body = Url))
)]
pub(super) async fn toolbox_proxy_url(
    caller: Caller,
    State(api): State<Api>,
    Segments(sandbox): Segments<String>,
) -> Result<Json<Url>, ApiError> {
    api.control.sandbox(&caller, &SandboxRef::new(sandbox)).await?;
    Ok(Json(Url { url: api.config.urls.proxy_toolbox.clone() }))
}

/// URL and token of a port's preview. The token opens the sandbox's toolbox too, so it needs what that needs.
#[utoipa::path(
    get, path = "/sandbox/{sandboxIdOrName}/ports/{port}/preview-url", tag = "sandbox",
    params(("sandboxIdOrName" = String, Path), ("port" = u16, Path)), responses((status = 200, body = PortPreviewUrl))
)]
pub(super) async fn preview_url(
    caller: Allowed<WriteSandboxes>,
    State(api): State<Api>,
    Segments((sandbox, port)): Segments<(String, String)>,
) -> Result<Json<PortPreviewUrl>, ApiError> {
    let port = parse_port(&port)?;
    let sandbox = api.control.sandbox(&caller, &SandboxRef::new(sandbox)).await?;
    let sandbox_id = sandbox.id.to_string();
    let url = api.config.urls.preview.of(&port.to_string(), &sandbox_id);
    Ok(Json(PortPreviewUrl { sandbox_id, url, token: sandbox.preview_token.reveal().to_owned() }))
}

fn parse_port(text: &str) -> Result<u16, ApiError> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse()
        .ok()
        .filter(|port| digits && *port > 0)
        .ok_or_else(|| ApiError::invalid("port must be a number from 1 to 65535"))
}

/// The key that signs URLs of the sandbox's files, as bare text.
#[utoipa::path(
    get, path = "/sandbox/{sandboxId}/signing-key", tag = "sandbox",
    params(("sandboxId" = String, Path, description = "Id or name")),
    responses((status = 200, body = String, content_type = "text/plain"))
)]
pub(super) async fn signing_key(
    caller: Allowed<WriteSandboxes>,
    State(api): State<Api>,
    Segments(sandbox): Segments<String>,
) -> Result<String, ApiError> {
    let key = api.control.signing_key(&caller, &SandboxRef::new(sandbox)).await?;
    Ok(key.reveal().to_owned())
}

/// Replaces that key: URLs signed before open nothing from then on. Answers the new one, as bare text.
#[utoipa::path(
    post, path = "/sandbox/{sandboxId}/signing-key/rotate", tag = "sandbox",
    params(("sandboxId" = String, Path, description = "Id or name")),
    responses((status = 200, body = String, content_type = "text/plain"))
)]
pub(super) async fn rotate_signing_key(
    caller: Allowed<WriteSandboxes>,
    State(api): State<Api>,
    Segments(sandbox): Segments<String>,
) -> Result<String, ApiError> {
    let key = api.control.rotate_signing_key(&caller, &SandboxRef::new(sandbox)).await?;
    Ok(key.reveal().to_owned())
}

/// Notes that the sandbox is in use.
#[utoipa::path(
    post, path = "/sandbox/{sandboxId}/last-activity", tag = "sandbox", params(("sandboxId" = String, Path)),
    responses((status = 201, description = "Noted"))
)]
pub(super) async fn last_activity(
    caller: Caller,
    State(api): State<Api>,
    Segments(sandbox): Segments<String>,
) -> Result<StatusCode, ApiError> {
    api.control.note_activity(&caller, &SandboxRef::new(sandbox)).await?;
    Ok(StatusCode::CREATED)
}

impl Api {
    fn render(&self, sandbox: harbor_model::sandboxes::Sandbox) -> Json<Sandbox> {
        Json(Sandbox::of(sandbox, &self.config))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_whole_numbers_in_range() {
        assert_eq!(parse_port("1").unwrap(), 1);
        assert_eq!(parse_port("65535").unwrap(), 65_535);
        for text in ["0", "65536", "-1", "+80", "abc", "3000.5", "", " 80", "1e3"] {
            assert_eq!(parse_port(text).unwrap_err().status, 400, "{text}");
        }
    }
}
