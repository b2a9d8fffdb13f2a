//! The passing form: one packet out, one packet and perhaps a connected socket back.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

use harbor_protocol::infra::{MAX_MESSAGE, SOCKET};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer, SendFlags,
    SocketAddrUnix, SocketFlags, SocketType, connect, recvmsg, sendmsg, socket_with,
};
use tokio::io::Interest;
use tokio::net::UnixStream;

/// How long to wait before asking again for a place in infra's full backlog.
const BACKLOG_PAUSE: Duration = Duration::from_millis(2);

/// Sends `packet` to the infra that listens in `directory` and awaits its answer.
pub(super) async fn exchange(directory: &Path, packet: &[u8]) -> io::Result<(Vec<u8>, Option<OwnedFd>)> {
    // tokio knows no packet sockets; waiting for one is no different
    let socket = UnixStream::from_std(connected(directory).await?.into())?;
    socket.async_io(Interest::WRITABLE, || Ok(send(socket.as_fd(), packet)?)).await?;
    socket.async_io(Interest::READABLE, || Ok(receive(socket.as_fd())?)).await
}

async fn connected(directory: &Path) -> io::Result<OwnedFd> {
    let directory = rustix::fs::open(directory, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    // by way of the descriptor, since a socket's path may have 107 bytes at most
    let path = format!("/proc/self/fd/{}/{SOCKET}", directory.as_raw_fd());
    let address = SocketAddrUnix::new(path)?;
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?;
    loop {
        match connect(&socket, &address) {
            Ok(()) => return Ok(socket),
            Err(Errno::AGAIN) => tokio::time::sleep(BACKLOG_PAUSE).await,
            Err(error) => return Err(error.into()),
        }
    }
}

fn send(socket: BorrowedFd<'_>, packet: &[u8]) -> Result<(), Errno> {
    let mut nothing = SendAncillaryBuffer::default();
    sendmsg(socket, &[IoSlice::new(packet)], &mut nothing, SendFlags::NOSIGNAL).map(|_| ())
}

fn receive(socket: BorrowedFd<'_>) -> Result<(Vec<u8>, Option<OwnedFd>), Errno> {
    let mut text = vec![0; MAX_MESSAGE];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let received = recvmsg(socket, &mut [IoSliceMut::new(&mut text)], &mut control, RecvFlags::CMSG_CLOEXEC)?;
    let passed = control.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut descriptors) => descriptors.next(),
        _ => None,
    });
    if received.bytes == 0 {
        return Err(Errno::CONNRESET);
    }
    if received.flags.contains(ReturnFlags::TRUNC) {
        return Err(Errno::MSGSIZE);
    }
    text.truncate(received.bytes);
    Ok((text, passed))
}
