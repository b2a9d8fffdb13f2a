//! Blobs: bytes that are written once, read in ranges, and removed.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::ops::Range;
use std::path::Path as FilePath;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use futures_util::{Stream, StreamExt as _, TryStreamExt as _};
use harbor_model::Timestamp;
use harbor_model::objects::Piece;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{
    GetOptions, GetRange, GetResultPayload, MultipartUpload, ObjectStore, ObjectStoreExt as _, PutPayload,
};
use uuid::Uuid;

use crate::file;
use crate::index::{Index, IndexError};

/// What is written at a time, in bytes: each writer holds two of these.
const CHUNK: usize = 128 << 10;

/// What is read at a time, in bytes, at least and at most: each reader holds two of these.
const CHUNKS: (u64, u64) = (64 << 10, 512 << 10);

/// How many bytes all readers hold together, as long as they are no more than 128 that began at the same time.
const READERS: u64 = 16 << 20;

/// A blob that nothing needs stays this long: whoever just looked up where it is still opens it.
pub(crate) const REST: Duration = Duration::from_mins(1);

/// What is left of the disk for everything else, in bytes.
const SPARED: u64 = 512 << 20;

/// What is little space on any disk, in bytes.
const SHORT: u64 = 2 << 30;

/// How many files can be made before there are none left for everything else.
const SPARED_FILES: u64 = 1000;

/// After how many bytes of a blob it is looked again whether there is space.
const LOOK_AGAIN: u64 = 64 << 20;

/// How long whoever sends a blob may say nothing.
const SILENCE: Duration = Duration::from_mins(2);

/// The bytes of an object or of a part of it.
pub type ByteStream = Pin<Box<dyn Stream<Item = io::Result<Bytes>> + Send + Sync>>;

