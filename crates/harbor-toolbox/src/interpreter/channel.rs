//! The private connection to a worker: packets both ways, whole or not at all.
//!
//! A socket that keeps packet borders needs no framing, so a fork of the worker that writes as well cannot break it. It
//! is given to the worker as standard input, from where the worker moves it out of the reach of the code it runs.

use std::io;
use std::os::fd::OwnedFd;

use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, socketpair};
use tokio::io::Interest;
use tokio::net::UnixStream;

/// Most payload of a packet in bytes, in both directions; a longer text is sent in pieces.
pub(super) const PIECE: usize = 32 << 10;

/// Our end of a worker's channel.
pub(super) struct Channel {
    /// It keeps packet borders, though its type is made for streams: only readiness is asked of it.
    socket: UnixStream,
}

impl Channel {
    /// A channel, and the end for the worker.
    pub(super) fn pair() -> io::Result<(Self, OwnedFd)> {
        let (ours, theirs) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
        rustix::io::ioctl_fionbio(&ours, true)?;
        Ok((Self { socket: UnixStream::from_std(ours.into())? }, theirs))
    }

    /// Sends one packet as soon as there is room. Dropping the future sends nothing.
    pub(super) async fn send(&self, packet: &[u8]) -> io::Result<()> {
        let send = || Ok(rustix::net::send(&self.socket, packet, SendFlags::NOSIGNAL)?);
        self.socket.async_io(Interest::WRITABLE, send).await.map(drop)
    }

    /// The next packet, into `buffer`; 0: the worker has closed its end. Dropping the future loses nothing.
    pub(super) async fn receive(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.socket.async_io(Interest::READABLE, || self.take(buffer)).await
    }

    /// A packet that is there already.
    pub(super) fn receive_now(&self, buffer: &mut [u8]) -> Option<usize> {
        self.take(buffer).ok()
    }

    fn take(&self, buffer: &mut [u8]) -> io::Result<usize> {
        Ok(rustix::net::recv(&self.socket, buffer, RecvFlags::DONTWAIT)?.0)
    }
}
