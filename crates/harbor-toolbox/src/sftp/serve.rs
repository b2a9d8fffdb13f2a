//! Packets in, answers out.

use bytes::{Buf as _, BytesMut};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::task::spawn_blocking;

use super::reply::Replies;
use super::request::length;
use super::session::Session;
use crate::http::upgrade::Stream;

/// Most bytes read at once.
const READ: usize = 64 << 10;

/// Serves one client until it goes, or sends what is no packet.
///
/// What has come by the time the thread for files is free is carried out in one go.
pub(super) async fn serve(mut stream: Stream, mut session: Session) {
    let mut received = BytesMut::new();
    loop {
        let whole = match length(&received) {
            Ok(length) => length.is_some_and(|length| received.len() >= length),
            Err(_) => return,
        };
        if !whole {
            received.reserve(READ);
            match stream.read_buf(&mut received).await {
                Ok(1..) => continue,
                _ => return,
            }
        }
        let answered = spawn_blocking(move || {
            let mut replies = Replies::default();
            let taken = session.answer(&received, &mut replies);
            (session, received, replies, taken)
        });
        let Ok((back, rest, replies, taken)) = answered.await else { return };
        (session, received) = (back, rest);
        if stream.write_all(replies.as_bytes()).await.is_err() || stream.flush().await.is_err() {
            return;
        }
        let Ok(taken) = taken else { return };
        received.advance(taken);
        if received.is_empty() {
            // An idle client costs next to nothing.
            received = BytesMut::new();
        }
    }
}