/// Why a blob could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum BlobError {
    /// What was to be written did not come whole.
    #[error("the bytes to write did not come whole")]
    Source(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The disk, or the store, does not take or give it.
    #[error("the store of objects failed")]
    Store(#[from] object_store::Error),
    /// The index did not answer.
    #[error(transparent)]
    Index(#[from] IndexError),
}

/// The blob store, and the index of what lies in it. Cheap to clone.
#[derive(Clone)]
pub struct Blobs {
    pub(crate) store: Arc<dyn ObjectStore>,
    pub(crate) index: Arc<dyn Index>,
    pub(crate) readers: Arc<Readers>,
    pub(crate) leftovers: Arc<Mutex<Vec<Leftover>>>,
    directory: Arc<FilePath>,
    pub(crate) opened_at: Timestamp,
}

/// A blob that no row needs any more, or came to need, and whose bytes are still there.
pub(crate) struct Leftover {
    pub(crate) blob: String,
    pub(crate) goes_at: Instant,
}

/// A blob that was written and is not recorded yet: unless it is, its bytes go.
pub(crate) struct Fresh {
    pub(crate) piece: Piece,
    leftovers: Arc<Mutex<Vec<Leftover>>>,
    kept: bool,
}

impl Fresh {
    /// It is recorded.
    pub(crate) fn keep(mut self) {
        self.kept = true;
    }
}

impl Drop for Fresh {
    fn drop(&mut self) {
        if !self.kept {
            leave(&self.leftovers, self.piece.blob.clone(), Instant::now() + REST);
        }
    }
}

pub(crate) fn leave(leftovers: &Mutex<Vec<Leftover>>, blob: String, goes_at: Instant) {
    leftovers.lock().unwrap_or_else(PoisonError::into_inner).push(Leftover { blob, goes_at });
}

/// How often each blob is being read, and each upload written to.
#[derive(Default)]
pub(crate) struct Readers(Mutex<HashMap<String, usize>>);

/// Keeps blobs from being removed while they are read.
pub(crate) struct Reading {
    readers: Arc<Readers>,
    blobs: Vec<String>,
}

impl Blobs {
    /// The blobs in this directory, which is made if need be; nobody else may write there.
    pub fn open(directory: &FilePath, index: Arc<dyn Index>) -> io::Result<Self> {
        fs::create_dir_all(directory)?;
        remove_staged(directory)?;
        let store = LocalFileSystem::new_with_prefix(directory).map_err(io::Error::other)?.with_fsync(true);
        Ok(Self {
            store: Arc::new(store),
            index,
            readers: Arc::default(),
            leftovers: Arc::default(),
            directory: directory.into(),
            opened_at: Timestamp::now_utc(),
        })
    }

    /// Where things are.
    pub fn index(&self) -> &dyn Index {
        &*self.index
    }

    /// Writes a blob; `seen` gets its bytes as they come. Nothing is left of one that does not come whole.
    pub(crate) async fn write<S, E>(&self, mut source: S, mut seen: impl FnMut(&[u8])) -> Result<Fresh, BlobError>
    where
        S: Stream<Item = Result<Bytes, E>> + Unpin,
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        self.check_space()?;
        let id = Uuid::now_v7().simple().to_string();
        let path = path(&id);
        let piece = Piece { blob: id, start: 0, size: 0 };
        let mut fresh = Fresh { piece, leftovers: Arc::clone(&self.leftovers), kept: false };
        let (mut chunk, mut size, mut looked_at) = (BytesMut::new(), 0, 0);
        let mut writing: Option<Writing> = None;
        loop {
            let came = match tokio::time::timeout(SILENCE, source.next()).await {
                Ok(None) => break,
                Ok(Some(Ok(bytes))) if size - looked_at < LOOK_AGAIN => Ok(bytes),
                Ok(Some(Ok(bytes))) => {
                    looked_at = size;
                    self.check_space().map(|()| bytes)
                }
                Ok(Some(Err(error))) => Err(BlobError::Source(error.into())),
                Err(silence) => Err(BlobError::Source(silence.into())),
            };
            let bytes = match came {
                Ok(bytes) => bytes,
                Err(error) => {
                    if let Some(writing) = writing {
                        writing.abort().await;
                    }
                    return Err(error);
                }
            };
            seen(&bytes);
            size += bytes.len() as u64;
            chunk.extend_from_slice(&bytes);
            if chunk.len() >= CHUNK {
                let mut begun = match writing.take() {
                    Some(begun) => begun,
                    None => Writing { upload: self.store.put_multipart(&path).await?, under_way: None },
                };
                begun.add(chunk.split().freeze().into()).await?;
                writing = Some(begun);
            }
        }
        let rest = PutPayload::from(chunk.freeze());
        match writing {
            None => _ = self.store.put(&path, rest).await?,
            Some(mut begun) => {
                begun.add(rest).await?;
                begun.finish().await?;
            }
        }
        fresh.piece.size = size;
        Ok(fresh)
    }

    /// Whether the disk is so full that what nobody needs should not wait: less than a twentieth of it, or 2 GiB, is free.
    pub fn is_short_of_space(&self) -> bool {
        let Ok(disk) = rustix::fs::statvfs(&*self.directory) else { return false };
        let (free, all) = (disk.f_bavail.saturating_mul(disk.f_frsize), disk.f_blocks.saturating_mul(disk.f_frsize));
        free < (all / 20).max(SHORT)
    }

    /// Notes that something comes to this upload, for as long as what is answered lives.
    pub(crate) fn coming(&self, upload: &str) -> Reading {
        Reading::of(&self.readers, vec![upload.to_owned()])
    }

    /// That there is some space left, for what else is on the disk too.
    pub(crate) fn check_space(&self) -> Result<(), BlobError> {
        let Ok(disk) = rustix::fs::statvfs(&*self.directory) else { return Ok(()) };
        // file systems that make room for files as they need it count none
        let few_files = disk.f_files > 0 && disk.f_favail < SPARED_FILES;
        if few_files || disk.f_bavail.saturating_mul(disk.f_frsize) < SPARED {
            return Err(BlobError::of_io(io::ErrorKind::StorageFull.into()));
        }
        Ok(())
    }

    /// Reads a range of what these pieces are together. The first piece is open, or an error, before this answers.
    pub(crate) async fn read(&self, pieces: &[Piece], range: Range<u64>) -> Result<ByteStream, BlobError> {
        let wanted = cut(pieces, range);
        let reading = Reading::of(&self.readers, wanted.iter().map(|piece| piece.blob.clone()).collect());
        let mut wanted = wanted.into_iter();
        let Some(first) = wanted.next() else { return Ok(Box::pin(futures_util::stream::empty())) };
        let first = self.open_piece(first).await?;
        let store = self.clone();
        let others = futures_util::stream::iter(wanted).then(move |piece| {
            let store = store.clone();
            async move { store.open_piece(piece).await.map_err(io::Error::other) }
        });
        let all = futures_util::stream::iter([Ok(first)]).chain(others).try_flatten();
        // boxed: the blobs are held for as long as anybody reads
        Ok(Box::pin(Shared(Mutex::new(Box::pin(all.inspect(move |_| _ = &reading))))))
    }

    /// The bytes of an object, if there is one, and how many they are.
    pub async fn open_object(&self, bucket: &str, key: &str) -> Result<Option<(u64, ByteStream)>, BlobError> {
        let Some(object) = self.index.object(bucket, key).await? else { return Ok(None) };
        let (blobs, size) = (self.clone(), object.size);
        // opened when it is read, since whoever reads many has one open; held from now on
        let held = Reading::of(&self.readers, object.pieces.iter().map(|piece| piece.blob.clone()).collect());
        let opened = async move { blobs.read(&object.pieces, 0..size).await.map_err(io::Error::other) };
        let stream = futures_util::stream::once(opened).try_flatten().inspect(move |_| _ = &held);
        Ok(Some((size, Box::pin(Shared(Mutex::new(stream.boxed()))))))
    }

    async fn open_piece(&self, piece: Piece) -> Result<ByteStream, BlobError> {
        let range = piece.start..piece.start + piece.size;
        let options = GetOptions { range: Some(GetRange::Bounded(range.clone())), ..GetOptions::default() };
        match self.store.get_opts(&path(&piece.blob), options).await?.payload {
            // read in larger chunks than the library would
            GetResultPayload::File(file, _) => {
                Ok(Box::pin(file::chunks(file, range.start, piece.size, self.readers.chunk())))
            }
            GetResultPayload::Stream(stream) => {
                Ok(Box::pin(Shared(Mutex::new(stream.map_err(io::Error::other).boxed()))))
            }
        }
    }
}

impl BlobError {
    pub(crate) fn of_io(error: io::Error) -> Self {
        Self::Store(object_store::Error::Generic { store: "files", source: Box::new(error) })
    }

    /// Whether the bytes are not there: they were replaced since it was looked up where they are.
    pub(crate) fn is_not_found(&self) -> bool {
        matches!(self, Self::Store(object_store::Error::NotFound { .. }))
    }

    /// Whether the disk is full.
    pub(crate) fn is_no_space(&self) -> bool {
        if let Self::Index(error) = self
            && error.is_full
        {
            return true;
        }
        let mut cause: Option<&dyn std::error::Error> = Some(self);
        while let Some(error) = cause {
            if error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::StorageFull) {
                return true;
            }
            cause = error.source();
        }
        false
    }
}

