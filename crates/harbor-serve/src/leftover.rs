//! The rest of a request's body that nobody wants any more.
//!
//! A handler may answer before it has read all of a body. Many clients look for an answer only after they have sent
//! everything, and closing the connection over unread bytes can take the answer away from them. So the rest is read and
//! dropped, within bounds, while the answer goes out.

use std::pin::Pin;
use std::sync::Arc;
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
    /// The client sends nothing before it is told to go on, and nobody has asked it to.
    unasked: bool,
}

impl RequestBody {
    pub(crate) fn new(
        body: Incoming,
        headers: &HeaderMap,
        under_way: &Arc<UnderWay>,
        leftovers: &mpsc::Sender<Leftover>,
    ) -> Self {
        let unasked = headers.contains_key(EXPECT);
        Self { body: Some(body), under_way: Some(Arc::clone(under_way)), leftovers: leftovers.clone(), unasked }
    }
}

impl Drop for RequestBody {
    fn drop(&mut self) {
        let (Some(body), Some(under_way)) = (self.body.take(), self.under_way.take()) else { return };
        if !self.unasked && !body.is_end_stream() {
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
        self.unasked = false;
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
