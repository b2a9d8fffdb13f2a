//! One connection of the streaming form: a line with token and request, the answer, then perhaps the stream.

use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use harbor_protocol::infra::{Failure, Hello, MAX_MESSAGE, Reply};
use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, recv, send};
use subtle::ConstantTimeEq;

use crate::dial::{Dial, Progress};
use crate::pipe::Pipe;
use crate::poll_set::{Fate, SLOTS, Seen};
use crate::requests::{Answer, decide, failure, unsupported};

/// How long a connection may take for its first line.
const PATIENCE: Duration = Duration::from_secs(5);

/// Where a connection comes from.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    /// This network namespace: the sandbox.
    Inside,
    /// Elsewhere: harbor, by way of the published port.
    Outside,
}

/// What is asked of a connection, and what it may ask for.
pub(crate) struct Entry<'a> {
    /// The token that it must show.
    pub(crate) token: &'a [u8],
    /// Infra's own port, which it may not dial.
    pub(crate) port: u16,
    /// There is no room for another stream.
    pub(crate) full: bool,
}

/// One connection.
pub(crate) struct Visitor {
    socket: OwnedFd,
    origin: Origin,
    stage: Stage,
}

enum Stage {
    /// Its first line is being read; nothing is known of it.
    Greeting { line: Vec<u8>, deadline: Instant },
    /// It has shown the token and waits for its dial.
    Dialling(Dial),
    /// It is a stream.
    Piping(Pipe),
    /// It has had its answer.
    Answered,
}

impl Visitor {
    /// A connection that has just arrived.
    pub(crate) fn new(socket: OwnedFd, origin: Origin, now: Instant) -> Self {
        Self { socket, origin, stage: Stage::Greeting { line: Vec::new(), deadline: now + PATIENCE } }
    }

    /// Where it comes from.
    pub(crate) fn origin(&self) -> Origin {
        self.origin
    }

    /// Whether it has shown the token.
    pub(crate) fn is_authenticated(&self) -> bool {
        !matches!(self.stage, Stage::Greeting { .. })
    }

    /// Its places in the poll set.
    pub(crate) fn watch(&self) -> [PollFd<'_>; SLOTS] {
        let own = |wanted| PollFd::new(&self.socket, wanted);
        match &self.stage {
            Stage::Greeting { .. } => [own(PollFlags::IN), own(PollFlags::empty())],
            Stage::Dialling(dial) => [own(PollFlags::empty()), dial.watch()],
            Stage::Piping(pipe) => pipe.watch(&self.socket),
            Stage::Answered => [own(PollFlags::empty()), own(PollFlags::empty())],
        }
    }

    /// When to look again although nothing happened.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        match &self.stage {
            Stage::Greeting { deadline, .. } => Some(*deadline),
            Stage::Dialling(dial) => Some(dial.deadline()),
            Stage::Piping(pipe) => pipe.deadline(),
            Stage::Answered => None,
        }
    }

    /// One step, after a poll that saw `seen` in its places.
    pub(crate) fn serve(&mut self, seen: Seen, entry: &Entry, scratch: &mut [u8], now: Instant) -> Fate {
        let [own, second] = seen;
        match std::mem::replace(&mut self.stage, Stage::Answered) {
            Stage::Greeting { line, deadline } if own.is_empty() => {
                self.stage = Stage::Greeting { line, deadline };
                if now < deadline { Fate::Stay } else { Fate::Gone }
            }
            Stage::Greeting { line, deadline } => self.listen(line, deadline, entry, scratch, now),
            Stage::Dialling(_) if own.intersects(PollFlags::HUP | PollFlags::ERR) => Fate::Gone,
            Stage::Dialling(dial) => self.go_on(dial.advance(second, now)),
            Stage::Piping(mut pipe) => {
                let fate = pipe.serve(&self.socket, seen, scratch, now);
                self.stage = Stage::Piping(pipe);
                fate
            }
            Stage::Answered => Fate::Gone,
        }
    }

    /// Reads on until the line is whole.
    fn listen(
        &mut self,
        mut line: Vec<u8>,
        deadline: Instant,
        entry: &Entry,
        scratch: &mut [u8],
        now: Instant,
    ) -> Fate {
        let room = MAX_MESSAGE - line.len();
        match recv(&self.socket, &mut scratch[..room], RecvFlags::empty()) {
            Ok((0, _)) => return Fate::Gone,
            Ok((count, _)) => line.extend_from_slice(&scratch[..count]),
            Err(Errno::WOULDBLOCK | Errno::INTR) => {}
            Err(_) => return Fate::Gone,
        }
        match line.iter().position(|&byte| byte == b'\n') {
            Some(end) if end + 1 == line.len() => self.decide(&line[..end], entry, now),
            Some(_) => self.reply(&unsupported("nothing may follow the first line before the answer")),
            None if line.len() == MAX_MESSAGE => self.reply(&unsupported("the message is too long")),
            None => {
                self.stage = Stage::Greeting { line, deadline };
                Fate::Stay
            }
        }
    }

    fn decide(&mut self, line: &[u8], entry: &Entry, now: Instant) -> Fate {
        let Ok(Hello { token, request }) = serde_json::from_slice(line) else {
            return self.reply(&unsupported("the message was not understood"));
        };
        if !bool::from(token.as_bytes().ct_eq(entry.token)) {
            return self.reply(&failure(Failure::Unauthorized, "the token is wrong".to_owned()));
        }
        match decide(request, Some(entry.port)) {
            Answer::Now(reply) => self.reply(&reply),
            Answer::Dial(_) if entry.full => {
                self.reply(&failure(Failure::Busy, "too many streams are open".to_owned()))
            }
            Answer::Dial(port) => self.go_on(Dial::start(port, now)),
        }
    }

    fn go_on(&mut self, progress: Progress) -> Fate {
        match progress {
            Progress::Pending(dial) => {
                self.stage = Stage::Dialling(dial);
                Fate::Stay
            }
            Progress::Connected(target) => {
                let _closed_after_other_answers = self.reply(&Reply::Dialled);
                self.stage = Stage::Piping(Pipe::new(target));
                Fate::Stay
            }
            Progress::Failed(reply) => self.reply(&reply),
        }
    }

    /// Sends the answer: it fits into the empty send buffer of a new connection, or the other end is gone.
    fn reply(&self, reply: &Reply) -> Fate {
        if let Ok(mut text) = serde_json::to_vec(reply) {
            text.push(b'\n');
            let _noticed_on_the_next_use = send(&self.socket, &text, SendFlags::NOSIGNAL);
        }
        Fate::Gone
    }
}