/// A blob that does not fit into one chunk; at most one chunk is on its way.
struct Writing {
    upload: Box<dyn MultipartUpload>,
    under_way: Option<object_store::UploadPart>,
}

impl Writing {
    async fn add(&mut self, chunk: PutPayload) -> Result<(), BlobError> {
        if let Some(before) = self.under_way.take() {
            before.await?;
        }
        if chunk.content_length() > 0 {
            // begun at once, so that it is written while the next chunk comes
            let mut part = self.upload.put_part(chunk);
            if let std::task::Poll::Ready(done) = futures_util::poll!(&mut part) {
                done?;
            } else {
                self.under_way = Some(part);
            }
        }
        Ok(())
    }

    async fn finish(mut self) -> Result<(), BlobError> {
        if let Some(before) = self.under_way.take() {
            before.await?;
        }
        self.upload.complete().await?;
        Ok(())
    }

    async fn abort(mut self) {
        if let Some(before) = self.under_way.take() {
            let _it_goes_anyway = before.await;
        }
        if let Err(error) = self.upload.abort().await {
            tracing::warn!(%error, "what came of a blob that was cut off was not removed");
        }
    }
}

impl Readers {
    /// How many bytes each reads at a time, so that they hold no more than [`READERS`] together.
    fn chunk(&self) -> u64 {
        let readers: usize = self.0.lock().unwrap_or_else(PoisonError::into_inner).values().sum();
        (READERS / 2 / readers.max(1) as u64).clamp(CHUNKS.0, CHUNKS.1)
    }

