//! Following a command's log without a WebSocket (contract, toolbox §1.4).
//!
//! To a toolbox `follow=true` on plain HTTP means nothing, unless harbor's own header says that the caller was promised
//! a stream. It is promised on the route of one command, and nowhere else.

use http::{HeaderMap, Method, Uri, header};

/// Whether the caller of this route of the toolbox was promised a stream.
pub(crate) fn is_promised(method: &Method, uri: &Uri, headers: &HeaderMap) -> bool {
    method == Method::GET && is_log_of_command(uri.path()) && follows(uri) && !upgrades(headers)
}

/// Reads `/process/session/{sessionId}/command/{commandId}/logs`.
fn is_log_of_command(path: &str) -> bool {
    let segments: Vec<&str> = path.split('/').take(8).collect();
    matches!(segments[..], ["", "process", "session", session, "command", command, "logs"]
        if !session.is_empty() && !command.is_empty())
}

/// Exactly this spelling; anything else counts as absent (§8.8).
fn follows(uri: &Uri) -> bool {
    uri.query().is_some_and(|query| query.split('&').any(|pair| pair == "follow=true"))
}

fn upgrades(headers: &HeaderMap) -> bool {
    headers.get(header::UPGRADE).is_some_and(|protocol| protocol.as_bytes().eq_ignore_ascii_case(b"websocket"))
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue, Request};

    use super::*;

    fn asked(method: &str, uri: &str, headers: &[(&'static str, &'static str)]) -> bool {
        let (mut head, ()) = Request::builder().method(method).uri(uri).body(()).unwrap().into_parts();
        head.headers.extend(
            headers.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))),
        );
        is_promised(&head.method, &head.uri, &head.headers)
    }

    #[test]
    fn only_the_log_of_a_command_is_streamed() {
        assert!(asked("GET", "/process/session/a%2Fb/command/c/logs?x=1&follow=true", &[]));
        assert!(asked("GET", "/process/session/s/command/c/logs?follow=true", &[("upgrade", "h2c")]));
        for uri in [
            "/process/session/s/command/c/logs",
            "/process/session/s/command/c/logs?follow=True",
            "/process/session/s/command/c/logs?nofollow=true",
            "/process/session/entrypoint/logs?follow=true",
            "/process/session/s/command/c?follow=true",
            "/process/session/s/command/c/logs/x?follow=true",
            "/process/session//command/c/logs?follow=true",
        ] {
            assert!(!asked("GET", uri, &[]), "{uri}");
        }
        assert!(!asked("POST", "/process/session/s/command/c/logs?follow=true", &[]));
        assert!(!asked("GET", "/process/session/s/command/c/logs?follow=true", &[("upgrade", "WebSocket")]));
    }
}
