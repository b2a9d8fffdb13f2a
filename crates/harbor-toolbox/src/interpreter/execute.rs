//! `GET /process/interpreter/execute`: one execution per WebSocket (contract, toolbox §9.2).
//!
//! Guarantees: problems are told with close codes, never by refusing the upgrade; a client that goes away does not stop
//! its execution; one that stops reading is sent away, and the execution goes on without it.

use std::time::Duration;

use axum::Extension;
use axum::extract::State;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade, close_code};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, StatusCode, header};
use serde::Deserialize;
use tokio::time::{Instant, timeout, timeout_at};

use super::contexts::{End, Interpreters, Job, Progress};
use super::output::{Chunk, Exception};
use super::worker::Ending;
use crate::cgroup::MemoryWatch;
use crate::context::Context;
use crate::http::client::{states_version, version_token};
use crate::http::json;
use crate::process::command::Variables;

/// Longest wait for the first message, and for a client to take a message or to answer a close.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long a client that closes by itself may take for that after the last message. Java's is one: it takes a close that
/// crosses its own for a failure. It is told from others, which wait for ours, by the version that it does not state.
const FAREWELL: Duration = Duration::from_millis(250);

/// Time limit of an execution that states none.
const LIMIT: i64 = 600;

/// A longer limit, a year, is none; the clock could not count to every number.
const LONGEST: u64 = 365 * 24 * 3600;

/// Close code of an execution that took longer than allowed.
const TIMED_OUT: u16 = 4008;

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Request {
    code: String,
    context_id: Option<String>,
    timeout: Option<i64>,
    envs: Variables,
}

/// How a connection is closed.
struct Close {
    code: u16,
    reason: String,
}

impl Close {
    fn new(code: u16, reason: impl Into<String>) -> Self {
        Self { code, reason: reason.into() }
    }

    fn policy(reason: impl Into<String>) -> Self {
        Self::new(close_code::POLICY, reason)
    }

    fn protocol(reason: &str) -> Self {
        Self::new(close_code::PROTOCOL, reason)
    }
}

