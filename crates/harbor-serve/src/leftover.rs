//! The rest of a request's body that nobody wants any more.
//!
//! A handler may answer before it has read all of a body. Many clients look for an answer only after they have sent
//! everything, and closing the connection over unread bytes can take the answer away from them. So the rest is read and
//! dropped, within bounds, while the answer goes out.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use http::header::EXPECT;
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use tokio::sync::mpsc;

use crate::pace::UnderWay;

/// Bytes that are read and dropped for one answer; beyond them the connection closes.
const MOST: usize = 32 * 1024 * 1024;

/// How long they may take.
const DEADLINE: Duration = Duration::from_secs(5);

/// The rest of a body, with the request that it belongs to.
pub(crate) struct Leftover {
    body: Incoming,
    _under_way: Arc<UnderWay>,
}

impl Leftover {
    /// Reads on and drops what comes. The connection closes if that is not all.
    pub(crate) async fn read_off(mut self) {
        let all = async {
            let mut bytes = 0;
            while let Some(Ok(frame)) = self.body.frame().await {
                bytes += frame.data_ref().map_or(0, Bytes::len);
                if bytes > MOST {
                    return;
                }
            }
        };
        if tokio::time::timeout(DEADLINE, all).await.is_err() {
            tracing::debug!("the rest of a body that nobody reads did not come in time");
        }
    }
}

/// A request's body, which gives its connection what its handler leaves of it.
pub(crate) struct RequestBody {
    body: Option<Incoming>,
    under_way: Option<Arc<UnderWay>>,
    leftovers: mpsc::Sender<Leftover>,
    /// Whether the client has sent it, or was told to: one that waits to be told sends nothing before.
    asked: Arc<AtomicBool>,
}

impl RequestBody {
    pub(crate) fn new(
        body: Incoming,
        headers: &HeaderMap,
        under_way: &Arc<UnderWay>,
        leftovers: &mpsc::Sender<Leftover>,
    ) -> Self {
        let asked = Arc::new(AtomicBool::new(!headers.contains_key(EXPECT)));
        Self { body: Some(body), under_way: Some(Arc::clone(under_way)), leftovers: leftovers.clone(), asked }
    }

    /// Tells, once an answer is there, whether the client may still wait to be told to send its body. What it sends next may
    /// then be that or another request, which nobody can tell apart.
    pub(crate) fn asked(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.asked)
    }
}

impl Drop for RequestBody {
    fn drop(&mut self) {
        let (Some(body), Some(under_way)) = (self.body.take(), self.under_way.take()) else { return };
        if self.asked.load(Ordering::Relaxed) && !body.is_end_stream() {
            // a connection that has ended takes none
            let _ = self.leftovers.try_send(Leftover { body, _under_way: under_way });
        }
    }
}

impl http_body::Body for RequestBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        self.asked.store(true, Ordering::Relaxed);
        let Some(body) = &mut self.body else { return Poll::Ready(None) };
        let frame = ready!(Pin::new(body).poll_frame(context));
        if !matches!(frame, Some(Ok(_))) {
            self.body = None;
            self.under_way = None;
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
