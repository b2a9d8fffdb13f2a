//! The deadline for a request's head, apart from the one for idle connections.
//!
//! The HTTP library has one limit for both and counts from the end of the last answer. Here it has the longer one; the
//! shorter begins with the first byte of a head, which is the first byte that comes while no request is under way.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use pin_project_lite::pin_project;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep_until};

/// How long a request's head may take from its first byte.
const HEAD: Duration = Duration::from_secs(10);

/// Whether a request is under way on a connection.
#[derive(Default)]
pub(super) struct Pace {
    busy: AtomicBool,
    /// How many heads were complete so far.
    heads: AtomicU32,
}

/// A request under way, from its head to the end of its answer.
pub(super) struct Timed {
    pace: Arc<Pace>,
    for_good: bool,
}

impl Timed {
    /// A head is complete.
    pub(super) fn begin(pace: &Arc<Pace>) -> Self {
        pace.busy.store(true, Ordering::Relaxed);
        pace.heads.fetch_add(1, Ordering::Relaxed);
        Self { pace: Arc::clone(pace), for_good: false }
    }

    /// Keeps the request under way until `body` is dropped.
    pub(super) fn until_the_end_of(self, body: axum::body::Body) -> Body {
        Body { body, _timed: self }
    }

    /// As [`Timed::until_the_end_of`], but no head follows any more: the connection is a tunnel.
    pub(super) fn for_good(mut self, body: axum::body::Body) -> Body {
        self.for_good = true;
        self.until_the_end_of(body)
    }
}

impl Drop for Timed {
    fn drop(&mut self) {
        if !self.for_good {
            self.pace.busy.store(false, Ordering::Relaxed);
        }
    }
}

/// An answer's body.
pub(super) struct Body {
    body: axum::body::Body,
    _timed: Timed,
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

pin_project! {
    /// A connection that fails when a head takes too long.
    pub(super) struct Paced {
        #[pin]
        stream: TcpStream,
        pace: Arc<Pace>,
        heads: u32,
        // when the first byte of a head came, that of the one after `heads`
        begun: Option<Instant>,
        // made for a head that does not come in one piece
        limit: Option<Pin<Box<Sleep>>>,
    }
}

impl Paced {
    pub(super) fn new(stream: TcpStream, pace: Arc<Pace>) -> Self {
        Self { stream, pace, heads: 0, begun: None, limit: None }
    }
}

impl AsyncRead for Paced {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.project();
        let before = buffer.filled().len();
        let read = this.stream.poll_read(context, buffer);
        let heads = this.pace.heads.load(Ordering::Relaxed);
        if *this.heads != heads {
            *this.heads = heads;
            *this.begun = None;
            *this.limit = None;
        }
        if this.pace.busy.load(Ordering::Relaxed) {
            return read;
        }
        if read.is_ready() && buffer.filled().len() > before {
            this.begun.get_or_insert_with(Instant::now);
        }
        if read.is_pending()
            && let Some(begun) = *this.begun
        {
            let limit = this.limit.get_or_insert_with(|| Box::pin(sleep_until(begun + HEAD)));
            if limit.as_mut().poll(context).is_ready() {
                return Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the request's head took too long")));
            }
        }
        read
    }
}

impl AsyncWrite for Paced {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.project().stream.poll_write(context, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.project().stream.poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.project().stream.poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.project().stream.poll_shutdown(context)
    }
}
