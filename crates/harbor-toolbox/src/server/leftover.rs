//! The rest of a request's body that no handler reads any more.
//!
//! Guarantees: an answer before the end of its request's body reaches the client: closing a connection over unread bytes
//! can take the answer away, and what asks next on it finds it dead. So the rest is read and dropped, within bounds.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use http::header::EXPECT;
use http_body_util::BodyExt as _;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::sync::mpsc::{Receiver, Sender};
use tokio::time::timeout;

/// Bytes that are read and dropped for one answer; beyond them the connection closes.
const MOST: usize = 32 << 20;

/// How long they may take.
const DEADLINE: Duration = Duration::from_secs(5);

/// A request's body, which gives its connection what its handler leaves of it.
pub(super) struct RequestBody {
    body: Option<Incoming>,
    leftovers: Sender<Incoming>,
    /// The client sends nothing before it is told to go on, and nobody has asked it to.
    unasked: bool,
}

impl RequestBody {
    pub(super) fn new(body: Incoming, headers: &HeaderMap, leftovers: Sender<Incoming>) -> Self {
        Self { body: Some(body), leftovers, unasked: headers.contains_key(EXPECT) }
    }
}

impl Drop for RequestBody {
    fn drop(&mut self) {
        if let Some(body) = self.body.take().filter(|body| !self.unasked && !body.is_end_stream()) {
            // A connection that has ended takes none.
            let _ = self.leftovers.try_send(body);
        }
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        self.unasked = false;
        let Some(body) = &mut self.body else { return Poll::Ready(None) };
        let frame = ready!(Pin::new(body).poll_frame(context));
        if !matches!(frame, Some(Ok(_))) {
            self.body = None;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Incoming::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or(SizeHint::with_exact(0), Incoming::size_hint)
    }
}

/// Reads on what is left of each body and drops it; a connection closes over what remains then.
pub(super) async fn read_off(mut leftovers: Receiver<Incoming>) {
    while let Some(mut body) = leftovers.recv().await {
        let _ = timeout(DEADLINE, async {
            let mut bytes = 0;
            while let Some(Ok(frame)) = body.frame().await {
                bytes += frame.data_ref().map_or(0, Bytes::len);
                if bytes > MOST {
                    break;
                }
            }
        })
        .await;
    }
}
