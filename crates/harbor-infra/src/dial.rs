//! Connecting to a loopback port of the namespace, without waiting.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use harbor_protocol::infra::{Failure, Reply};
use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;
use rustix::net::sockopt::{set_tcp_nodelay, socket_error};
use rustix::net::{AddressFamily, SocketFlags, SocketType, connect, getpeername, getsockname, socket_with};

/// How long both attempts together may take.
const DEADLINE: Duration = Duration::from_secs(2);

/// Tried in this order.
const ADDRESSES: [IpAddr; 2] = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];

/// A connection being made.
pub(crate) struct Dial {
    port: u16,
    /// Index into [`ADDRESSES`] of the attempt under way.
    attempt: usize,
    socket: OwnedFd,
    /// What an earlier attempt failed with, unless merely nothing listened there.
    earlier: Option<Errno>,
    deadline: Instant,
}

/// Where a [`Dial`] stands.
pub(crate) enum Progress {
    /// Poll [`Dial::watch`] until [`Dial::deadline`], then call [`Dial::advance`].
    Pending(Dial),
    /// Connected, nonblocking, `TCP_NODELAY`.
    Connected(OwnedFd),
    /// The answer to give.
    Failed(Reply),
}

impl Dial {
    /// Begins. On loopback the outcome is mostly known at once.
    pub(crate) fn start(port: u16, now: Instant) -> Progress {
        attempt(port, 0, None, now + DEADLINE)
    }

    /// What to poll.
    pub(crate) fn watch(&self) -> PollFd<'_> {
        PollFd::new(&self.socket, PollFlags::OUT)
    }

    /// When to give up.
    pub(crate) fn deadline(&self) -> Instant {
        self.deadline
    }

    /// Goes on after a poll that saw `ready` on the socket.
    pub(crate) fn advance(self, ready: PollFlags, now: Instant) -> Progress {
        if ready.is_empty() {
            return if now < self.deadline { Progress::Pending(self) } else { failed(Errno::TIMEDOUT, self.port) };
        }
        match socket_error(&self.socket).and_then(|outcome| outcome).and_then(|()| established(&self.socket)) {
            Ok(()) => Progress::Connected(self.socket),
            Err(errno) => {
                let earlier = graver(self.earlier, errno, ADDRESSES[self.attempt]);
                attempt(self.port, self.attempt + 1, earlier, self.deadline)
            }
        }
    }
}

/// Tries the addresses from number `first` on until one is connected or has to be waited for.
fn attempt(port: u16, first: usize, mut earlier: Option<Errno>, deadline: Instant) -> Progress {
    for (index, &address) in ADDRESSES.iter().enumerate().skip(first) {
        match begin(SocketAddr::new(address, port)) {
            Ok((socket, true)) => return Progress::Connected(socket),
            Ok((socket, false)) => return Progress::Pending(Dial { port, attempt: index, socket, earlier, deadline }),
            Err(errno) => earlier = graver(earlier, errno, address),
        }
    }
    failed(earlier.unwrap_or(Errno::CONNREFUSED), port)
}

/// A socket that is connected (`true`) or connecting.
fn begin(address: SocketAddr) -> Result<(OwnedFd, bool), Errno> {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let socket = socket_with(family, SocketType::STREAM, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC, None)?;
    match connect(&socket, &address) {
        Ok(()) => established(&socket).map(|()| (socket, true)),
        Err(Errno::INPROGRESS | Errno::INTR) => Ok((socket, false)),
        Err(errno) => Err(errno),
    }
}

/// Refuses a socket that is connected to itself: with no listener, a port of the ephemeral range may be chosen as the
/// source too, and TCP then completes the handshake with itself.
fn established(socket: &OwnedFd) -> Result<(), Errno> {
    if getpeername(socket)?.is_none_or(|peer| getsockname(socket).is_ok_and(|own| own == peer)) {
        return Err(Errno::CONNREFUSED);
    }
    set_tcp_nodelay(socket, true)
}

/// What to report in the end: the first failure that means more than "nothing listens there".
fn graver(earlier: Option<Errno>, errno: Errno, address: IpAddr) -> Option<Errno> {
    let without_ipv6 = [Errno::ADDRNOTAVAIL, Errno::AFNOSUPPORT, Errno::NETUNREACH];
    let nothing_there = errno == Errno::CONNREFUSED || (address.is_ipv6() && without_ipv6.contains(&errno));
    earlier.or((!nothing_there).then_some(errno))
}

fn failed(errno: Errno, port: u16) -> Progress {
    let (reason, message) = match errno {
        Errno::CONNREFUSED => (Failure::Refused, format!("nothing listens on port {port}")),
        Errno::TIMEDOUT => (Failure::TimedOut, format!("port {port} did not accept within {} s", DEADLINE.as_secs())),
        Errno::MFILE | Errno::NFILE | Errno::NOBUFS => (Failure::Busy, format!("cannot dial port {port}: {errno}")),
        _ => (Failure::Internal, format!("cannot dial port {port}: {errno}")),
    };
    Progress::Failed(Reply::Failed { reason, message })
}
