//! A connection into a sandbox, as the HTTP library reads and writes it.
//!
//! Guarantees: an answer that came before the request was written to its end is read, although the other side has
//! closed; and whoever answers with interim (1xx) heads without end is not listened to for ever.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use harbor_control::Stream;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Bytes that may come before an answer's head is complete, interim heads included. The library's own bound is for one
/// head; a piece of the body may be read with it.
const MOST_BEFORE_ANSWER: usize = 4 * 1024 * 1024;

/// How many bytes more are read while an answer is waited for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Patience(Arc<AtomicUsize>);

/// No answer is waited for: anything may be read.
const ENDLESS: usize = usize::MAX;

impl Patience {
    /// An answer is waited for from now on.
    pub(crate) fn begin(&self) {
        self.0.store(MOST_BEFORE_ANSWER, Ordering::Relaxed);
    }

    /// Its head is complete.
    pub(crate) fn end(&self) {
        self.0.store(ENDLESS, Ordering::Relaxed);
    }

    /// Notes what was read; false when it was too much.
    fn spend(&self, bytes: usize) -> bool {
        let spend = |left: usize| if left == ENDLESS { Some(ENDLESS) } else { left.checked_sub(bytes) };
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, spend).is_ok()
    }
}

/// Bytes to and from a sandbox's server.
pub(crate) struct Dialled {
    stream: Box<dyn Stream>,
    patience: Patience,
    /// The other side takes nothing more. Nothing is written from then on, and the library hears nothing of it, so that
    /// it goes on reading: until an answer, or until the end.
    deaf: bool,
}

impl Dialled {
    pub(crate) fn new(stream: Box<dyn Stream>, patience: Patience) -> Self {
        Self { stream, patience, deaf: false }
    }

    fn hear<T>(&mut self, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        match written {
            Poll::Ready(Err(error))
                if matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset) =>
            {
                self.deaf = true;
                Poll::Pending // the reading side wakes the task
            }
            written => written,
        }
    }
}

impl AsyncRead for Dialled {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        if !self.patience.spend(buffer.filled().len() - before) {
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, "interim answers without end")));
        }
        read
    }
}

impl AsyncWrite for Dialled {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.deaf {
            return Poll::Pending;
        }
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.hear(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.deaf {
            return Poll::Pending;
        }
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.hear(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.deaf {
            return Poll::Ready(Ok(()));
        }
        let flushed = Pin::new(&mut self.stream).poll_flush(context);
        self.hear(flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.deaf {
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
