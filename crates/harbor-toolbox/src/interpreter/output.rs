//! What an execution produces, on its way from the worker to the client.

use std::collections::VecDeque;

use serde::Serialize;
use tokio::sync::mpsc;

use crate::characters::complete;

/// Most bytes of one text.
const TEXT: usize = 64 << 10;

/// Most bytes kept of an exception; the worker itself keeps to less.
const EXCEPTION: usize = 1 << 20;

/// Text that the code wrote.
pub(super) struct Text {
    pub(super) stream: Stream,
    pub(super) text: String,
}

/// Where a text was written to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stream {
    Output,
    Error,
}

/// An uncaught exception.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Exception {
    name: Vec<u8>,
    value: Vec<u8>,
    traceback: Vec<u8>,
}

impl Exception {
    /// One that no code raised.
    pub(super) fn new(name: &str, value: &str) -> Self {
        let traceback = format!("{name}: {value}\n").into_bytes();
        Self { name: name.into(), value: value.into(), traceback }
    }

    /// Whether there was an exception at all.
    pub(super) fn is_one(&self) -> bool {
        !self.name.is_empty()
    }

    /// Adds a piece of one of its texts: `n`, `v` or `t`.
    pub(super) fn append(&mut self, field: u8, piece: &[u8]) {
        let room = EXCEPTION.saturating_sub(self.name.len() + self.value.len() + self.traceback.len());
        let piece = &piece[..piece.len().min(room)];
        match field {
            b'n' => self.name.extend_from_slice(piece),
            b'v' => self.value.extend_from_slice(piece),
            b't' => self.traceback.extend_from_slice(piece),
            _ => {} // nothing that a worker sends
        }
    }
}

/// A message to the client: always these five members (contract, toolbox §9.2).
#[derive(Default, Serialize)]
pub(super) struct Chunk {
    #[serde(rename = "type")]
    kind: &'static str,
    text: String,
    name: String,
    value: String,
    traceback: String,
}

impl Chunk {
    pub(super) fn text(Text { stream, text }: Text) -> Self {
        let kind = match stream {
            Stream::Output => "stdout",
            Stream::Error => "stderr",
        };
        Self { kind, text, ..Self::default() }
    }

    pub(super) fn completed() -> Self {
        Self { kind: "control", text: "completed".to_owned(), ..Self::default() }
    }

    pub(super) fn error(exception: &Exception) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (name, value, traceback) = (text(&exception.name), text(&exception.value), text(&exception.traceback));
        Self { kind: "error", name, value, traceback, ..Self::default() }
    }
}

/// Collects neighbouring pieces of one stream.
pub(super) struct Output<'a> {
    texts: &'a mpsc::Sender<Text>,
    /// What is not handed on yet, no two neighbours of one stream; more than one only while the client is waited for.
    pending: VecDeque<(Stream, Vec<u8>)>,
    waits: bool,
}

impl<'a> Output<'a> {
    pub(super) fn new(texts: &'a mpsc::Sender<Text>) -> Self {
        Self { texts, pending: VecDeque::new(), waits: true }
    }

    /// From now on a text that the client has no room for is dropped.
    pub(super) fn stop_waiting(&mut self) {
        self.waits = false;
    }

    /// Adds text. Waits for the client while there is enough to hand on; text is never lost by dropping the future.
    pub(super) async fn append(&mut self, stream: Stream, text: &[u8]) {
        match self.pending.back_mut() {
            Some((last, pending)) if *last == stream => pending.extend_from_slice(text),
            _ => self.pending.push_back((stream, text.to_vec())),
        }
        self.hand_over_earlier().await;
        if self.pending.back().is_some_and(|(_, pending)| pending.len() >= TEXT / 2) {
            self.flush().await;
        }
    }

    /// Hands on what is there, but for a character whose rest is still to come.
    pub(super) async fn flush(&mut self) {
        self.hand_over_earlier().await;
        let length = self.pending.front().map_or(0, |(_, pending)| complete(pending));
        self.hand_over(length).await;
    }

    /// Hands on everything before the last stream's text.
    async fn hand_over_earlier(&mut self) {
        while self.pending.len() > 1 {
            let length = self.pending.front().map_or(0, |(_, pending)| pending.len());
            self.hand_over(length).await;
            self.pending.pop_front();
        }
    }

    /// Hands on the first `length` bytes.
    async fn hand_over(&mut self, length: usize) {
        if length == 0 {
            return;
        }
        let permit = if self.waits { self.texts.reserve().await.ok() } else { self.texts.try_reserve().ok() };
        let Some((stream, pending)) = self.pending.front_mut() else { return };
        let text = String::from_utf8_lossy(&pending[..length]).into_owned();
        pending.drain(..length);
        // Without a permit the client is gone, or time is up; the code's output goes nowhere.
        if let Some(permit) = permit {
            permit.send(Text { stream: *stream, text });
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn text_is_not_lost_with_a_dropped_future() {
        let (texts, mut written) = mpsc::channel(1);
        let mut output = Output::new(&texts);
        output.append(Stream::Output, b"a").await;
        output.flush().await;
        for (stream, text) in [(Stream::Output, b"b"), (Stream::Error, b"c"), (Stream::Output, b"d")] {
            assert!(output.append(stream, text).now_or_never().is_none() || text == b"b", "there is no room");
        }
        let reading = async {
            let mut all = String::new();
            while all.len() < 4 {
                all += &written.recv().await.unwrap().text;
            }
            all
        };
        assert_eq!(tokio::join!(output.flush(), reading).1, "abcd");
    }

    #[test]
    fn an_exception_is_bounded() {
        let mut exception = Exception::default();
        for _ in 0..40 {
            exception.append(b't', &vec![b'x'; 32 << 10]);
        }
        exception.append(b'v', b"late");
        assert_eq!((exception.traceback.len(), exception.value.len()), (EXCEPTION, 0));
        assert!(!exception.is_one());
    }
}
