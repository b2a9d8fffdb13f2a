//! The passing form: harbor's requests as packets on a unix socket, connected sockets as `SCM_RIGHTS`.
//!
//! Only harbor reaches the socket: its directory is mounted into infra alone. So connections are held to a number
//! and otherwise trusted; the same number of dials at most is under way.

use std::io::IoSlice;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileTypeExt;
use std::path::Path;
use std::time::Instant;

use harbor_protocol::infra::{Failure, MAX_CONNECTIONS, MAX_MESSAGE, Reply, Request, SOCKET};
use rustix::event::{PollFd, PollFlags};
use rustix::fs::Mode;
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketAddrUnix, SocketFlags,
    SocketType, bind, connect, listen, recv, sendmsg, socket_with,
};

use crate::dial::{Dial, Progress};
use crate::door::Door;
use crate::poll_set::{Fate, NOTHING, Seen};
use crate::problem::{Context, Problem};
use crate::requests::{Answer, decide, failure, unsupported};

/// The unix socket and its connections.
pub(crate) struct Passing {
    door: Door,
    connections: Vec<Connection>,
    own_port: Option<u16>,
}

/// One connection of harbor: idle, or waiting for a dial.
struct Connection {
    socket: OwnedFd,
    dial: Option<Dial>,
}

impl Passing {
    /// Listens in `directory`, replacing the socket that an earlier infra left there.
    pub(crate) fn open(directory: &Path, own_port: Option<u16>) -> Result<Self, Problem> {
        let path = directory.join(SOCKET);
        let cannot = format!("cannot listen on {}", path.display());
        let address = SocketAddrUnix::new(&path).context(cannot.clone())?;
        remove_stale(&path, &address).context(cannot.clone())?;
        let socket = packet_socket().context(cannot.clone())?;
        // The directory decides who may connect; infra's user is not harbor's.
        rustix::process::umask(Mode::from_raw_mode(0o111));
        bind(&socket, &address).context(cannot.clone())?;
        listen(&socket, i32::try_from(MAX_CONNECTIONS).unwrap_or(i32::MAX)).context(cannot)?;
        Ok(Self { door: Door::new(socket), connections: Vec::new(), own_port })
    }

    /// How many connections there are.
    pub(crate) fn len(&self) -> usize {
        self.connections.len()
    }

    /// The listener's place in the poll set.
    pub(crate) fn watch_door(&self) -> PollFd<'_> {
        self.door.watch(self.connections.len() < MAX_CONNECTIONS)
    }

    /// A place in the poll set in which nothing ever happens.
    pub(crate) fn watch_nothing(&self) -> PollFd<'_> {
        self.door.watch(false)
    }

    /// The connections' places in the poll set.
    pub(crate) fn watch<'a>(&'a self, watched: &mut Vec<PollFd<'a>>) {
        for Connection { socket, dial } in &self.connections {
            let wanted = if dial.is_some() { PollFlags::empty() } else { PollFlags::IN };
            let own = PollFd::new(socket, wanted);
            let second = dial.as_ref().map_or_else(|| PollFd::new(socket, PollFlags::empty()), Dial::watch);
            watched.extend([own, second]);
        }
    }

    /// When to look again although nothing happened.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let dials = self.connections.iter().filter_map(|connection| connection.dial.as_ref().map(Dial::deadline));
        dials.chain(self.door.deadline()).min()
    }

    /// One step of each connection that is ready, then at most one arrival.
    pub(crate) fn serve(&mut self, door: PollFlags, seen: &[Seen], scratch: &mut [u8], now: Instant) {
        let mut seen = seen.iter().copied();
        let own_port = self.own_port;
        self.connections.retain_mut(|connection| {
            let seen = seen.next().unwrap_or(NOTHING);
            connection.serve(seen, own_port, scratch, now) == Fate::Stay
        });
        self.door.tick(now);
        if !door.is_empty()
            && let Some(socket) = self.door.accept(now)
        {
            self.connections.push(Connection { socket, dial: None });
        }
    }
}

impl Connection {
    fn serve(&mut self, [own, second]: Seen, own_port: Option<u16>, scratch: &mut [u8], now: Instant) -> Fate {
        match self.dial.take() {
            Some(_) if own.intersects(PollFlags::HUP | PollFlags::ERR) => Fate::Gone,
            Some(dial) => self.go_on(dial.advance(second, now)),
            None if own.is_empty() => Fate::Stay,
            None => self.receive(own_port, scratch, now),
        }
    }

    /// Reads one packet and acts on it.
    fn receive(&mut self, own_port: Option<u16>, scratch: &mut [u8], now: Instant) -> Fate {
        let packet = match recv(&self.socket, &mut *scratch, RecvFlags::TRUNC) {
            Ok((_, 0)) => return Fate::Gone,
            Ok((_, length)) if length > MAX_MESSAGE => {
                return self.reply(&unsupported("the message is too long"), None);
            }
            Ok((length, _)) => &scratch[..length],
            Err(Errno::WOULDBLOCK | Errno::INTR) => return Fate::Stay,
            Err(_) => return Fate::Gone,
        };
        match serde_json::from_slice::<Request>(packet).map(|request| decide(request, own_port)) {
            Ok(Answer::Now(reply)) => self.reply(&reply, None),
            Ok(Answer::Dial(port)) => self.go_on(Dial::start(port, now)),
            Err(_) => self.reply(&unsupported("the message was not understood"), None),
        }
    }

    fn go_on(&mut self, progress: Progress) -> Fate {
        match progress {
            Progress::Pending(dial) => {
                self.dial = Some(dial);
                Fate::Stay
            }
            Progress::Connected(socket) => self.reply(&Reply::Dialled, Some(&socket)),
            Progress::Failed(reply) => self.reply(&reply, None),
        }
    }

    /// Sends the answer, with the connected socket if there is one; the caller closes our copy of it.
    fn reply(&self, reply: &Reply, passed: Option<&OwnedFd>) -> Fate {
        let Ok(text) = serde_json::to_vec(reply) else { return Fate::Gone };
        match send(&self.socket, &text, passed) {
            Ok(_) => Fate::Stay,
            Err(Errno::TOOMANYREFS) if passed.is_some() => {
                let message = "too many descriptors are in flight for infra's user".to_owned();
                self.reply(&failure(Failure::Busy, message), None)
            }
            Err(_) => Fate::Gone,
        }
    }
}

/// One packet, with one descriptor or none.
fn send(socket: &OwnedFd, text: &[u8], passed: Option<&OwnedFd>) -> Result<usize, Errno> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let descriptors = passed.map(AsFd::as_fd);
    if descriptors.is_some() && !control.push(SendAncillaryMessage::ScmRights(descriptors.as_slice())) {
        return Err(Errno::NOBUFS);
    }
    sendmsg(socket, &[IoSlice::new(text)], &mut control, SendFlags::NOSIGNAL | SendFlags::DONTWAIT)
}

fn packet_socket() -> Result<OwnedFd, Errno> {
    socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC, None)
}

/// Removes a socket that nobody listens on: a container that was restarted finds its own. One that somebody serves, or
/// a file of another kind, stays, and binding then says that the address is in use.
fn remove_stale(path: &Path, address: &SocketAddrUnix) -> std::io::Result<()> {
    let is_socket = std::fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket());
    if is_socket && connect(packet_socket()?, address) == Err(Errno::CONNREFUSED) {
        std::fs::remove_file(path)?;
    }
    Ok(())
}
