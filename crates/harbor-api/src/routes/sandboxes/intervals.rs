//! When a sandbox is stopped, paused, archived or deleted by itself (contract, control-plane §5.5, §5.13).

use axum::Json;
use axum::extract::State;
use harbor_control::{Allowed, WriteSandboxes};
use harbor_model::names::SandboxRef;

use crate::error::ApiError;
use crate::input::{Segments, whole_number};
use crate::state::Api;
use crate::wire::sandboxes::Sandbox;

/// Stops the sandbox from now on when nobody has used it for so long.
#[utoipa::path(
    post, path = "/sandbox/{sandboxIdOrName}/autostop/{interval}", tag = "sandbox",
    params(("sandboxIdOrName" = String, Path), ("interval" = u32, Path, description = "Minutes; 0: never")),
    responses((status = 200, body = Sandbox))
)]
pub(in crate::routes) async fn set_auto_stop(
    caller: Allowed<WriteSandboxes>,
    State(api): State<Api>,
    Segments((sandbox, interval)): Segments<(String, String)>,
) -> Result<Json<Sandbox>, ApiError> {
    let interval = minutes("autoStopInterval", &interval)?;
    Ok(api.render(api.control.set_auto_stop(&caller, &SandboxRef::new(sandbox), interval).await?))
}

/// Pauses the sandbox from now on when nobody has used it for so long.
#[utoipa::path(
    post, path = "/sandbox/{sandboxIdOrName}/autopause/{interval}", tag = "sandbox",
    params(("sandboxIdOrName" = String, Path), ("interval" = u32, Path, description = "Minutes; 0: never")),
    responses((status = 200, body = Sandbox))
)]
pub(in crate::routes) async fn set_auto_pause(
    caller: Allowed<WriteSandboxes>,
    State(api): State<Api>,
    Segments((sandbox, interval)): Segments<(String, String)>,
) -> Result<Json<Sandbox>, ApiError> {
    let interval = minutes("autoPauseInterval", &interval)?;
    Ok(api.render(api.control.set_auto_pause(&caller, &SandboxRef::new(sandbox), interval).await?))
}

/// Archives the sandbox from now on when it has been stopped for so long.
#[utoipa::path(
    post, path = "/sandbox/{sandboxIdOrName}/autoarchive/{interval}", tag = "sandbox",
    params(
        ("sandboxIdOrName" = String, Path),
        ("interval" = u32, Path, description = "Minutes; 0, and more than thirty days: thirty days"),
    ),
    responses((status = 200, body = Sandbox))
)]
pub(in crate::routes) async fn set_auto_archive(
    caller: Allowed<WriteSandboxes>,
    State(api): State<Api>,
    Segments((sandbox, interval)): Segments<(String, String)>,
) -> Result<Json<Sandbox>, ApiError> {
    let interval = minutes("autoArchiveInterval", &interval)?;
    Ok(api.render(api.control.set_auto_archive(&caller, &SandboxRef::new(sandbox), interval).await?))
}

/// Deletes the sandbox from now on when it has been stopped for so long.
#[utoipa::path(
    post, path = "/sandbox/{sandboxIdOrName}/autodelete/{interval}", tag = "sandbox",
    params(
        ("sandboxIdOrName" = String, Path),
        ("interval" = i64, Path, description = "Minutes; 0: as soon as it stops, below 0: never"),
    ),
    responses((status = 200, body = Sandbox))
)]
pub(in crate::routes) async fn set_auto_delete(
    caller: Allowed<WriteSandboxes>,
    State(api): State<Api>,
    Segments((sandbox, interval)): Segments<(String, String)>,
) -> Result<Json<Sandbox>, ApiError> {
    let interval = minutes("autoDeleteInterval", &interval)?;
    Ok(api.render(api.control.set_auto_delete(&caller, &SandboxRef::new(sandbox), interval).await?))
}

/// Deletes the sandbox in so many minutes, whatever state it is in then.
#[utoipa::path(
    post, path = "/sandbox/{sandboxIdOrName}/ttl/{ttlMinutes}", tag = "sandbox",
    params(("sandboxIdOrName" = String, Path), ("ttlMinutes" = u32, Path, description = "Minutes; 0: never")),
    responses((status = 200, body = Sandbox))
)]
pub(in crate::routes) async fn set_ttl(
    caller: Allowed<WriteSandboxes>,
    State(api): State<Api>,
    Segments((sandbox, ttl)): Segments<(String, String)>,
) -> Result<Json<Sandbox>, ApiError> {
    let ttl = minutes("ttlMinutes", &ttl)?;
    Ok(api.render(api.control.set_ttl(&caller, &SandboxRef::new(sandbox), ttl).await?))
}

/// Clients write whole numbers as `15` and as `15.0`.
fn minutes(field: &str, text: &str) -> Result<i64, ApiError> {
    whole_number(text).ok_or_else(|| {
        let shown: String = text.chars().take(40).flat_map(char::escape_default).collect();
        ApiError::invalid(format!("{field} must be a whole number of minutes, not {shown}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_are_whole_numbers() {
        for (text, number) in [("15", 15), ("15.0", 15), ("0", 0), ("-1", -1)] {
            assert_eq!(minutes("ttlMinutes", text).unwrap(), number);
        }
        for text in ["", "1.5", "ten", "1e3", "0x10", "+5", "NaN", "inf", "--1", "99999999999999999999", " 5"] {
            let refused = minutes("ttlMinutes", text).unwrap_err();
            assert_eq!(refused.status, 400);
            assert!(refused.message.starts_with("ttlMinutes must"), "{text}: {}", refused.message);
        }
    }
}
