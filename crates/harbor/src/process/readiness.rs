//! Whether a serving harbor can make sandboxes, and what it lacks: `/api/harbor/ready`.

use std::time::Duration;

use anyhow::Context as _;

use super::announce::reasons;
use super::http;
use super::state::Ready;

/// How long the API may take to say how it is; it gives its components five seconds.
const PATIENCE: Duration = Duration::from_secs(10);

/// What keeps it from making sandboxes, each part with its reason; `None`: nothing does.
pub(crate) fn problem(ready: &Ready) -> Option<String> {
    ask(ready).err().as_ref().map(reasons)
}

fn ask(ready: &Ready) -> anyhow::Result<()> {
    let address = ready.api_address().context("the API does not listen")?;
    let (status, body) = http::answer(address, "/api/harbor/ready", PATIENCE)?;
    anyhow::ensure!(status.is_success(), "{}", missing(&body).unwrap_or_else(|| format!("its API answers {status}")));
    Ok(())
}

/// The components that are down, each with its reason, from the body of `/api/harbor/ready`.
fn missing(body: &[u8]) -> Option<String> {
    let body: serde_json::Value = serde_json::from_slice(body).ok()?;
    let down = body["error"].as_object()?;
    let reasons: Vec<String> =
        down.iter().map(|(name, part)| format!("{name}: {}", part["message"].as_str().unwrap_or("down"))).collect();
    (!reasons.is_empty()).then(|| reasons.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_down_is_named_with_its_reason() {
        let body =
            br#"{"status":"error","info":{"b":{"status":"up"}},"error":{"engine":{"status":"down","message":"gone"}}}"#;
        assert_eq!(missing(body).as_deref(), Some("engine: gone"));
        assert_eq!(missing(b"no JSON"), None);
        assert_eq!(missing(br#"{"error":{}}"#), None);
    }
}
