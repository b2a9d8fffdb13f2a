//! A file being written from the network.
//!
//! An existing file gets its new content in one step, once that has come whole (`replacement`): until then it stays as
//! it is. Its mode stays, links are written through. A new one that is not finished, for whatever reason, is removed
//! again. Writing is done off the runtime while more is received; memory is bounded to two batches.

use std::fs::{DirBuilder, File};
use std::io::{self, Write as _};
use std::os::fd::IntoRawFd as _;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures_util::{Stream, StreamExt as _};
use rustix::fs::{Mode, OFlags, StatVfsMountFlags, fstat, ftruncate, open, stat, statvfs};
use rustix::io::Errno;
use tokio::task::{JoinHandle, spawn_blocking};

use super::open::refuse_special;
use super::replacement::{Replacement, Unfinished};
use super::stream::CHUNK;

/// Received pieces at least this large, in bytes, are written without being gathered first.
const LARGE: usize = CHUNK / 2;

/// What failed on the way to a finished file.
#[derive(Debug, thiserror::Error)]
pub(super) enum SinkError {
    /// A missing parent directory could not be made.
    #[error("mkdir")]
    Parents(#[source] io::Error),
    /// The file could not be made or opened.
    #[error("create")]
    Create(#[source] io::Error),
    /// The content could not be written.
    #[error("write")]
    Write(#[source] io::Error),
    /// The file system refused the content when the file was closed.
    #[error("close")]
    Close(#[source] io::Error),
}

impl SinkError {
    /// Why it failed.
    pub(super) fn cause(&self) -> &io::Error {
        match self {
            Self::Parents(cause) | Self::Create(cause) | Self::Write(cause) | Self::Close(cause) => cause,
        }
    }
}

/// Why a file did not get all of its content.
#[derive(Debug)]
pub(super) enum Incomplete<E> {
    /// The file's fault.
    Sink(SinkError),
    /// The content stopped coming.
    Content(E),
}

/// Stores `content` at `path`, whose missing parents are made with `parents_mode` less the umask; returns how many
/// bytes that was. After a failure the rest of the content has not been read.
pub(super) async fn store<E>(
    path: PathBuf,
    parents_mode: u32,
    content: &mut (impl Stream<Item = Result<Bytes, E>> + Unpin),
) -> Result<u64, Incomplete<E>> {
    let mut sink = Sink::create(path, parents_mode).await.map_err(Incomplete::Sink)?;
    let filled = loop {
        match content.next().await {
            None => break Ok(()),
            Some(Err(error)) => break Err(Incomplete::Content(error)),
            Some(Ok(piece)) => {
                if let Err(error) = sink.push(piece).await {
                    break Err(Incomplete::Sink(error));
                }
            }
        }
    };
    let finished = match filled {
        Ok(()) => sink.finish().await.map_err(Incomplete::Sink),
        Err(error) => Err(error),
    };
    if finished.is_err() {
        sink.discard().await;
    }
    finished
}

/// An open file that takes bytes.
struct Sink {
    /// None once closed.
    file: Option<Arc<File>>,
    goal: Option<Goal>,
    gathered: BytesMut,
    writing: Option<JoinHandle<io::Result<()>>>,
    written: u64,
}

/// What becomes of the file.
enum Goal {
    /// It was made here, and goes unless it is finished.
    New(Unfinished),
    /// It takes the place of another one.
    Replace(Replacement),
    /// It was there, and keeps what has been written.
    Overwrite,
}

impl Sink {
    async fn create(path: PathBuf, parents_mode: u32) -> Result<Self, SinkError> {
        let created = spawn_blocking(move || {
            make_parents(&path, parents_mode).map_err(SinkError::Parents)?;
            create(&path).map_err(SinkError::Create)
        });
        let (file, goal) = created.await.unwrap_or_else(|error| Err(SinkError::Create(io::Error::other(error))))?;
        Ok(Self { file: Some(Arc::new(file)), goal: Some(goal), gathered: BytesMut::new(), writing: None, written: 0 })
    }

    /// Adds bytes to the file. A failure may be that of bytes added before.
    async fn push(&mut self, bytes: Bytes) -> Result<(), SinkError> {
        self.written += bytes.len() as u64;
        if self.gathered.is_empty() && bytes.len() >= LARGE {
            return self.write(bytes).await;
        }
        self.gathered.extend_from_slice(&bytes);
        if self.gathered.len() >= CHUNK { self.write_gathered().await } else { Ok(()) }
    }

    /// Writes what is left and closes the file; returns how many bytes it got.
    async fn finish(&mut self) -> Result<u64, SinkError> {
        self.write_gathered().await?;
        self.settle().await?;
        let (file, goal) = (self.file.take(), self.goal.take());
        let finished = spawn_blocking(move || {
            file.map_or(Ok(()), close).map_err(SinkError::Close)?;
            match goal {
                Some(Goal::New(mut made)) => {
                    made.keep();
                    Ok(())
                }
                Some(Goal::Replace(replacement)) => replacement.take_place().map_err(SinkError::Write),
                Some(Goal::Overwrite) | None => Ok(()),
            }
        });
        finished.await.unwrap_or_else(|error| Err(SinkError::Close(io::Error::other(error))))?;
        Ok(self.written)
    }

    /// Closes the file and removes it if it was made here; both are done on return.
    async fn discard(mut self) {
        let _ = self.settle().await; // the failure at hand came first
        let (file, goal) = (self.file.take(), self.goal.take());
        let _ = spawn_blocking(move || {
            drop(file);
            match goal {
                Some(Goal::New(mut made)) => made.remove(),
                Some(Goal::Replace(replacement)) => replacement.give_up(),
                Some(Goal::Overwrite) | None => {}
            }
        })
        .await;
    }

    async fn write_gathered(&mut self) -> Result<(), SinkError> {
        let bytes = self.gathered.split().freeze();
        if bytes.is_empty() { Ok(()) } else { self.write(bytes).await }
    }

    /// Waits for the batch before and starts writing this one.
    async fn write(&mut self, bytes: Bytes) -> Result<(), SinkError> {
        self.settle().await?;
        let file = self.file.clone();
        self.writing = Some(spawn_blocking(move || file.map_or(Ok(()), |file| (&*file).write_all(&bytes))));
        Ok(())
    }

    async fn settle(&mut self) -> Result<(), SinkError> {
        let Some(writing) = self.writing.take() else { return Ok(()) };
        writing.await.unwrap_or_else(|error| Err(io::Error::other(error))).map_err(SinkError::Write)
    }
}

fn make_parents(path: &Path, mode: u32) -> io::Result<()> {
    match path.parent() {
        // What exists and is in the way is no directory.
        Some(parent) => {
            DirBuilder::new().recursive(true).mode(mode).create(parent).map_err(|error| match error.kind() {
                io::ErrorKind::AlreadyExists => Errno::NOTDIR.into(),
                _ => error,
            })
        }
        None => Ok(()),
    }
}

/// Opens a file for writing, and says what becomes of it.
fn create(path: &Path) -> io::Result<(File, Goal)> {
    let how = OFlags::WRONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    match stat(path) {
        Ok(stat) => refuse_special(&stat)?, // opening a FIFO can have effects
        Err(Errno::NOENT) => {
            let mode = Mode::from_raw_mode(0o666);
            let file = match open(path, how | OFlags::CREATE | OFlags::EXCL, mode) {
                // A link to where nothing is yet.
                Err(Errno::EXIST) => open(path, how | OFlags::CREATE | OFlags::TRUNC, mode)?,
                result => result?,
            };
            refuse_special(&fstat(&file)?)?;
            let file = File::from(file);
            let guard = Unfinished::of(&file, path)?;
            return Ok((file, Goal::New(guard)));
        }
        Err(error) => return Err(error.into()),
    }
    // Whether it may be written to is its own mode's matter, not that of its directory.
    let old = open(path, how, Mode::empty()).map_err(|error| refusal(path, error))?;
    refuse_special(&fstat(&old)?)?;
    let old = File::from(old);
    if let Some((file, replacement)) = Replacement::beside(&old) {
        return Ok((file, Goal::Replace(replacement)));
    }
    ftruncate(&old, 0)?;
    Ok((old, Goal::Overwrite))
}

/// Why an existing file cannot be written to. That its file system is read-only comes before what its mode says.
fn refusal(path: &Path, error: Errno) -> Errno {
    let read_only = || statvfs(path).is_ok_and(|found| found.f_flag.contains(StatVfsMountFlags::RDONLY));
    if error == Errno::ACCESS && read_only() { Errno::ROFS } else { error }
}

/// Closes a file and says whether that went well: some file systems report failed writes only then.
fn close(file: Arc<File>) -> io::Result<()> {
    let Some(file) = Arc::into_inner(file) else { return Ok(()) };
    let descriptor = file.into_raw_fd();
    // SAFETY: the descriptor was owned by `file`, which gave it up, so nobody else uses or closes it.
    #[expect(unsafe_code, reason = "no safe interface closes a file and returns the error")]
    let closed = unsafe { rustix::io::try_close(descriptor) };
    Ok(closed?)
}
