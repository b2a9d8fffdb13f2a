//! A log over a WebSocket, while it is written (contract, toolbox §8.8).
//!
//! Guarantees: a follower gets everything from the beginning, in frames that end at a line's end; its pings are
//! answered while it is sent to; one that stops reading is given up after [`PATIENCE`](crate::websocket::PATIENCE)
//! and holds up nobody.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::ws::{Message, WebSocket, close_code};
use futures_util::StreamExt as _;
use tokio::time::timeout;

use super::demux::{Demux, Part};
use super::log::{Log, State};
use crate::websocket::{self, Sink};

/// A follower is told of the end once nothing has come for this long after it, if a background job may still write.
const QUIET: Duration = Duration::from_secs(1);

/// Sends `part` of the log to a follower; with `follow` until its end, otherwise what is there.
pub(super) async fn send(log: Arc<Log>, socket: WebSocket, part: Part, follow: bool) {
    let (mut sink, mut stream) = socket.split();
    let ended = {
        // What followers send is ignored; receiving also answers their pings.
        let gone = async { while !matches!(stream.next().await, None | Some(Err(_) | Ok(Message::Close(_)))) {} };
        tokio::select! {
            code = send_frames(&log, &mut sink, part, follow) => code,
            () = gone => None,
        }
    };
    if let Some(code) = ended {
        websocket::close(sink, stream, code, "").await;
    }
}

/// Returns the close code; none when the follower is gone.
async fn send_frames(log: &Arc<Log>, sink: &mut Sink, part: Part, follow: bool) -> Option<u16> {
    let mut changes = log.watch();
    let Ok(mut reader) = log.read() else {
        return Some(if changes.borrow().closed { close_code::NORMAL } else { close_code::ERROR });
    };
    let mut demux = Demux::new(part);
    loop {
        let State { length, ended, closed, .. } = *changes.borrow_and_update();
        loop {
            let Ok(piece) = reader.next(length) else { return Some(close_code::ERROR) };
            let Some(piece) = piece else { break };
            let mut frame = Vec::with_capacity(piece.len());
            demux.take(&piece, &mut frame);
            if !frame.is_empty() && !websocket::send(sink, Message::Binary(frame.into())).await {
                return None;
            }
        }
        if !follow || closed {
            return Some(close_code::NORMAL);
        }
        let more = if ended { timeout(QUIET, changes.changed()).await.ok() } else { Some(changes.changed().await) };
        if !matches!(more, Some(Ok(()))) {
            return Some(close_code::NORMAL);
        }
    }
}