/// Takes the upgrade; a plain request is refused as the contract says (§2.1).
pub(super) async fn execute(
    State(context): State<Context>,
    Extension(interpreters): Extension<Interpreters>,
    headers: HeaderMap,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Response {
    let Ok(upgrade) = upgrade else {
        let kind = [(header::CONTENT_TYPE, "text/plain; charset=utf-8")];
        return (StatusCode::BAD_REQUEST, kind, "Bad Request\n").into_response();
    };
    let upgrade = upgrade.protocols(version_token(&headers).map(str::to_owned));
    let closes_itself = !states_version(&headers);
    upgrade.on_upgrade(move |mut socket| async move {
        let end = match serve(&mut socket, &context, &interpreters).await {
            Ok(()) => {
                if closes_itself {
                    let _ = timeout(FAREWELL, until_closed(&mut socket)).await;
                }
                Close::new(close_code::NORMAL, "")
            }
            Err(close) => close,
        };
        close(socket, end).await;
    })
}

/// Runs what the client asks for. Ok: it completed, or the client is gone.
async fn serve(socket: &mut WebSocket, context: &Context, interpreters: &Interpreters) -> Result<(), Close> {
    let request = first_message(socket).await?;
    if request.code.is_empty() {
        return Err(Close::policy("code is required"));
    }
    let limit = u64::try_from(request.timeout.unwrap_or(LIMIT))
        .map_err(|_| Close::policy("timeout must be greater than or equal to 0"))?;
    let limit = Some(limit).filter(|limit| (1..LONGEST).contains(limit)).map(Duration::from_secs);
    let variables = request.envs.into_iter().map(|(name, value)| (name, value.unwrap_or_default()));
    let variables: Vec<_> = variables.collect();
    if let Some((name, _)) = variables.iter().find(|(name, value)| !can_be_set(name, value)) {
        return Err(Close::policy(shortened(&format!("invalid environment variable: {name:?}"))));
    }
    let interpreter = match &request.context_id {
        None => interpreters.default_context(context).await.map_err(|error| {
            Close::new(close_code::ERROR, shortened(&format!("failed to get default context: {error}")))
        })?,
        Some(id) => {
            interpreters.find(id).ok_or_else(|| Close::policy(shortened(&format!("context not found: {id}"))))?
        }
    };
    let (job, progress) = Job::new(&request.code, variables.into_iter(), limit);
    if !interpreter.enqueue(job) {
        return Err(Close::policy("too many executions wait on this context"));
    }
    relay(socket, progress, MemoryWatch::begin()).await
}

async fn first_message(socket: &mut WebSocket) -> Result<Request, Close> {
    let deadline = Instant::now() + PATIENCE;
    let unread = || Close::protocol("failed to read first message");
    loop {
        let message = timeout_at(deadline, socket.recv()).await.map_err(|_| unread())?;
        let body = match message {
            Some(Ok(Message::Text(text))) => text.into(),
            Some(Ok(Message::Binary(bytes))) => bytes,
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => continue,
            _ => return Err(unread()),
        };
        let request: Option<Request> = json::decode(&body).map_err(|_| Close::protocol("invalid JSON payload"))?;
        return Ok(request.unwrap_or_default());
    }
}

fn can_be_set(name: &str, value: &str) -> bool {
    !name.is_empty() && !name.contains(['=', '\0']) && !value.contains('\0')
}

/// Passes everything on, the end last. Dropping the progress lets the execution go on by itself.
async fn relay(
    socket: &mut WebSocket,
    Progress { mut texts, end }: Progress,
    memory: MemoryWatch,
) -> Result<(), Close> {
    loop {
        let text = tokio::select! {
            text = texts.recv() => text,
            // Receiving also answers the client's pings; what else it says is ignored.
            message = socket.recv() => match message {
                Some(Ok(Message::Close(_)) | Err(_)) | None => return Ok(()),
                Some(Ok(_)) => continue,
            },
        };
        match text {
            Some(text) => send(socket, &Chunk::text(text)).await?,
            None => break,
        }
    }
    match end.await {
        Ok(end) => conclude(socket, end, memory).await,
        Err(_) => Err(Close::new(close_code::AWAY, "context shutdown")),
    }
}

async fn conclude(socket: &mut WebSocket, end: End, memory: MemoryWatch) -> Result<(), Close> {
    match end {
        Ok(Ending::Completed(exception)) => {
            if let Some(exception) = exception {
                send(socket, &Chunk::error(&exception)).await?;
            }
            send(socket, &Chunk::completed()).await
        }
        // No control chunk: several clients would take it for success (§9.2).
        Ok(Ending::Interrupted | Ending::Killed) => Err(Close::new(TIMED_OUT, "")),
        Ok(Ending::Died) => Err(match memory.verdict() {
            Some(verdict) => {
                // Several clients do not show why a socket was closed.
                send(socket, &Chunk::error(&Exception::new("MemoryError", &verdict))).await?;
                Close::new(close_code::AWAY, shortened(&format!("worker process ended: {verdict}")))
            }
            None => Close::new(close_code::AWAY, "worker process ended"),
        }),
        Err(reason) => Err(Close::policy(shortened(&format!("context is not active: {reason}")))),
    }
}

async fn send(socket: &mut WebSocket, chunk: &Chunk) -> Result<(), Close> {
    let text = serde_json::to_string(chunk).map_err(|error| Close::new(close_code::ERROR, error.to_string()))?;
    match timeout(PATIENCE, socket.send(Message::Text(text.into()))).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) => Err(Close::new(close_code::NORMAL, "")), // gone; nobody will read this
        Err(_) => Err(Close::policy("slow consumer")),
    }
}

async fn until_closed(socket: &mut WebSocket) {
    while let Some(Ok(message)) = socket.recv().await {
        if matches!(message, Message::Close(_)) {
            return;
        }
    }
}

/// Closes and waits for the client to do the same, so that nothing under way is lost.
async fn close(mut socket: WebSocket, Close { code, reason }: Close) {
    let frame = CloseFrame { code, reason: reason.into() };
    // The client may be gone, or never answer.
    let _ = timeout(PATIENCE, async {
        if socket.send(Message::Close(Some(frame))).await.is_ok() {
            while let Some(Ok(_)) = socket.recv().await {}
        }
    })
    .await;
}

/// A close frame has room for 123 bytes of reason.
fn shortened(reason: &str) -> String {
    const ROOM: usize = 123;
    reason[..reason.floor_char_boundary(ROOM)].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_fit_into_a_close_frame() {
        assert_eq!(shortened("short"), "short");
        let long = "é".repeat(100);
        assert_eq!(shortened(&long), "é".repeat(61));
    }

    #[test]
    fn variables_that_no_process_can_have_are_refused() {
        for (name, value, possible) in
            [("A", "1", true), ("a-b", "", true), ("", "x", false), ("A=", "x", false), ("A", "\0", false)]
        {
            assert_eq!(can_be_set(name, value), possible, "{name:?} {value:?}");
        }
    }
}
