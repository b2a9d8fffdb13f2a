//! A layer as a compressed file of its own, with a digest: what is read back is what was written, or an error.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, BufRead, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use bytes::{Buf, Bytes};
use harbor_layer::{Cut, WriteBack};

use super::digest::DigestThread;
use super::{Written, damaged, put_in_place};

/// The fastest: a layer is written once and read about as often.
const LEVEL: i32 = 1;

/// Threads that compress beside the one that reads.
const THREADS: u32 = 2;

/// Bytes of what is stored that are read or written at a time.
const BUFFER: usize = 256 * 1024;

/// Writes the archive that `from` writes to `file`, which is there afterwards, whole and on the disk, or as it was before.
pub(super) fn write(
    from: impl FnOnce(&mut dyn Write, &Cut) -> io::Result<()>,
    file: &Path,
    cut: &Cut,
) -> io::Result<Written> {
    cut.check()?;
    let partial = file.with_extension("partial");
    let written = write_partial(from, &partial, cut);
    if written.is_err() {
        let _it_may_not_have_come_to_be = fs::remove_file(&partial);
    }
    let written = written?;
    put_in_place(&partial, file, cut)?;
    Ok(written)
}

fn write_partial(
    from: impl FnOnce(&mut dyn Write, &Cut) -> io::Result<()>,
    partial: &Path,
    cut: &Cut,
) -> io::Result<Written> {
    partial.parent().map_or(Ok(()), |directory| DirBuilder::new().recursive(true).mode(0o700).create(directory))?;
    let output = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(partial)?;
    let mut compressing = zstd::Encoder::new(StoredWriter::begin(output)?, LEVEL)?;
    compressing.multithread(THREADS)?;
    from(&mut compressing, cut)?;
    compressing.finish()?.end()
}

/// Gives the archive that `file` holds to `to`. One whose digest is not this is an error, and what `to` made of it is
/// worth nothing.
pub(super) fn read(
    file: &Path,
    digest: &str,
    to: impl FnOnce(&mut dyn Read) -> io::Result<()>,
    cut: &Cut,
) -> io::Result<()> {
    let opened =
        File::open(file).map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", file.display())))?;
    let stored = StoredReader { file: opened, part: Bytes::new(), digest: DigestThread::begin()?, cut };
    let mut expanding = zstd::Decoder::with_buffer(stored)?;
    to(&mut expanding)?;
    // what follows the archive's end counts too: more than one is not what was written
    io::copy(&mut expanding, &mut io::sink()).map_err(|error| {
        let readable = error.raw_os_error().is_none() && cut.check().is_ok();
        if readable { damaged(file) } else { error }
    })?;
    let mut stored = expanding.finish();
    io::copy(&mut stored, &mut io::sink())?;
    if stored.digest.end()? == digest {
        return Ok(());
    }
    Err(damaged(file))
}

/// A file that is written, hashed and counted.
struct StoredWriter {
    file: File,
    part: Vec<u8>,
    written: u64,
    write_back: WriteBack,
    digest: DigestThread,
}

impl StoredWriter {
    fn begin(file: File) -> io::Result<Self> {
        let (part, write_back) = (Vec::with_capacity(BUFFER), WriteBack::default());
        Ok(Self { file, part, written: 0, write_back, digest: DigestThread::begin()? })
    }

    /// All of it is on the disk.
    fn end(mut self) -> io::Result<Written> {
        self.flush()?;
        self.file.sync_all()?;
        Ok(Written { digest: self.digest.end()?, bytes: self.written })
    }
}

impl Write for StoredWriter {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let taken = buffer.len().min(BUFFER - self.part.len());
        self.part.extend_from_slice(&buffer[..taken]);
        if self.part.len() == BUFFER {
            self.flush()?;
        }
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        let part = Bytes::from(std::mem::replace(&mut self.part, Vec::with_capacity(BUFFER)));
        self.digest.update(part.clone())?;
        self.file.write_all(&part)?;
        self.written += part.len() as u64;
        self.write_back.written(&self.file, self.written);
        Ok(())
    }
}

/// A file that is read and hashed until it is cut.
struct StoredReader<'a> {
    file: File,
    part: Bytes,
    digest: DigestThread,
    cut: &'a Cut,
}

impl BufRead for StoredReader<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.part.is_empty() {
            self.cut.check()?;
            let mut part = vec![0; BUFFER];
            let read = self.file.read(&mut part)?;
            part.truncate(read);
            self.part = part.into();
            self.digest.update(self.part.clone())?;
        }
        Ok(&self.part)
    }

    fn consume(&mut self, amount: usize) {
        self.part.advance(amount);
    }
}

impl Read for StoredReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.fill_buf()?.read(buffer)?;
        self.consume(read);
        Ok(read)
    }
}
