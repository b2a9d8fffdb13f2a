//! The bytes of a client's connection on their way from and to the HTTP library.
//!
//! Here are what the library leaves to others: the deadline for a head apart from the one for idle connections (the
//! library has one limit for both and counts from the end of the last answer), targets that it does not take, refusals
//! that it sends without a body, and the end of a connection that makes room for another one.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf as _, Bytes};
use pin_project_lite::pin_project;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};
use tokio_util::sync::WaitForCancellationFutureOwned;

use crate::pace::Pace;
use crate::refusal;
use crate::request_line::RequestLine;

/// How long a request's head may take from its first byte; the first one of a connection, from the connection on.
const HEAD: Duration = Duration::from_secs(10);

pin_project! {
    /// A client's connection.
    pub(crate) struct ClientStream<S> {
        #[pin]
        stream: S,
        pace: Arc<Pace>,
        leave: Pin<Box<WaitForCancellationFutureOwned>>,
        heads: u32,
        // when the head after `heads` began
        begun: Option<Instant>,
        // made for a head that does not come in one piece
        limit: Option<Pin<Box<Sleep>>>,
        line: RequestLine,
        // what was read and did not fit, encoded, into the reader's buffer
        read_ahead: Bytes,
        // a refusal that goes out instead of the library's
        refusal: Bytes,
    }
}

impl<S> ClientStream<S> {
    pub(crate) fn new(stream: S, pace: Arc<Pace>) -> Self {
        let leave = Box::pin(pace.slot().leave().clone().cancelled_owned());
        Self {
            stream,
            pace,
            leave,
            heads: 0,
            begun: Some(Instant::now()),
            limit: None,
            line: RequestLine::default(),
            read_ahead: Bytes::new(),
            refusal: Bytes::new(),
        }
    }
}

impl<S: AsyncRead> AsyncRead for ClientStream<S> {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.project();
        if !this.read_ahead.is_empty() {
            let piece = this.read_ahead.split_to(buffer.remaining().min(this.read_ahead.len()));
            buffer.put_slice(&piece);
            return Poll::Ready(Ok(()));
        }
        let before = buffer.filled().len();
        let read = this.stream.poll_read(context, buffer);
        if read.is_pending() && this.leave.as_mut().poll(context).is_ready() {
            let reason = "the connection makes room for another one";
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::ConnectionAborted, reason)));
        }
        let heads = this.pace.heads();
        if *this.heads != heads {
            *this.heads = heads;
            *this.begun = None;
            *this.limit = None;
            *this.line = RequestLine::default();
        }
        if this.pace.slot().is_busy() {
            return read;
        }
        if read.is_ready() && buffer.filled().len() > before {
            this.begun.get_or_insert_with(Instant::now);
            if let Some(encoded) = this.line.encode(&buffer.filled()[before..]) {
                buffer.set_filled(before);
                let mut encoded = Bytes::from(encoded);
                buffer.put_slice(&encoded.split_to(buffer.remaining().min(encoded.len())));
                *this.read_ahead = encoded;
            }
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

impl<S: AsyncWrite> ClientStream<S> {
    /// Sends what there is of a refusal.
    fn poll_refusal(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut this = self.project();
        while !this.refusal.is_empty() {
            let written = ready!(this.stream.as_mut().poll_write(context, this.refusal))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            this.refusal.advance(written);
        }
        Poll::Ready(Ok(()))
    }

    /// Whether `bytes` are the library's refusal of a head, which a better one takes the place of.
    fn replaces(self: Pin<&mut Self>, bytes: &[u8]) -> bool {
        let this = self.project();
        // a head that was complete since the last look was not refused, and this is its answer: one to HEAD has no body
        let was_complete = *this.heads != this.pace.heads();
        if was_complete || this.begun.is_none() || this.pace.slot().is_busy() {
            return false;
        }
        let Some(refusal) = refusal::of_head(bytes) else { return false };
        *this.refusal = refusal.into();
        true
    }
}

impl<S: AsyncWrite> AsyncWrite for ClientStream<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.as_mut().poll_refusal(context))?;
        if self.as_mut().replaces(bytes) {
            return Poll::Ready(Ok(bytes.len()));
        }
        self.project().stream.poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        ready!(self.as_mut().poll_refusal(context))?;
        if let [only] = slices
            && self.as_mut().replaces(only)
        {
            return Poll::Ready(Ok(only.len()));
        }
        self.project().stream.poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.as_mut().poll_refusal(context))?;
        self.project().stream.poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.as_mut().poll_refusal(context))?;
        self.project().stream.poll_shutdown(context)
    }
}
