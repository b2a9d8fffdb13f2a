//! The log of a command: both of its streams in one file, every line behind a marker (contract, toolbox §8.7).
//!
//! Guarantees: a follower gets everything from the beginning, in frames that end at a line's end; lines of any length
//! pass in bounded memory.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message, WebSocket, close_code};
use serde::Serialize;
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::sync::watch;
use tokio::time::timeout;

/// Bytes before each line of standard output and of standard error.
const MARKERS: [[u8; 3]; 2] = [[1; 3], [2; 3]];

/// Most bytes of one frame, and of a line that is held back until its end comes.
const FRAME: usize = 64 << 10;

/// A follower is told of the end once nothing has come for this long after it.
const QUIET: Duration = Duration::from_secs(1);

/// Longest wait for a follower to take a frame.
const PATIENCE: Duration = Duration::from_secs(10);

/// Where a line comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stream {
    Output,
    Error,
}

impl Stream {
    fn marker(self) -> [u8; 3] {
        match self {
            Self::Output => MARKERS[0],
            Self::Error => MARKERS[1],
        }
    }
}

/// A log that is written once and read by any number of followers.
pub(super) struct Log {
    file: Mutex<Appender>,
    state: watch::Sender<State>,
}

/// How far a log is.
#[derive(Clone, Copy, Default)]
struct State {
    length: u64,
    ended: bool,
}

struct Appender {
    file: File,
    /// The stream whose last line has no end yet.
    open: Option<Stream>,
}

/// A log as clients from 0.167 on take it.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct Texts {
    output: String,
    stdout: String,
    stderr: String,
}

impl Log {
    /// A new, empty log in `path`.
    pub(super) fn create(path: &Path) -> io::Result<Self> {
        let file = File::options().read(true).write(true).create(true).truncate(true).open(path)?;
        let (state, _) = watch::channel(State::default());
        Ok(Self { file: Mutex::new(Appender { file, open: None }), state })
    }

    /// Copies a stream into the log, line by line, until its end. What cannot be written is lost, not waited for.
    pub(super) async fn record(&self, stream: Stream, mut from: impl AsyncRead + Unpin) {
        let mut pending = Vec::with_capacity(4 << 10);
        loop {
            if pending.capacity() - pending.len() < 1 << 10 {
                pending.reserve(FRAME / 4);
            }
            let end = matches!(from.read_buf(&mut pending).await, Ok(0) | Err(_));
            if end && !pending.is_empty() {
                pending.push(b'\n');
            }
            let whole = pending.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
            let ready = if pending.len() - whole >= FRAME { pending.len() } else { whole };
            self.append(stream, &pending[..ready]);
            pending.drain(..ready);
            if end {
                return;
            }
        }
    }

    /// No more will be appended.
    pub(super) fn end(&self) {
        self.state.send_modify(|state| state.ended = true);
    }

    fn append(&self, stream: Stream, text: &[u8]) {
        if text.is_empty() {
            return;
        }
        let mut appender = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let marked = mark(stream, text, &mut appender.open);
        if appender.file.write_all(&marked).is_ok() {
            drop(appender);
            self.state.send_modify(|state| state.length += marked.len() as u64);
        }
    }

    /// Everything so far, markers included.
    pub(super) fn read(&self) -> io::Result<Vec<u8>> {
        let mut content = vec![0; usize::try_from(self.state.borrow().length).unwrap_or(usize::MAX)];
        self.read_at(&mut content, 0)?;
        Ok(content)
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.file.lock().unwrap_or_else(PoisonError::into_inner).file.read_exact_at(buffer, offset)
    }

    /// Sends the log to a follower; with `follow` until its end, otherwise what is there.
    pub(super) async fn send(&self, mut socket: WebSocket, follow: bool) {
        let code = self.send_frames(&mut socket, follow).await;
        let frame = CloseFrame { code, reason: "".into() };
        // The follower may be gone.
        let _ = timeout(PATIENCE, socket.send(Message::Close(Some(frame)))).await;
    }

