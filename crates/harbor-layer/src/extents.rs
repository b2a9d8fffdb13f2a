//! Where a file has data and where it has holes, and its data as one stream.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;

use rustix::fs::{SeekFrom, seek};
use rustix::io::Errno;

use super::Cut;

/// Most pieces that one file is taken apart into in an archive. Of a file with more, the smallest holes are read as zeros.
const MOST: usize = 65_536;

/// Holes below this size are read as zeros.
const SMALLEST_HOLE: u64 = 64 * 1024;

/// A piece of a file: where it begins, and its length in bytes.
pub(super) type Extent = (u64, u64);

/// The pieces of the first `length` bytes of a file that hold data, in order: few enough for an archive.
pub(super) fn of(file: &File, length: u64) -> io::Result<Vec<Extent>> {
    let mut smallest = SMALLEST_HOLE;
    loop {
        let found = find(file, length, smallest)?;
        if found.len() <= MOST {
            return Ok(found);
        }
        smallest = smallest.saturating_mul(4);
    }
}

fn find(file: &File, length: u64, smallest: u64) -> io::Result<Vec<Extent>> {
    let mut found: Vec<Extent> = Vec::new();
    for extent in Extents::new(file, length) {
        let (begin, size) = extent?;
        match found.last_mut() {
            Some((last, before)) if begin - (*last + *before) < smallest => *before = begin + size - *last,
            _ => found.push((begin, size)),
        }
        if found.len() > MOST {
            break;
        }
    }
    Ok(found)
}

/// The pieces of the first `length` bytes of a file that hold data, in order, as the file system has them.
pub(super) struct Extents<'a> {
    file: &'a File,
    at: u64,
    length: u64,
}

impl<'a> Extents<'a> {
    pub(super) const fn new(file: &'a File, length: u64) -> Self {
        Self { file, at: 0, length }
    }

    /// The first piece from where it stands on.
    fn piece(&self) -> io::Result<Option<Extent>> {
        let Self { file, at, length } = *self;
        let begin = match seek(file, SeekFrom::Data(at)) {
            Ok(begin) if begin >= length => return Ok(None),
            Ok(begin) => begin,
            // nothing but a hole follows
            Err(Errno::NXIO) => return Ok(None),
            // a file system that knows no holes
            Err(Errno::INVAL) => return Ok(Some((at, length - at))),
            Err(error) => return Err(error.into()),
        };
        let end = match seek(file, SeekFrom::Hole(begin)) {
            Ok(end) => end.min(length),
            // it has become shorter
            Err(Errno::NXIO) => length,
            Err(error) => return Err(error.into()),
        };
        // what was data a moment ago may be a hole by now, and data may follow: it is read as data
        Ok(Some((begin, end.max(begin + 1) - begin)))
    }
}

impl Iterator for Extents<'_> {
    type Item = io::Result<Extent>;

    fn next(&mut self) -> Option<Self::Item> {
        let found = if self.at < self.length { self.piece().transpose() } else { None };
        self.at = match found {
            Some(Ok((begin, size))) => begin + size,
            _ => self.length,
        };
        found
    }
}

/// The data of these pieces, filled up with zeros should the file have shrunk: a header has promised so many bytes.
pub(super) struct Pieces<'a> {
    file: File,
    left: VecDeque<Extent>,
    cut: &'a Cut,
}

impl<'a> Pieces<'a> {
    pub(super) fn new(file: File, extents: Vec<Extent>, cut: &'a Cut) -> Self {
        Self { file, left: extents.into(), cut }
    }
}

impl Read for Pieces<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.cut.check()?;
        while self.left.front().is_some_and(|(_, length)| *length == 0) {
            self.left.pop_front();
        }
        let Some((offset, length)) = self.left.front_mut() else { return Ok(0) };
        let wanted = usize::try_from(*length).unwrap_or(usize::MAX).min(buffer.len());
        let mut read = self.file.read_at(&mut buffer[..wanted], *offset)?;
        if read == 0 {
            buffer[..wanted].fill(0);
            read = wanted;
        }
        *offset += read as u64;
        *length -= read as u64;
        Ok(read)
    }
}
