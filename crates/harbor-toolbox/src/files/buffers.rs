//! Buffers that one answer uses again and again.
//!
//! Fetching a quarter of a megabyte from the system for every chunk, and handing it back once sent, costs more than
//! reading it from the page cache.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

use super::stream::CHUNK;

/// The buffers of one answer; clones share them. As many are made as are in use at once.
#[derive(Clone, Default)]
pub(super) struct Buffers {
    idle: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl Buffers {
    /// An empty buffer with room for a chunk.
    pub(super) fn take(&self) -> Vec<u8> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        idle.unwrap_or_else(|| Vec::with_capacity(CHUNK))
    }

    /// What was put into a buffer; the buffer comes back when the last of the bytes is dropped.
    pub(super) fn lend(&self, buffer: Vec<u8>) -> Bytes {
        Bytes::from_owner(Loan { buffer, lender: self.clone() })
    }
}

struct Loan {
    buffer: Vec<u8>,
    lender: Buffers,
}

impl AsRef<[u8]> for Loan {
    fn as_ref(&self) -> &[u8] {
        &self.buffer
    }
}

impl Drop for Loan {
    fn drop(&mut self) {
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.clear();
        self.lender.idle.lock().unwrap_or_else(PoisonError::into_inner).push(buffer);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_comes_back_once_its_bytes_are_gone() {
        let buffers = Buffers::default();
        let mut buffer = buffers.take();
        buffer.extend_from_slice(b"content");
        let place = buffer.as_ptr();
        let bytes = buffers.lend(buffer);
        let slice = bytes.slice(3..);
        drop(bytes);
        let other = buffers.take();
        assert_ne!(other.as_ptr(), place);
        assert_eq!(slice, "tent");
        drop(slice);
        let again = buffers.take();
        assert_eq!((again.as_ptr(), again.len()), (place, 0));
    }
}
