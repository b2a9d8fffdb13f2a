//! The log of a command: both of its streams in one file, every line behind a marker (contract, toolbox §8.7).
//!
//! Guarantees: lines of any length pass in bounded memory; a log keeps its newest [`LIMIT`] bytes on disk and says
//! what it has dropped; it needs an open file only while something is added to it or read from it.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use rustix::fs::{FallocateFlags, fallocate};
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::sync::watch;

use super::demux::{Stream, mark, piece};
use super::shelf::{Forget, Shelf};

/// Most bytes that one log keeps, markers included.
const LIMIT: u64 = 64 << 20;

/// What is left of a log that has reached its limit.
const REST: u64 = LIMIT / 4 * 3;

/// What is left of a log when all logs together have reached theirs.
const SCRAP: u64 = 1 << 20;

/// Most bytes of one piece, and of a line that is held back until its end comes.
pub(super) const PIECE: usize = 64 << 10;

/// A log that is written once and read by any number of readers.
pub(super) struct Log {
    path: PathBuf,
    writer: Mutex<Writer>,
    state: watch::Sender<LogProgress>,
    shelf: Shelf,
}

/// How far a log is.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct LogProgress {
    /// Bytes dropped from its beginning.
    pub(super) start: u64,
    /// Bytes ever written.
    pub(super) length: u64,
    /// Its command is done.
    pub(super) ended: bool,
    /// Nothing more can come.
    pub(super) closed: bool,
}

struct Writer {
    /// None once the log is closed.
    file: Option<File>,
    /// The stream whose last line has no end yet.
    open: Option<Stream>,
}

impl Log {
    /// A new, empty log in `path`.
    pub(super) fn create(path: PathBuf, shelf: Shelf) -> io::Result<Self> {
        let file = File::options().read(true).write(true).create(true).truncate(true).open(&path)?;
        let writer = Mutex::new(Writer { file: Some(file), open: None });
        Ok(Self { path, writer, state: watch::Sender::default(), shelf })
    }

    /// Copies a stream into the log, line by line, until its end. What cannot be written is lost, not waited for.
    pub(super) async fn record(&self, stream: Stream, mut from: impl AsyncRead + Unpin) {
        let mut pending = Vec::new();
        loop {
            if pending.capacity() - pending.len() < 1 << 10 {
                pending.reserve(4 << 10);
            }
            let end = matches!(from.read_buf(&mut pending).await, Ok(0) | Err(_));
            if end && !pending.is_empty() {
                pending.push(b'\n');
            }
            let whole = memchr::memrchr(b'\n', &pending).map_or(0, |at| at + 1);
            let ready = if pending.len() - whole >= PIECE { pending.len() } else { whole };
            self.append(stream, &pending[..ready]);
            pending.drain(..ready);
            if end {
                return;
            }
        }
    }

    /// Adds whole lines, or a piece of one.
    pub(super) fn append(&self, stream: Stream, text: &[u8]) {
        if text.is_empty() {
            return;
        }
        let mut writer = self.writer();
        let Writer { file: Some(file), open } = &mut *writer else { return };
        let LogProgress { length, .. } = *self.state.borrow();
        let mut opened = *open;
        let marked = mark(stream, text, &mut opened);
        if file.write_all_at(&marked, length).is_err() {
            return;
        }
        *open = opened;
        let added = marked.len() as u64;
        self.state.send_modify(|state| state.length += added);
        let room = self.shelf.add(added);
        self.shorten(&mut writer, if room { LIMIT } else { SCRAP });
    }

    /// Drops the beginning of a log that keeps more than `limit`.
    fn shorten(&self, writer: &mut Writer, limit: u64) {
        let LogProgress { start, length, .. } = *self.state.borrow();
        let Some(file) = writer.file.as_ref().filter(|_| length - start > limit) else { return };
        let begin = line_after(file, length - limit.min(REST), length);
        let hole = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        if fallocate(file, hole, start, begin - start).is_err() {
            // A file system that cannot give a file's beginning back: the log ends here.
            writer.file = None;
            return;
        }
        self.state.send_modify(|state| state.start = begin);
        self.shelf.subtract(begin - start);
    }

