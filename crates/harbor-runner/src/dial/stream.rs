//! A connection into a sandbox, whatever carries it.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// A connection into a sandbox.
#[derive(Debug)]
pub struct Stream(Carrier);

/// What a connection is made of.
#[derive(Debug)]
enum Carrier {
    Socket(TcpStream),
    #[cfg(feature = "pretend")]
    Memory(tokio::io::DuplexStream),
}

impl Stream {
    pub(super) fn of(socket: TcpStream) -> Self {
        Self(Carrier::Socket(socket))
    }

    #[cfg(feature = "pretend")]
    pub(crate) fn in_memory(end: tokio::io::DuplexStream) -> Self {
        Self(Carrier::Memory(end))
    }
}

impl AsyncRead for Stream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match &mut self.0 {
            Carrier::Socket(socket) => Pin::new(socket).poll_read(cx, buffer),
            #[cfg(feature = "pretend")]
            Carrier::Memory(end) => Pin::new(end).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.0 {
            Carrier::Socket(socket) => Pin::new(socket).poll_write(cx, bytes),
            #[cfg(feature = "pretend")]
            Carrier::Memory(end) => Pin::new(end).poll_write(cx, bytes),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut self.0 {
            Carrier::Socket(socket) => Pin::new(socket).poll_write_vectored(cx, slices),
            #[cfg(feature = "pretend")]
            Carrier::Memory(end) => Pin::new(end).poll_write_vectored(cx, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match &self.0 {
            Carrier::Socket(socket) => socket.is_write_vectored(),
            #[cfg(feature = "pretend")]
            Carrier::Memory(end) => end.is_write_vectored(),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.0 {
            Carrier::Socket(socket) => Pin::new(socket).poll_flush(cx),
            #[cfg(feature = "pretend")]
            Carrier::Memory(end) => Pin::new(end).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.0 {
            Carrier::Socket(socket) => Pin::new(socket).poll_shutdown(cx),
            #[cfg(feature = "pretend")]
            Carrier::Memory(end) => Pin::new(end).poll_shutdown(cx),
        }
    }
}
