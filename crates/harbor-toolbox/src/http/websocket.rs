//! What all web sockets of the toolbox have in common: how they end (contract, toolbox §3).

use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message, WebSocket};
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::time::timeout;

/// The half that sends.
pub(crate) type Sink = SplitSink<WebSocket, Message>;

/// The half that receives; reading it also answers pings.
pub(crate) type Stream = SplitStream<WebSocket>;

/// Longest wait for a client to take a frame.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// How long a client may take to answer a close.
const GOODBYE: Duration = Duration::from_secs(2);

/// Sends one frame. False: the client is gone, or has not taken it within [`PATIENCE`].
pub(crate) async fn send(sink: &mut Sink, message: Message) -> bool {
    matches!(timeout(PATIENCE, sink.send(message)).await, Ok(Ok(())))
}

/// Closes with `code` and `reason`, and lets the client read what was sent before the connection goes.
pub(crate) async fn close(mut sink: Sink, stream: Stream, code: u16, reason: &str) {
    let frame = CloseFrame { code, reason: reason.into() };
    if send(&mut sink, Message::Close(Some(frame))).await {
        let _ = timeout(GOODBYE, until_gone(stream)).await;
    }
}

/// Reads until the client has closed or is gone. What it sends meanwhile is ignored.
pub(crate) async fn until_gone(mut stream: Stream) {
    while let Some(Ok(message)) = stream.next().await {
        if matches!(message, Message::Close(_)) {
            break;
        }
    }
}