    /// The command is done; what a background job still writes may follow.
    pub(super) fn end(&self) {
        self.state.send_if_modified(|state| !std::mem::replace(&mut state.ended, true));
    }

    /// Nothing will be added any more.
    pub(super) fn close(self: &Arc<Self>) {
        self.writer().file = None;
        self.state.send_modify(|state| (state.ended, state.closed) = (true, true));
        let this: Weak<Self> = Arc::downgrade(self);
        self.shelf.offer(this);
    }

    /// Tells of every change.
    pub(super) fn watch(&self) -> watch::Receiver<LogProgress> {
        self.state.subscribe()
    }

    /// A reader from the beginning of what is kept.
    pub(super) fn read(self: &Arc<Self>) -> io::Result<Reader> {
        Ok(Reader { file: File::open(&self.path)?, log: Arc::clone(self), at: 0 })
    }

    fn writer(&self) -> MutexGuard<'_, Writer> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Forget for Log {
    /// Gives up what the log keeps; who reads it at this moment reads on.
    fn forget(&self) {
        self.writer().file = None;
        // It may have gone together with its directory.
        let _ = std::fs::remove_file(&self.path);
        let LogProgress { start, length, .. } = *self.state.borrow();
        self.shelf.subtract(length - start);
        self.state.send_modify(|state| (state.start, state.ended, state.closed) = (length, true, true));
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        let LogProgress { start, length, .. } = *self.state.borrow();
        self.shelf.subtract(length - start);
    }
}

/// Where the first line behind `from` begins; `from` itself when no line ends soon.
fn line_after(file: &File, from: u64, length: u64) -> u64 {
    let mut text = vec![0; PIECE.min(usize::try_from(length - from).unwrap_or(PIECE))];
    let read = file.read_exact_at(&mut text, from);
    let end = read.ok().and_then(|()| memchr::memchr(b'\n', &text));
    end.map_or(from, |end| from + end as u64 + 1)
}

/// A place in a log.
pub(super) struct Reader {
    file: File,
    log: Arc<Log>,
    at: u64,
}

impl Reader {
    /// The next piece before `end` (see [`piece`]); none when there is none yet. What was dropped before it could be
    /// read is told in a line of its own.
    pub(super) fn next(&mut self, end: u64) -> io::Result<Option<Vec<u8>>> {
        let LogProgress { start, length, .. } = *self.log.state.borrow();
        let end = end.min(length);
        if self.at < start {
            let dropped = start - self.at;
            self.at = start;
            let note = format!("harbor: {dropped} bytes of this log are no longer kept\n");
            return Ok(Some(mark(Stream::Error, note.as_bytes(), &mut None)));
        }
        if self.at >= end {
            return Ok(None);
        }
        let size = usize::try_from(end - self.at).unwrap_or(PIECE).min(PIECE);
        let mut text = vec![0; size];
        self.file.read_exact_at(&mut text, self.at)?;
        text.truncate(piece(&text));
        self.at += text.len() as u64;
        Ok(Some(text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_log_that_is_too_long_keeps_its_newest_lines() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        let log = Arc::new(Log::create(path.clone(), Shelf::default()).unwrap());
        let line = [&[b'x'; 1021][..], b"\n"].concat();
        let lines = LIMIT / 1024 + 1024;
        for _ in 0..lines {
            log.append(Stream::Output, &line);
        }
        log.close();
        let mut reader = log.read().unwrap();
        let note = reader.next(u64::MAX).unwrap().unwrap();
        assert!(note.starts_with(b"\x02\x02\x02harbor: "), "{note:?}");
        let (mut kept, mut text) = (0, true);
        while let Some(piece) = reader.next(u64::MAX).unwrap() {
            kept += piece.len() as u64;
            text &= piece.starts_with(b"\x01\x01\x01x") && piece.ends_with(b"x\n");
        }
        assert!(text);
        assert!((REST..=LIMIT).contains(&kept), "{kept}");
        let blocks = std::os::unix::fs::MetadataExt::blocks(&std::fs::metadata(path).unwrap());
        assert!(blocks * 512 <= LIMIT + (1 << 20), "{blocks}");
    }
}