    /// What is read, or written to.
    pub(crate) fn busy(&self) -> Arc<[String]> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).keys().cloned().collect()
    }

    /// Whether somebody reads this blob.
    pub(crate) fn read(&self, blob: &str) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).contains_key(blob)
    }
}

impl Reading {
    fn of(readers: &Arc<Readers>, blobs: Vec<String>) -> Self {
        let mut counts = readers.0.lock().unwrap_or_else(PoisonError::into_inner);
        for blob in &blobs {
            *counts.entry(blob.clone()).or_default() += 1;
        }
        drop(counts);
        Self { readers: Arc::clone(readers), blobs }
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        let mut counts = self.readers.0.lock().unwrap_or_else(PoisonError::into_inner);
        for blob in &self.blobs {
            if let Some(count) = counts.get_mut(blob) {
                *count -= 1;
                if *count == 0 {
                    counts.remove(blob);
                }
            }
        }
    }
}

/// A stream that may be shared between threads, as nobody else than who owns it ever polls it.
struct Shared<S>(Mutex<S>);

impl<S: Stream + Unpin> Stream for Shared<S> {
    type Item = S::Item;

    fn poll_next(self: Pin<&mut Self>, context: &mut std::task::Context<'_>) -> std::task::Poll<Option<S::Item>> {
        let inner = self.get_mut().0.get_mut().unwrap_or_else(PoisonError::into_inner);
        Pin::new(inner).poll_next(context)
    }
}

/// Where a blob lies. The end of its id is random, so that no directory gets large.
pub(crate) fn path(id: &str) -> Path {
    let end = id.get(id.len().saturating_sub(2)..).unwrap_or_default();
    Path::from_iter([end, id])
}

/// The pieces of a range of pieces.
pub(crate) fn cut(pieces: &[Piece], range: Range<u64>) -> Vec<Piece> {
    let (mut at, mut wanted) = (0, Vec::new());
    for piece in pieces {
        let (from, to) = (range.start.max(at), range.end.min(at + piece.size));
        if from < to {
            wanted.push(Piece { blob: piece.blob.clone(), start: piece.start + from - at, size: to - from });
        }
        at += piece.size;
    }
    wanted
}

/// Removes what a store that was killed had not finished writing.
fn remove_staged(directory: &FilePath) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            remove_staged(&entry.path())?;
        } else if entry.file_name().to_string_lossy().contains('#') {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn piece(blob: &str, start: u64, size: u64) -> Piece {
        Piece { blob: blob.to_owned(), start, size }
    }

    #[test]
    fn a_range_is_cut_out_of_pieces() {
        let pieces = [piece("a", 0, 10), piece("b", 5, 10), piece("c", 0, 1)];
        assert_eq!(cut(&pieces, 0..21), pieces);
        assert_eq!(cut(&pieces, 9..12), [piece("a", 9, 1), piece("b", 5, 2)]);
        assert_eq!(cut(&pieces, 20..21), [piece("c", 0, 1)]);
        assert_eq!(cut(&pieces, 10..10), []);
    }
}
