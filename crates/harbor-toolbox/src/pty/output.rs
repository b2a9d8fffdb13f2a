//! What a terminal has written of late, and how far each of its clients has read.
//!
//! Guarantees: at most [`KEPT`] bytes are held, whoever reads or does not; as long as one client keeps up to within
//! [`WINDOW`], the terminal is read on, and a client that falls further behind than what is held has lost some and is
//! told so; if none keeps up, the terminal waits.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, watch};

/// Most bytes held.
const KEPT: usize = 1 << 20;

/// How far the fastest client may be behind before the terminal waits for it.
const WINDOW: u64 = KEPT as u64 / 2;

/// Most bytes of one frame.
const FRAME: usize = 32 << 10;

/// The output of a terminal.
#[derive(Default)]
pub(super) struct Output {
    state: Mutex<Scrollback>,
    /// Bytes ever written.
    written: watch::Sender<u64>,
    /// A client has read something, or left.
    moved: Notify,
}

#[derive(Default)]
struct Scrollback {
    held: VecDeque<u8>,
    /// Bytes ever written before the first held one.
    start: u64,
    /// By number, how far each client has read.
    readers: BTreeMap<u64, u64>,
    numbered: u64,
}

/// From where a client reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ReadFrom {
    /// Everything that is held.
    Held,
    /// What is written from now on.
    Now,
}

/// What a client gets next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    Text(Vec<u8>),
    /// It has everything.
    Nothing,
    /// It was too slow.
    Lost,
}

impl Output {
    /// Adds what the terminal has written.
    pub(super) fn push(&self, text: &[u8]) {
        let end = {
            let mut state = self.state();
            state.held.extend(text);
            let excess = state.held.len().saturating_sub(KEPT);
            state.held.drain(..excess);
            state.start += excess as u64;
            state.end()
        };
        self.written.send_replace(end);
    }

    /// Waits until the terminal may be read.
    pub(super) async fn room(&self) {
        loop {
            let moved = self.moved.notified();
            if self.state().has_room() {
                return;
            }
            moved.await;
        }
    }

    /// A new client.
    pub(super) fn attach(self: &Arc<Self>, from: ReadFrom) -> Reader {
        let mut state = self.state();
        let number = state.numbered;
        state.numbered += 1;
        let at = match from {
            ReadFrom::Held => state.start,
            ReadFrom::Now => state.end(),
        };
        state.readers.insert(number, at);
        Reader { output: Arc::clone(self), number, written: self.written.subscribe() }
    }

    fn state(&self) -> MutexGuard<'_, Scrollback> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Scrollback {
    fn end(&self) -> u64 {
        self.start + self.held.len() as u64
    }

    fn has_room(&self) -> bool {
        let end = self.end();
        self.readers.is_empty() || self.readers.values().any(|at| end - at <= WINDOW)
    }
}

/// A client's place in the output; it counts until it is dropped.
pub(super) struct Reader {
    output: Arc<Output>,
    number: u64,
    written: watch::Receiver<u64>,
}

impl Reader {
    /// What comes next, without moving on.
    pub(super) fn peek(&mut self) -> Next {
        self.written.mark_unchanged();
        let state = self.output.state();
        let Some(&at) = state.readers.get(&self.number) else { return Next::Lost };
        let Some(skip) = at.checked_sub(state.start) else { return Next::Lost };
        let skip = usize::try_from(skip).unwrap_or(usize::MAX);
        let length = (state.held.len() - skip).min(FRAME);
        if length == 0 {
            return Next::Nothing;
        }
        let (old, new) = state.held.as_slices();
        let (from, to) = (old.len().min(skip), old.len().min(skip + length));
        let mut text = Vec::with_capacity(length);
        text.extend(&old[from..to]);
        text.extend(&new[skip.saturating_sub(old.len())..(skip + length).saturating_sub(old.len())]);
        Next::Text(text)
    }

    /// The client has taken this many bytes more.
    pub(super) fn advance(&self, length: usize) {
        if let Some(at) = self.output.state().readers.get_mut(&self.number) {
            *at += length as u64;
        }
        self.output.moved.notify_one();
    }

    /// Waits until more is written than was there at the last [`Reader::peek`].
    pub(super) async fn more(&mut self) {
        // The output is there as long as its reader.
        let _ = self.written.changed().await;
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.output.state().readers.remove(&self.number);
        self.output.moved.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    fn take(reader: &mut Reader) -> Vec<u8> {
        let mut all = Vec::new();
        while let Next::Text(text) = reader.peek() {
            reader.advance(text.len());
            all.extend(text);
        }
        all
    }

    #[test]
    fn clients_read_from_where_they_came() {
        let output = Arc::new(Output::default());
        output.push(b"early ");
        let (mut late, mut replayed) = (output.attach(ReadFrom::Now), output.attach(ReadFrom::Held));
        output.push(b"late");
        assert_eq!((take(&mut late), take(&mut replayed)), (b"late".to_vec(), b"early late".to_vec()));
        assert_eq!(late.peek(), Next::Nothing);
    }

    #[test]
    fn without_clients_there_is_always_room_and_little_is_held() {
        let output = Arc::new(Output::default());
        for _ in 0..100 {
            assert!(output.room().now_or_never().is_some());
            output.push("x".repeat(64 << 10).as_bytes());
        }
        assert_eq!(take(&mut output.attach(ReadFrom::Held)).len(), KEPT);
    }

    #[test]
    fn the_terminal_waits_for_its_only_client() {
        let output = Arc::new(Output::default());
        let mut reader = output.attach(ReadFrom::Now);
        while output.room().now_or_never().is_some() {
            output.push("x".repeat(32 << 10).as_bytes());
        }
        assert!(take(&mut reader).len() <= KEPT);
        assert!(output.room().now_or_never().is_some());
    }

    #[test]
    fn one_client_that_reads_is_enough_and_the_other_loses() {
        let output = Arc::new(Output::default());
        let (mut slow, mut fast) = (output.attach(ReadFrom::Now), output.attach(ReadFrom::Now));
        for _ in 0..100 {
            assert!(output.room().now_or_never().is_some());
            output.push("x".repeat(32 << 10).as_bytes());
            assert_eq!(take(&mut fast).len(), 32 << 10);
        }
        assert_eq!(slow.peek(), Next::Lost);
    }

    #[tokio::test]
    async fn who_waits_learns_of_more() {
        let output = Arc::new(Output::default());
        let mut reader = output.attach(ReadFrom::Now);
        assert_eq!(reader.peek(), Next::Nothing);
        assert!(reader.more().now_or_never().is_none());
        output.push(b"x");
        reader.more().await;
        assert_eq!(reader.peek(), Next::Text(b"x".to_vec()));
    }
}
