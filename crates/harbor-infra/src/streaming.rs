//! The streaming form: harbor's requests as the first line of a TCP connection, which then is the stream.
//!
//! The port is within the sandbox's reach. So a connection that has not shown the token is held for a few seconds at
//! most, in a small number whose oldest gives way to the newest; and those that come from the namespace itself
//! have places of their own, so that the sandbox displaces nobody but itself.

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Instant;

use harbor_protocol::infra::{MAX_CONNECTIONS, MIN_TOKEN};
use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;
use rustix::net::sockopt::{set_ipv6_v6only, set_socket_keepalive, set_socket_reuseaddr, set_tcp_nodelay};
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, getpeername, listen, socket_with};

use crate::door::Door;
use crate::poll_set::{Fate, NOTHING, SLOTS, Seen};
use crate::problem::{Context, Problem};
use crate::visitor::{Entry, Origin, Visitor};

/// Connections without a token yet, from outside the namespace.
const MAX_OUTSIDE: usize = 64;

/// Connections without a token yet, from the namespace itself: harbor never comes that way under Docker.
const MAX_INSIDE: usize = 8;

/// Authenticated connections. Each holds 32 KiB at most.
const MAX_STREAMS: usize = 512;

/// Arrivals per step, so that a flood of them keeps no one else waiting.
const ARRIVALS: usize = 16;

/// Arrivals the kernel keeps for us.
const BACKLOG: i32 = 1024;

/// The TCP listener and its connections.
pub(crate) struct Streaming {
    door: Door,
    port: u16,
    token: Vec<u8>,
    /// In order of arrival.
    visitors: Vec<Visitor>,
    most_streams: usize,
}

impl Streaming {
    /// Listens on all addresses if there is a token. Fails if somebody else, such as the sandbox, holds the port.
    pub(crate) fn open(token_file: &Path, port: u16, descriptors: usize) -> Result<Option<Self>, Problem> {
        let Some(token) = read_token(token_file)? else { return Ok(None) };
        let door = Door::new(listener(port).context(format!("cannot listen on port {port} for streaming"))?);
        let most_streams = MAX_STREAMS.min(descriptors.saturating_sub(3 * MAX_CONNECTIONS) / SLOTS);
        Ok(Some(Self { door, port, token, visitors: Vec::new(), most_streams }))
    }

    /// The listener's place in the poll set.
    pub(crate) fn watch_door(&self) -> PollFd<'_> {
        self.door.watch(true)
    }

    /// The connections' places in the poll set.
    pub(crate) fn watch<'a>(&'a self, watched: &mut Vec<PollFd<'a>>) {
        for visitor in &self.visitors {
            watched.extend(visitor.watch());
        }
    }

    /// When to look again although nothing happened.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.visitors.iter().filter_map(Visitor::deadline).chain(self.door.deadline()).min()
    }

    /// One step of each connection that is ready, then some arrivals.
    pub(crate) fn serve(&mut self, door: PollFlags, seen: &[Seen], scratch: &mut [u8], now: Instant) {
        let Self { token, port, visitors, most_streams, .. } = self;
        let mut streams = visitors.iter().filter(|visitor| visitor.is_authenticated()).count();
        let mut seen = seen.iter().copied();
        visitors.retain_mut(|visitor| {
            let known = visitor.is_authenticated();
            let entry = Entry { token, port: *port, full: streams >= *most_streams };
            let stays = visitor.serve(seen.next().unwrap_or(NOTHING), &entry, scratch, now) == Fate::Stay;
            streams += usize::from(stays && !known && visitor.is_authenticated());
            stays
        });
        self.door.tick(now);
        if !door.is_empty() {
            self.welcome(now);
        }
    }

    fn welcome(&mut self, now: Instant) {
        for _ in 0..ARRIVALS {
            let Some(socket) = self.door.accept(now) else { return };
            let origin = origin(&socket);
            let most = if origin == Origin::Inside { MAX_INSIDE } else { MAX_OUTSIDE };
            let waiting = |visitor: &Visitor| !visitor.is_authenticated() && visitor.origin() == origin;
            if self.visitors.iter().filter(|visitor| waiting(visitor)).count() >= most
                && let Some(oldest) = self.visitors.iter().position(waiting)
            {
                self.visitors.remove(oldest);
            }
            if set_tcp_nodelay(&socket, true).and_then(|()| set_socket_keepalive(&socket, true)).is_ok() {
                self.visitors.push(Visitor::new(socket, origin, now));
            }
        }
    }
}

/// The token, without the line end that a file may have; nothing if there is no file.
fn read_token(path: &Path) -> Result<Option<Vec<u8>>, Problem> {
    let text = match std::fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).context(format!("cannot read {}", path.display())),
    };
    let token = text.trim_ascii();
    if token.len() < MIN_TOKEN {
        return Err(Problem::new(format!("the token in {} is shorter than {MIN_TOKEN} bytes", path.display())));
    }
    Ok(Some(token.to_vec()))
}

/// Listens on all addresses of both families. Without `SO_REUSEPORT` nobody can listen beside us, on any address.
fn listener(port: u16) -> Result<OwnedFd, Errno> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let (socket, address) = match socket_with(AddressFamily::INET6, SocketType::STREAM, flags, None) {
        Ok(socket) => {
            set_ipv6_v6only(&socket, false)?;
            (socket, SocketAddr::from((Ipv6Addr::UNSPECIFIED, port)))
        }
        Err(Errno::AFNOSUPPORT) => {
            let socket = socket_with(AddressFamily::INET, SocketType::STREAM, flags, None)?;
            (socket, SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)))
        }
        Err(errno) => return Err(errno),
    };
    set_socket_reuseaddr(&socket, true)?;
    bind(&socket, &address)?;
    listen(&socket, BACKLOG)?;
    Ok(socket)
}

/// Whether the other end has an address of this namespace: only those can be bound here.
fn origin(socket: &OwnedFd) -> Origin {
    let peer = getpeername(socket).ok().flatten().and_then(|peer| SocketAddr::try_from(peer).ok());
    let own = peer.is_none_or(|mut peer| {
        if let canonical @ IpAddr::V4(_) = peer.ip().to_canonical() {
            peer.set_ip(canonical); // an IPv4 address as a dual-stack socket writes it
        }
        peer.set_port(0);
        UdpSocket::bind(peer).err().is_none_or(|error| error.kind() != ErrorKind::AddrNotAvailable)
    });
    if own { Origin::Inside } else { Origin::Outside }
}
