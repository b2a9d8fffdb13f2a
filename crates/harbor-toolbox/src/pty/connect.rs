//! A terminal over a WebSocket (contract, toolbox §10.4 to §10.6).
//!
//! Guarantees: `connected` is the first frame and waits for nothing; the exit code is the last, behind all output;
//! pings are answered while output is sent; a client that takes nothing for ten seconds, or has fallen too far behind
//! the others, is dropped and the terminal goes on.

use std::sync::Arc;

use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade, close_code};
use axum::extract::{Query, State};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::StreamExt as _;
use http::{HeaderMap, StatusCode, header};
use serde::{Deserialize, Serialize};

use super::handshake::Offered;
use super::manage::Create;
use super::output::{Next, ReadFrom, Reader};
use super::session::{Life, Session};
use super::terminals::Terminals;
use crate::http::error::Error;
use crate::http::params::Params;
use crate::http::websocket::{self, Sink, Stream};

/// Most bytes of one input.
const LARGEST_INPUT: usize = 64 << 10;

/// What a client is told that does not read.
const SLOW: &str = "slow consumer";

type Upgrade = Result<WebSocketUpgrade, WebSocketUpgradeRejection>;

/// What the server says besides output.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Control<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
    #[serde(flatten)]
    exit: Option<&'a Exit>,
}

/// How a terminal ended.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Exit {
    exit_code: i32,
    #[serde(skip_serializing_if = "Option::is_none")]
    exit_reason: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct Replay {
    replay: Option<String>,
}

pub(super) async fn connect(
    State(terminals): State<Terminals>,
    Params(id): Params<String>,
    Query(Replay { replay }): Query<Replay>,
    headers: HeaderMap,
    upgrade: Upgrade,
) -> Response {
    let Ok(upgrade) = upgrade else { return no_upgrade() };
    let offered = Offered::of(&headers);
    let upgrade = offered.select(upgrade);
    let replay = replay.as_deref() == Some("1");
    match attach(&terminals, &id, replay) {
        Ok((session, reader)) => open(upgrade, session, reader, &offered),
        // Clients learn the reason from a frame, and the connection ends without a close.
        Err(error) => upgrade.on_upgrade(move |socket| refuse(socket, error.to_string())),
    }
}

fn attach(terminals: &Terminals, id: &str, replay: bool) -> Result<(Arc<Session>, Reader), Error> {
    let session = terminals.find(id);
    let session = session.ok_or_else(|| Error::not_found(format!("PTY session {id} not found")))?;
    // Who starts the shell sees all it writes.
    let started = terminals.start(&session)?;
    let reader = session.output.attach(if started || replay { ReadFrom::Held } else { ReadFrom::Now });
    Ok((session, reader))
}

/// What `create-connect` has in its query; the variables come as a subprotocol.
#[derive(Deserialize)]
pub(super) struct CreateConnect {
    #[serde(default)]
    id: String,
    cols: Option<u16>,
    rows: Option<u16>,
    #[serde(default)]
    cwd: String,
}

pub(super) async fn create_connect(
    State(terminals): State<Terminals>,
    query: Result<Query<CreateConnect>, axum::extract::rejection::QueryRejection>,
    headers: HeaderMap,
    upgrade: Upgrade,
) -> Result<Response, Error> {
    let Ok(upgrade) = upgrade else { return Ok(no_upgrade()) };
    let offered = Offered::of(&headers);
    let Query(CreateConnect { id, cols, rows, cwd }) = query.map_err(|error| Error::bad_request(error.body_text()))?;
    let create = Create { id, cwd, envs: offered.environment()?, cols, rows, lazy_start: false };
    let session = terminals.create(create.specify(&terminals.context)?)?;
    let reader = session.output.attach(ReadFrom::Held);
    Ok(open(offered.select(upgrade), session, reader, &offered))
}

fn no_upgrade() -> Response {
    let kind = [(header::CONTENT_TYPE, "text/plain; charset=utf-8")];
    (StatusCode::BAD_REQUEST, kind, "Bad Request\n").into_response()
}

async fn refuse(mut socket: WebSocket, reason: String) {
    let control = Control { kind: "control", status: "error", error: Some(&reason), exit: None };
    let _ = tokio::time::timeout(websocket::PATIENCE, socket.send(message(&control))).await;
}

