//! SHA-256 on a thread of its own: it takes longer than all else of a copy, which goes on meanwhile.

use std::io;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::{self, JoinHandle};

use bytes::Bytes;
use harbor_model::hex;
use sha2::{Digest, Sha256};

/// Parts that wait to be hashed.
const WAITING: usize = 16;

/// The digest of what it is given, in order.
pub(super) struct DigestThread {
    parts: SyncSender<Bytes>,
    thread: JoinHandle<String>,
}

impl DigestThread {
    pub(super) fn begin() -> io::Result<Self> {
        let (parts, waiting) = sync_channel::<Bytes>(WAITING);
        let thread = thread::Builder::new().name("digest".to_owned()).spawn(move || {
            let mut hash = Sha256::new();
            for part in waiting {
                hash.update(&part);
            }
            hex(&hash.finalize())
        })?;
        Ok(Self { parts, thread })
    }

    /// Waits while too much waits.
    pub(super) fn update(&self, part: Bytes) -> io::Result<()> {
        self.parts.send(part).map_err(|_| ended())
    }

    /// The digest in hexadecimal.
    pub(super) fn end(self) -> io::Result<String> {
        drop(self.parts);
        self.thread.join().map_err(|_| ended())
    }
}

fn ended() -> io::Error {
    io::Error::other("the thread that takes digests has ended")
}
