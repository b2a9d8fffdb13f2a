//! A layer as a compressed file of its own, with a digest: what is read back is what was written, or an error.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use harbor_layer::Cut;
use sha2::{Digest, Sha256};

use crate::docker::embedded::hex;

/// The fastest: a layer is written once and read about as often.
const LEVEL: i32 = 1;

/// Threads that compress beside the one that reads.
const THREADS: u32 = 2;

/// Bytes of what is stored that are read or written at a time.
const BUFFER: usize = 256 * 1024;

/// A layer that was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Written {
    /// SHA-256 of the file, in hexadecimal.
    pub(crate) digest: String,
    /// Bytes of the file.
    pub(crate) bytes: u64,
}

/// Writes the archive that `from` writes to `file`, which is there afterwards, whole and on the disk, or as it was before.
pub(super) fn write(
    from: impl FnOnce(&mut dyn Write, &Cut) -> io::Result<()>,
    file: &Path,
    cut: &Cut,
) -> io::Result<Written> {
    let partial = file.with_extension("partial");
    let written = write_partial(from, &partial, cut);
    if written.is_err() {
        let _it_may_not_have_come_to_be = fs::remove_file(&partial);
    }
    let written = written?;
    fs::rename(&partial, file)?;
    if let Some(directory) = file.parent() {
        File::open(directory)?.sync_all()?;
    }
    Ok(written)
}

fn write_partial(
    from: impl FnOnce(&mut dyn Write, &Cut) -> io::Result<()>,
    partial: &Path,
    cut: &Cut,
) -> io::Result<Written> {
    let output = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(partial)?;
    let mut compressing = zstd::Encoder::new(Hashing::new(BufWriter::with_capacity(BUFFER, output)), LEVEL)?;
    compressing.multithread(THREADS)?;
    from(&mut compressing, cut)?;
    let Hashing { mut inner, hash, bytes } = compressing.finish()?;
    inner.flush()?;
    inner.get_ref().sync_all()?;
    Ok(Written { digest: hex(&hash.finalize()), bytes })
}

/// Gives the archive that `file` holds to `to`. One whose digest is not this is an error, and what `to` made of it is
/// worth nothing.
pub(super) fn read(
    file: &Path,
    digest: &str,
    to: impl FnOnce(&mut dyn Read) -> io::Result<()>,
    cut: &Cut,
) -> io::Result<()> {
    let stored = Hashing::new(Cuttable { inner: File::open(file)?, cut });
    let mut expanding = zstd::Decoder::with_buffer(BufReader::with_capacity(BUFFER, stored))?;
    to(&mut expanding)?;
    // what follows the archive's end counts too
    io::copy(&mut expanding, &mut io::sink())?;
    let mut stored = expanding.finish().into_inner();
    io::copy(&mut stored, &mut io::sink())?;
    if hex(&stored.hash.finalize()) == digest {
        return Ok(());
    }
    Err(io::Error::new(io::ErrorKind::InvalidData, format!("{} is damaged: its digest is another one", file.display())))
}

/// What passes through, hashed and counted.
struct Hashing<T> {
    inner: T,
    hash: Sha256,
    bytes: u64,
}

impl<T> Hashing<T> {
    fn new(inner: T) -> Self {
        Self { inner, hash: Sha256::new(), bytes: 0 }
    }

    fn note(&mut self, passed: &[u8]) {
        self.hash.update(passed);
        self.bytes += passed.len() as u64;
    }
}

impl<T: Write> Write for Hashing<T> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(buffer)?;
        self.note(&buffer[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

impl<T: Read> Read for Hashing<T> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.note(&buffer[..read]);
        Ok(read)
    }
}

/// A file whose reading ends when it is cut.
struct Cuttable<'a> {
    inner: File,
    cut: &'a Cut,
}

impl Read for Cuttable<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.cut.check()?;
        self.inner.read(buffer)
    }
}
