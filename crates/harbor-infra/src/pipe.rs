//! Two sockets joined: what either sends the other gets, half-close and reset included, in bounded memory.
//!
//! Bytes go straight from one socket to the other; only what the other did not take is kept, and no more is read until
//! it has. A broken end breaks the other by a reset, so that a truncated stream never looks like a whole one.

use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;
use rustix::net::sockopt::set_socket_linger;
use rustix::net::{RecvFlags, SendFlags, Shutdown, recv, send, shutdown};

use crate::poll_set::{Fate, SLOTS, Seen};

/// The most that is read at once, and so kept per direction, in bytes.
const PORTION: usize = 16 * 1024;

/// How long bytes of an end that is gone may wait for the other to take them.
const LAST_WILL: Duration = Duration::from_mins(1);

const BROKEN: PollFlags = PollFlags::ERR.union(PollFlags::HUP);

/// A stream between the client's socket, which the visitor owns, and the dialled one.
pub(crate) struct Pipe {
    target: OwnedFd,
    to_target: Flow,
    to_client: Flow,
}

/// One direction.
struct Flow {
    state: FlowState,
    /// The sending end is closed or broken while its last bytes still wait; until when they may.
    source_gone: Option<Instant>,
}

enum FlowState {
    /// Waiting for bytes of the source.
    Reading,
    /// Waiting for the sink to take these, from this index on.
    Writing(Vec<u8>, usize),
    /// The source has ended and the sink knows.
    Ended,
}

impl Pipe {
    /// Joins the visitor's socket with `target`.
    pub(crate) fn new(target: OwnedFd) -> Self {
        let flow = || Flow { state: FlowState::Reading, source_gone: None };
        Self { target, to_target: flow(), to_client: flow() }
    }

    /// The places of both sockets in the poll set.
    pub(crate) fn watch<'a>(&'a self, client: &'a OwnedFd) -> [PollFd<'a>; SLOTS] {
        let watch = |own: &'a OwnedFd, other: &'a OwnedFd, from: &Flow, to: &Flow| {
            let wanted = from.wanted_of_source() | to.wanted_of_sink();
            // An end that is gone and not asked for anything would wake every poll.
            let asleep = wanted.is_empty() && from.source_gone.is_some();
            PollFd::new(if asleep { other } else { own }, wanted)
        };
        let own = watch(client, &self.target, &self.to_target, &self.to_client);
        let second = watch(&self.target, client, &self.to_client, &self.to_target);
        [own, second]
    }

    /// When to look again although nothing happened.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        [self.to_target.source_gone, self.to_client.source_gone].into_iter().flatten().min()
    }

    /// Moves what can be moved, one portion per direction.
    pub(crate) fn serve(&mut self, client: &OwnedFd, seen: Seen, scratch: &mut [u8], now: Instant) -> Fate {
        let Self { target, to_target, to_client } = self;
        let [own, second] = seen;
        let moved = to_target
            .step(client, target, [own, second], scratch, now)
            .and_then(|()| to_client.step(target, client, [second, own], scratch, now));
        if moved.is_err() {
            to_target.cut_off(target);
            to_client.cut_off(client);
        }
        let ended = matches!((&to_target.state, &to_client.state), (FlowState::Ended, FlowState::Ended));
        if moved.is_err() || ended { Fate::Gone } else { Fate::Stay }
    }
}

impl Flow {
    fn wanted_of_source(&self) -> PollFlags {
        if matches!(self.state, FlowState::Reading) { PollFlags::IN } else { PollFlags::empty() }
    }

    fn wanted_of_sink(&self) -> PollFlags {
        if matches!(self.state, FlowState::Writing(..)) { PollFlags::OUT } else { PollFlags::empty() }
    }

    /// Moves one portion, if the poll says that this is possible. An error ends the stream.
    fn step(
        &mut self,
        source: &OwnedFd,
        sink: &OwnedFd,
        [at_source, at_sink]: Seen,
        scratch: &mut [u8],
        now: Instant,
    ) -> Result<(), Errno> {
        match &mut self.state {
            FlowState::Reading if !at_source.is_empty() => self.read(source, sink, scratch),
            FlowState::Writing(kept, sent) if !at_sink.is_empty() => {
                *sent += some_or_none(send(sink, &kept[*sent..], SendFlags::NOSIGNAL))?;
                if *sent == kept.len() {
                    *self = Self { state: FlowState::Reading, source_gone: None };
                }
                Ok(())
            }
            FlowState::Writing(..) if at_source.intersects(BROKEN) => {
                self.source_gone.get_or_insert(now + LAST_WILL);
                Ok(())
            }
            FlowState::Writing(..) if self.source_gone.is_some_and(|until| until <= now) => Err(Errno::TIMEDOUT),
            FlowState::Ended if at_source.contains(PollFlags::ERR) => Err(Errno::CONNRESET),
            FlowState::Reading | FlowState::Writing(..) | FlowState::Ended => Ok(()),
        }
    }

    /// Makes the sink's closing a reset, unless it has had everything.
    fn cut_off(&self, sink: &OwnedFd) {
        if !matches!(self.state, FlowState::Ended) {
            let _best_effort = set_socket_linger(sink, Some(Duration::ZERO));
        }
    }

    fn read(&mut self, source: &OwnedFd, sink: &OwnedFd, scratch: &mut [u8]) -> Result<(), Errno> {
        let count = match recv(source, &mut scratch[..PORTION], RecvFlags::empty()) {
            Ok((0, _)) => {
                let _reset_is_seen_by_poll = shutdown(sink, Shutdown::Write);
                self.state = FlowState::Ended;
                return Ok(());
            }
            Ok((count, _)) => count,
            Err(Errno::WOULDBLOCK | Errno::INTR) => return Ok(()),
            Err(errno) => return Err(errno),
        };
        let sent = some_or_none(send(sink, &scratch[..count], SendFlags::NOSIGNAL))?;
        if sent < count {
            self.state = FlowState::Writing(scratch[sent..count].to_vec(), 0);
        }
        Ok(())
    }
}

/// A socket that takes nothing now has taken no bytes.
fn some_or_none(sent: Result<usize, Errno>) -> Result<usize, Errno> {
    match sent {
        Err(Errno::WOULDBLOCK | Errno::INTR) => Ok(0),
        other => other,
    }
}