fn open(upgrade: WebSocketUpgrade, session: Arc<Session>, reader: Reader, offered: &Offered) -> Response {
    let exit_control = offered.exit_control();
    upgrade.on_upgrade(move |socket| serve(socket, session, reader, exit_control))
}

/// Why a client is no longer served.
enum Ending {
    /// The client is gone.
    Gone,
    /// Close with this code and reason.
    Close(u16, String),
}

async fn serve(socket: WebSocket, session: Arc<Session>, reader: Reader, exit_control: bool) {
    let (mut sink, mut stream) = socket.split();
    let connected = Control { kind: "control", status: "connected", error: None, exit: None };
    if !websocket::send(&mut sink, message(&connected)).await {
        return;
    }
    let ending = tokio::select! {
        ending = show(&mut sink, &session, reader, exit_control) => ending,
        ending = take(&mut stream, &session) => ending,
    };
    if let Ending::Close(code, reason) = ending {
        websocket::close(sink, stream, code, &reason).await;
    }
}

/// Sends output until the terminal has ended.
async fn show(sink: &mut Sink, session: &Session, mut reader: Reader, exit_control: bool) -> Ending {
    let mut life = session.life();
    loop {
        // Looked at before the output: once it has ended, what is there is all.
        let now = *life.borrow_and_update();
        let text = match (reader.peek(), now) {
            (Next::Text(text), _) => text,
            (Next::Lost, _) => return Ending::Close(close_code::POLICY, SLOW.to_owned()),
            (Next::Nothing, Life::Ended(code)) => return tell_end(sink, code, exit_control).await,
            (Next::Nothing, Life::Open) => {
                tokio::select! {
                    () = reader.more() => {}
                    _ = life.changed() => {}
                }
                continue;
            }
        };
        let length = text.len();
        if !websocket::send(sink, Message::Binary(text.into())).await {
            // If it only sleeps, it may still learn why.
            return Ending::Close(close_code::POLICY, SLOW.to_owned());
        }
        reader.advance(length);
    }
}

async fn tell_end(sink: &mut Sink, code: i32, exit_control: bool) -> Ending {
    let exit = Exit { exit_code: code, exit_reason: reason(code) };
    if exit_control {
        let exited = Control { kind: "control", status: "exited", error: None, exit: Some(&exit) };
        if !websocket::send(sink, message(&exited)).await {
            return Ending::Gone;
        }
    }
    let close = if code == 0 { close_code::NORMAL } else { close_code::ERROR };
    Ending::Close(close, serde_json::to_string(&exit).unwrap_or_default())
}

/// What an exit code means, in the contract's words (§10.5).
fn reason(code: i32) -> Option<String> {
    match code {
        0 => None,
        130 => Some("Ctrl+C".to_owned()),
        137 => Some("SIGKILL".to_owned()),
        143 => Some("SIGTERM".to_owned()),
        129.. => Some(format!("signal {}", code - 128)),
        _ => Some("non-zero exit".to_owned()),
    }
}

/// Types what the client sends until it is gone.
async fn take(stream: &mut Stream, session: &Session) -> Ending {
    loop {
        let text: Bytes = match stream.next().await {
            Some(Ok(Message::Text(text))) => text.into(),
            Some(Ok(Message::Binary(text))) => text,
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => continue,
            Some(Ok(Message::Close(_))) | None => return Ending::Gone,
            Some(Err(error)) if error.to_string().contains("UTF-8") => {
                return Ending::Close(close_code::INVALID, "text that is not UTF-8".to_owned());
            }
            Some(Err(_)) => return Ending::Close(close_code::SIZE, "invalid message".to_owned()),
        };
        if text.len() > LARGEST_INPUT {
            return Ending::Close(close_code::SIZE, format!("more than {LARGEST_INPUT} bytes in one message"));
        }
        if !text.is_empty() && !session.write(text).await {
            // The other half tells the end.
            std::future::pending::<()>().await;
        }
    }
}

fn message(control: &Control<'_>) -> Message {
    Message::Text(serde_json::to_string(control).unwrap_or_default().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes_have_the_contracts_words() {
        for (code, text) in [
            (0, None),
            (1, Some("non-zero exit")),
            (128, Some("non-zero exit")),
            (129, Some("signal 1")),
            (130, Some("Ctrl+C")),
            (137, Some("SIGKILL")),
            (140, Some("signal 12")),
            (143, Some("SIGTERM")),
        ] {
            assert_eq!(reason(code).as_deref(), text, "{code}");
        }
    }
}
