//! Listing a directory, a packet's worth at a time.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, Dir, Mode, OFlags, open, statat};
use rustix::io::Errno;
use time::OffsetDateTime;

use super::attributes;
use super::reply::{Name, Replies, Status};

/// Most names of one answer; each takes less than a kilobyte.
const NAMES: usize = 128;

/// A directory being read.
pub(super) struct Directory {
    file: OwnedFd,
    entries: Dir,
}

impl AsFd for Directory {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

impl Directory {
    pub(super) fn open(path: &Path) -> Result<Self, Errno> {
        let file = open(path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
        let entries = Dir::new(file.try_clone().map_err(|_| Errno::MFILE)?)?;
        Ok(Self { file, entries })
    }

    /// Answers with the next names, or that there are no more. What vanishes meanwhile is left out.
    pub(super) fn list(&mut self, id: u32, replies: &mut Replies) -> Result<(), Errno> {
        let now = OffsetDateTime::now_utc();
        let mut found = Vec::new();
        while found.len() < NAMES {
            let Some(entry) = self.entries.read() else { break };
            let entry = entry?;
            let name = entry.file_name();
            if let Ok(stat) = statat(&self.file, name, AtFlags::SYMLINK_NOFOLLOW) {
                let line = attributes::line(name.to_bytes(), &stat, now);
                found.push((name.to_bytes().to_vec(), line, stat));
            }
        }
        if found.is_empty() {
            replies.status(id, Status::EndOfFile, "End of file");
            return Ok(());
        }
        let names = found.iter().map(|(name, line, stat)| Name { text: name, line, stat: Some(stat) });
        replies.names(id, &names.collect::<Vec<_>>());
        Ok(())
    }
}
