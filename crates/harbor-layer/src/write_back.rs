//! Lets the disk write while more is still being made: a copy is done when all of it is on the disk.

use std::fs::File;
use std::num::NonZeroU64;

use rustix::fs::{Advice, fadvise};

/// Bytes after which the disk is told to begin.
const PART: u64 = 32 * 1024 * 1024;

/// How much of a file, which is written from its beginning on, the disk was told of.
#[derive(Debug, Default)]
pub struct WriteBack {
    told: u64,
}

impl WriteBack {
    /// The file is written up to byte `end`. Returns at once.
    pub fn written(&mut self, file: &File, end: u64) {
        if let Some(length) = NonZeroU64::new(end.saturating_sub(self.told))
            && length.get() >= PART
        {
            // "not needed any more" has the disk write what is not written; where it does not, the end takes longer
            let _only_advice = fadvise(file, self.told, Some(length), Advice::DontNeed);
            self.told = end;
        }
    }
}
