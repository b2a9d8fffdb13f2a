//! The content of one file, or pieces of it among other bytes, as the source of an answer.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::ops::Range;

use bytes::Bytes;
use rustix::buffer::spare_capacity;
use rustix::io::{Errno, pread};

use super::buffers::Buffers;
use super::stream::{CHUNK, Source};

/// A stretch of an answer.
pub(super) enum Segment {
    /// These bytes.
    Bytes(Bytes),
    /// This range of the file.
    Stretch(Range<u64>),
}

impl Segment {
    /// Length in bytes.
    pub(super) fn len(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::Stretch(range) => range.end - range.start,
        }
    }
}

/// Segments one after the other, from one file. A file that got shorter meanwhile is an error.
pub(super) struct Segments {
    file: File,
    left: VecDeque<Segment>,
    buffers: Buffers,
}

impl Segments {
    /// All of `segments`, in order.
    pub(super) fn new(file: File, segments: impl IntoIterator<Item = Segment>) -> Self {
        Self { file, left: segments.into_iter().collect(), buffers: Buffers::default() }
    }
}

impl Source for Segments {
    fn next_chunk(&mut self) -> io::Result<Option<Bytes>> {
        match self.left.pop_front() {
            None => Ok(None),
            Some(Segment::Bytes(bytes)) => Ok(Some(bytes)),
            Some(Segment::Stretch(mut range)) => {
                let mut chunk = self.buffers.take();
                read_some(&self.file, &mut range, &mut chunk, CHUNK)?;
                if !range.is_empty() {
                    self.left.push_front(Segment::Stretch(range));
                }
                Ok(Some(self.buffers.lend(chunk)))
            }
        }
    }
}

/// Appends up to `limit` bytes from the start of `range` to `chunk` and takes them off `range`.
pub(super) fn read_some(file: &File, range: &mut Range<u64>, chunk: &mut Vec<u8>, limit: usize) -> io::Result<()> {
    let wanted = usize::try_from(range.end - range.start).unwrap_or(limit).min(limit);
    chunk.reserve_exact(wanted);
    let end = chunk.len() + wanted;
    while chunk.len() < end {
        let had = chunk.len();
        match pread(file, spare_capacity(chunk), range.start) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(_) => {}
            Err(Errno::INTR) => continue,
            Err(error) => return Err(error.into()),
        }
        chunk.truncate(end); // the allocator may have given more room than asked for
        range.start += (chunk.len() - had) as u64;
    }
    Ok(())
}
