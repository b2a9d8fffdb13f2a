//! Hashes of what is being pushed, so that what came in several requests is read but once.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use sha2::Sha256;

/// How many are kept: of pushes beyond these the bytes are read again.
const MOST: usize = 256;

/// The hash of the first bytes of each push.
#[derive(Default)]
pub(super) struct Hashes(Mutex<HashMap<String, (u64, Sha256)>>);

impl Hashes {
    /// Takes the hash of the first `size` bytes of a push, if it is known.
    pub(super) fn take(&self, upload: &str, size: u64) -> Option<Sha256> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(upload);
        match kept {
            Some((hashed, hash)) if hashed == size => Some(hash),
            _ => (size == 0).then(Sha256::default),
        }
    }

    /// Keeps it for the next request.
    pub(super) fn keep(&self, upload: &str, size: u64, hash: Sha256) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= MOST {
            let one = kept.keys().next().cloned();
            one.and_then(|one| kept.remove(&one));
        }
        kept.insert(upload.to_owned(), (size, hash));
    }

    /// Forgets that of a push which is over.
    pub(super) fn forget(&self, upload: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(upload);
    }
}
