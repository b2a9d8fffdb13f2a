//! A file being written from the network.
//!
//! An existing file is truncated and overwritten in place: its mode stays, links are written through. A new one that
//! is not finished, for whatever reason, is removed again. Writing is done off the runtime while more is received;
//! memory is bounded to two batches.

use std::fs::{DirBuilder, File};
use std::io::{self, Write as _};
use std::os::fd::{AsRawFd as _, IntoRawFd as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures_util::{Stream, StreamExt as _};
use rustix::fs::{Mode, OFlags, fstat, open, stat};
use rustix::io::Errno;
use tokio::runtime::Handle;
use tokio::task::{JoinHandle, spawn_blocking};

use super::open::refuse_special;
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
    /// Removes the file unless it is finished.
    guard: Option<Unfinished>,
    gathered: BytesMut,
    writing: Option<JoinHandle<io::Result<()>>>,
    written: u64,
}

impl Sink {
    async fn create(path: PathBuf, parents_mode: u32) -> Result<Self, SinkError> {
        let created = spawn_blocking(move || {
            make_parents(&path, parents_mode).map_err(SinkError::Parents)?;
            create(&path).map_err(SinkError::Create)
        });
        let (file, guard) = created.await.unwrap_or_else(|error| Err(SinkError::Create(io::Error::other(error))))?;
        Ok(Self { file: Some(Arc::new(file)), guard, gathered: BytesMut::new(), writing: None, written: 0 })
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
        let file = self.file.take();
        let closed = spawn_blocking(move || file.map_or(Ok(()), close)).await;
        closed.unwrap_or_else(|error| Err(io::Error::other(error))).map_err(SinkError::Close)?;
        if let Some(guard) = &mut self.guard {
            guard.path = None;
        }
        Ok(self.written)
    }

    /// Closes the file and removes it if it was made here; both are done on return.
    async fn discard(mut self) {
        let _ = self.settle().await; // the failure at hand came first
        let (file, guard) = (self.file.take(), self.guard.take());
        let _ = spawn_blocking(move || {
            drop(file);
            if let Some(mut guard) = guard {
                guard.remove();
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
        Some(parent) => DirBuilder::new().recursive(true).mode(mode).create(parent),
        None => Ok(()),
    }
}

/// Opens a file for writing, and says which one has to go should it not be finished.
fn create(path: &Path) -> io::Result<(File, Option<Unfinished>)> {
    let how = OFlags::WRONLY | OFlags::CREATE | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let mode = Mode::from_raw_mode(0o666);
    let new = match stat(path) {
        Ok(stat) => {
            refuse_special(&stat)?; // opening a FIFO can have effects
            false
        }
        Err(Errno::NOENT) => true,
        Err(error) => return Err(error.into()),
    };
    let file = match open(path, how | OFlags::EXCL, mode) {
        Err(Errno::EXIST) => open(path, how | OFlags::TRUNC, mode)?, // also for a link to where nothing is yet
        result => result?,
    };
    refuse_special(&fstat(&file)?)?;
    let file = File::from(file);
    let guard = if new { Some(Unfinished::of(&file, path)?) } else { None };
    Ok((file, guard))
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

/// A file made here whose content is not complete; removed when dropped.
struct Unfinished {
    path: Option<PathBuf>,
    /// Device and number, so that no other file is removed that took its place.
    identity: (u64, u64),
}

impl Unfinished {
    fn of(file: &File, path: &Path) -> io::Result<Self> {
        let metadata = file.metadata()?;
        // Where it really is, behind all links.
        let behind_links = std::fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd()));
        let path = behind_links.unwrap_or_else(|_| path.to_owned());
        Ok(Self { path: Some(path), identity: (metadata.dev(), metadata.ino()) })
    }

    fn remove(&mut self) {
        let Some(path) = self.path.take() else { return };
        let same = |metadata: std::fs::Metadata| (metadata.dev(), metadata.ino()) == self.identity;
        if std::fs::symlink_metadata(&path).is_ok_and(same) {
            let _ = std::fs::remove_file(&path); // there is nobody left to tell
        }
    }
}

impl Drop for Unfinished {
    /// Reached with a path only when the request went away in the middle.
    fn drop(&mut self) {
        let (Some(path), Ok(runtime)) = (self.path.take(), Handle::try_current()) else { return };
        let mut guard = Self { path: Some(path), identity: self.identity };
        runtime.spawn_blocking(move || guard.remove());
    }
}
