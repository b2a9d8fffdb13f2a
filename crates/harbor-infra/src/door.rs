//! A listening socket.

use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;
use rustix::net::{SocketFlags, accept_with};

/// How long to leave a listener alone after `accept` failed for lack of something: it stays readable, so asking again
/// at once would take the whole processor.
const REST: Duration = Duration::from_millis(100);

/// A nonblocking listening socket.
pub(crate) struct Door {
    socket: OwnedFd,
    resting_until: Option<Instant>,
}

impl Door {
    /// `socket` listens and is nonblocking.
    pub(crate) fn new(socket: OwnedFd) -> Self {
        Self { socket, resting_until: None }
    }

    /// What to poll: arrivals if `open`, nothing otherwise.
    pub(crate) fn watch(&self, open: bool) -> PollFd<'_> {
        let wanted = if open && self.resting_until.is_none() { PollFlags::IN } else { PollFlags::empty() };
        PollFd::new(&self.socket, wanted)
    }

    /// When to look again although nothing arrived.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.resting_until
    }

    /// Ends a rest that is over.
    pub(crate) fn tick(&mut self, now: Instant) {
        self.resting_until = self.resting_until.filter(|&until| until > now);
    }

    /// The next arrival, nonblocking and close-on-exec, if there is one.
    pub(crate) fn accept(&mut self, now: Instant) -> Option<OwnedFd> {
        match accept_with(&self.socket, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC) {
            Ok(arrival) => Some(arrival),
            Err(Errno::WOULDBLOCK | Errno::INTR | Errno::CONNABORTED) => None,
            Err(_) => {
                self.resting_until = Some(now + REST);
                None
            }
        }
    }
}
