//! The loop: one poll over everything, then a bounded step of each that is ready.
//!
//! The set of descriptors is made anew for every poll from the state of things, so no registration can outlive its
//! socket; a passed socket lives on in harbor. Each connection takes exactly [`SLOTS`](crate::poll_set::SLOTS) places in it.

use std::os::unix::net::UnixStream;
use std::time::Instant;

use harbor_protocol::infra::MAX_MESSAGE;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use crate::passing::Passing;
use crate::problem::{Context, Problem};
use crate::streaming::Streaming;

/// Places before those of connections: the stop signal and the two listeners.
const FIXED: usize = 3;

/// Everything infra serves.
pub(crate) struct Keeper {
    stop: UnixStream,
    passing: Passing,
    streaming: Option<Streaming>,
    /// One packet, or one portion of a stream, on its way through.
    scratch: Vec<u8>,
}

impl Keeper {
    /// Serves until `stop` is readable.
    pub(crate) fn new(stop: UnixStream, passing: Passing, streaming: Option<Streaming>) -> Self {
        Self { stop, passing, streaming, scratch: vec![0; MAX_MESSAGE] }
    }

    /// Serves until asked to end.
    pub(crate) fn run(mut self) -> Result<(), Problem> {
        let mut ready = Vec::new();
        loop {
            self.wait(&mut ready)?;
            let now = Instant::now();
            let [stop, passing, streaming] = [ready[0], ready[1], ready[2]];
            if !stop.is_empty() {
                return Ok(());
            }
            let (pairs, _) = ready[FIXED..].as_chunks();
            let (to_passing, to_streaming) = pairs.split_at(self.passing.len());
            self.passing.serve(passing, to_passing, &mut self.scratch, now);
            if let Some(listener) = &mut self.streaming {
                listener.serve(streaming, to_streaming, &mut self.scratch, now);
            }
        }
    }

    /// Waits for something to do and leaves in `ready` what each place of the set saw.
    fn wait(&self, ready: &mut Vec<PollFlags>) -> Result<(), Problem> {
        let mut watched = vec![PollFd::new(&self.stop, PollFlags::IN), self.passing.watch_door()];
        watched.push(self.streaming.as_ref().map_or_else(|| self.passing.watch_nothing(), Streaming::watch_door));
        self.passing.watch(&mut watched);
        if let Some(listener) = &self.streaming {
            listener.watch(&mut watched);
        }
        let deadline = [self.passing.deadline(), self.streaming.as_ref().and_then(Streaming::deadline)];
        let timeout = deadline
            .into_iter()
            .flatten()
            .min()
            .and_then(|deadline| Timespec::try_from(deadline.saturating_duration_since(Instant::now())).ok());
        match poll(&mut watched, timeout.as_ref()) {
            Ok(_) => {}
            Err(Errno::INTR) => watched.iter_mut().for_each(PollFd::clear_revents),
            Err(errno) => return Err(errno).context("cannot poll"),
        }
        ready.clear();
        ready.extend(watched.iter().map(PollFd::revents));
        Ok(())
    }
}