    /// Returns the close code.
    async fn send_frames(&self, socket: &mut WebSocket, follow: bool) -> u16 {
        let mut state = self.state.subscribe();
        let mut sent = 0;
        loop {
            let State { length, ended } = *state.borrow_and_update();
            while sent < length {
                let Ok(frame) = self.frame(sent, length) else { return close_code::ERROR };
                sent += frame.len() as u64;
                match timeout(PATIENCE, socket.send(Message::Binary(frame.into()))).await {
                    Ok(Ok(())) => {}
                    _ => return close_code::NORMAL,
                }
            }
            if !follow {
                return close_code::NORMAL;
            }
            let more = async {
                if ended {
                    timeout(QUIET, state.changed()).await.is_ok_and(|more| more.is_ok())
                } else {
                    state.changed().await.is_ok()
                }
            };
            tokio::select! {
                more = more => if !more { return close_code::NORMAL },
                // What followers send is ignored; receiving also answers their pings.
                gone = until_gone(socket) => return gone,
            }
        }
    }

    /// The next frame: whole lines, or a piece of one that is longer than a frame.
    fn frame(&self, from: u64, length: u64) -> io::Result<Vec<u8>> {
        let size = usize::try_from(length - from).unwrap_or(usize::MAX).min(FRAME);
        let mut frame = vec![0; size];
        self.read_at(&mut frame, from)?;
        if let Some(end) = frame.iter().rposition(|&byte| byte == b'\n') {
            frame.truncate(end + 1);
        }
        Ok(frame)
    }
}

async fn until_gone(socket: &mut WebSocket) -> u16 {
    while let Some(Ok(message)) = socket.recv().await {
        if matches!(message, Message::Close(_)) {
            break;
        }
    }
    close_code::NORMAL
}

/// `text` with a marker before each of its lines; `open` is the stream whose line the log stands in.
fn mark(stream: Stream, text: &[u8], open: &mut Option<Stream>) -> Vec<u8> {
    let mut marked = Vec::with_capacity(text.len() + 16);
    for line in text.split_inclusive(|&byte| byte == b'\n') {
        if *open != Some(stream) {
            marked.extend(stream.marker());
        }
        marked.extend(line);
        *open = (!line.ends_with(b"\n")).then_some(stream);
    }
    marked
}

/// Both streams as one text.
pub(super) fn without_markers(raw: &[u8]) -> Vec<u8> {
    let mut text = Vec::with_capacity(raw.len());
    let mut at = 0;
    while at < raw.len() {
        if MARKERS.iter().any(|marker| raw[at..].starts_with(marker)) {
            at += 3;
        } else {
            text.push(raw[at]);
            at += 1;
        }
    }
    text
}

/// The raw log as text, and its two streams.
pub(super) fn split(raw: &[u8]) -> Texts {
    let mut streams = [Vec::new(), Vec::new()];
    let (mut current, mut at) = (None, 0);
    while at < raw.len() {
        if let Some(stream) = MARKERS.iter().position(|marker| raw[at..].starts_with(marker)) {
            current = Some(stream);
            at += 3;
            continue;
        }
        if let Some(stream) = current {
            streams[stream].push(raw[at]);
        }
        at += 1;
    }
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Texts { output: text(raw), stdout: text(&streams[0]), stderr: text(&streams[1]) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_has_its_marker() {
        let mut open = None;
        let mut marked = mark(Stream::Output, b"a\n\nb\n", &mut open);
        marked.extend(mark(Stream::Error, b"e\n", &mut open));
        assert_eq!(marked, b"\x01\x01\x01a\n\x01\x01\x01\n\x01\x01\x01b\n\x02\x02\x02e\n");
    }

    #[test]
    fn pieces_of_a_long_line_join_unless_the_other_stream_came_between() {
        let mut open = None;
        let mut marked = mark(Stream::Output, b"lo", &mut open);
        marked.extend(mark(Stream::Output, b"ng", &mut open));
        marked.extend(mark(Stream::Error, b"e\n", &mut open));
        marked.extend(mark(Stream::Output, b"er\n", &mut open));
        assert_eq!(marked, b"\x01\x01\x01long\x02\x02\x02e\n\x01\x01\x01er\n");
        assert_eq!(split(&marked).stdout, "longer\n");
    }

    #[test]
    fn streams_are_taken_apart_and_what_has_no_marker_is_dropped() {
        let texts = split(b"lost\x01\x01\x01a\n\x02\x02\x02b\n\x01\x01\x01c\n");
        assert_eq!((texts.stdout.as_str(), texts.stderr.as_str()), ("a\nc\n", "b\n"));
        assert_eq!(without_markers(texts.output.as_bytes()), b"losta\nb\nc\n");
        assert_eq!(texts.output, "lost\u{1}\u{1}\u{1}a\n\u{2}\u{2}\u{2}b\n\u{1}\u{1}\u{1}c\n");
    }
}
