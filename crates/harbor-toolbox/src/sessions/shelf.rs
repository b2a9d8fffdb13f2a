//! The bound on what all logs together keep on disk.
//!
//! Guarantees: at most [`TOTAL`] bytes, and a little for each command that still runs; the logs of the commands that
//! ended first go first.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

/// Most bytes that all logs keep.
const TOTAL: u64 = 512 << 20;

/// What keeps bytes on the disk and can give them up.
pub(super) trait Forget: Send + Sync {
    /// Gives up everything, and tells the shelf.
    fn forget(&self);
}

/// Counts what logs keep. Cheap to clone.
#[derive(Clone, Default)]
pub(super) struct Shelf {
    books: Arc<Mutex<Books>>,
}

#[derive(Default)]
struct Books {
    total: u64,
    /// Logs that nothing is added to any more, the earliest first.
    ended: VecDeque<Weak<dyn Forget>>,
}

impl Shelf {
    /// Counts `bytes` more. False: it is too much now, and nothing is left that could make room.
    pub(super) fn add(&self, bytes: u64) -> bool {
        self.books().total += bytes;
        loop {
            let first = {
                let mut books = self.books();
                if books.total <= TOTAL {
                    return true;
                }
                books.ended.pop_front()
            };
            match first {
                None => return false,
                Some(log) => log.upgrade().iter().for_each(|log| log.forget()),
            }
        }
    }

    /// Counts `bytes` less.
    pub(super) fn subtract(&self, bytes: u64) {
        let mut books = self.books();
        books.total = books.total.saturating_sub(bytes);
    }

    /// This log may go when room is needed.
    pub(super) fn offer(&self, log: Weak<dyn Forget>) {
        let mut books = self.books();
        if books.ended.len() == books.ended.capacity() {
            books.ended.retain(|log| log.strong_count() > 0);
        }
        books.ended.push_back(log);
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
