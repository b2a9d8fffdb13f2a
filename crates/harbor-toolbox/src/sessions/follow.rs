//! A log while it is written: over a WebSocket (contract, toolbox §8.8), or as a plain answer (§1.4).
//!
//! Guarantees: a follower gets everything from the beginning, in frames that end at a line's end; its pings are
//! answered while it is sent to; one that stops reading is given up after [`PATIENCE`](crate::http::websocket::PATIENCE)
//! and holds up nobody.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::ws::{Message, WebSocket, close_code};
use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use tokio::sync::watch;
use tokio::time::timeout;

use super::demux::{Demux, Part};
use super::log::{Log, LogProgress};
use crate::http::websocket::{self, Sink};

/// A follower is told of the end once nothing has come for this long after it, if a background job may still write.
const QUIET: Duration = Duration::from_secs(1);

/// Sends `part` of the log to a follower; with `follow` until its end, otherwise what is there.
pub(super) async fn send(log: Arc<Log>, socket: WebSocket, part: Part, follow: bool) {
    let (mut sink, mut received) = socket.split();
    let ended = {
        // What followers send is ignored; receiving also answers their pings.
        let gone = async { while !matches!(received.next().await, None | Some(Err(_) | Ok(Message::Close(_)))) {} };
        tokio::select! {
            code = send_frames(&log, &mut sink, part, follow) => code,
            () = gone => None,
        }
    };
    if let Some(code) = ended {
        websocket::close(sink, received, code, "").await;
    }
}

/// The log as one answer that goes on until the command is done.
pub(super) fn stream(log: &Arc<Log>, part: Part) -> io::Result<Body> {
    let following = (log.read()?, log.watch(), Demux::new(part));
    Ok(Body::from_stream(stream::unfold(following, async |(mut reader, mut changes, mut demux)| {
        loop {
            let state = *changes.borrow_and_update();
            match reader.next(state.length) {
                Err(error) => return Some((Err(error), (reader, changes, demux))),
                Ok(Some(piece)) => {
                    let mut text = Vec::with_capacity(piece.len());
                    demux.take(&piece, &mut text);
                    return Some((Ok(Bytes::from(text)), (reader, changes, demux)));
                }
                Ok(None) if more(&mut changes, state).await => {}
                Ok(None) => return None,
            }
        }
    })))
}

/// Waits for a change behind `state`. False: none will come.
async fn more(changes: &mut watch::Receiver<LogProgress>, state: LogProgress) -> bool {
    match state {
        LogProgress { closed: true, .. } => false,
        LogProgress { ended: true, .. } => matches!(timeout(QUIET, changes.changed()).await, Ok(Ok(()))),
        LogProgress { .. } => changes.changed().await.is_ok(),
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
        let state = *changes.borrow_and_update();
        loop {
            let Ok(piece) = reader.next(state.length) else { return Some(close_code::ERROR) };
            let Some(piece) = piece else { break };
            let mut frame = Vec::with_capacity(piece.len());
            demux.take(&piece, &mut frame);
            if !frame.is_empty() && !websocket::send(sink, Message::Binary(frame.into())).await {
                return None;
            }
        }
        if !follow || !more(&mut changes, state).await {
            return Some(close_code::NORMAL);
        }
    }
}
