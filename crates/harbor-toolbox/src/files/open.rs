//! Opening files to be read: regular ones only, and never waiting for another process.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use bytes::Bytes;
use rustix::fs::{FileType, Mode, OFlags, Stat, fstat, open, stat};

use super::failure;

/// Largest content, in bytes, of a file that does not know its size, as those of `/proc`.
const UNSIZED: u64 = 1 << 20;

/// A regular file, open for reading.
#[derive(Debug)]
pub(super) struct Opened {
    /// Positioned at the start.
    pub(super) file: File,
    /// Bytes.
    pub(super) size: u64,
    /// Modification time: seconds since the epoch, and nanoseconds.
    pub(super) modified: (i64, u64),
    /// The number of the file on its device.
    pub(super) inode: u64,
    /// The content itself, when the file claimed to be empty and was not.
    pub(super) content: Option<Bytes>,
}

/// Opens the file at `path`, links followed.
pub(super) fn regular_file(path: &Path) -> io::Result<Opened> {
    refuse_special(&stat(path)?)?; // opening a device can have effects
    let file = open(path, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty())?;
    let stat = fstat(&file)?;
    refuse_special(&stat)?; // it may have been replaced
    let mut file = File::from(file);
    let mut size = u64::try_from(stat.st_size).unwrap_or_default();
    let mut content = None;
    if size == 0 {
        let mut bytes = Vec::new();
        (&mut file).take(UNSIZED).read_to_end(&mut bytes)?;
        size = bytes.len() as u64;
        content = Some(Bytes::from(bytes)).filter(|bytes| !bytes.is_empty());
    }
    let modified = (stat.st_mtime, stat.st_mtime_nsec);
    Ok(Opened { file, size, modified, inode: stat.st_ino, content })
}

/// Refuses what is no regular file.
pub(super) fn refuse_special(stat: &Stat) -> io::Result<()> {
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => Ok(()),
        FileType::Directory => Err(failure::is_a_directory()),
        _ => Err(failure::not_a_file()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::{CWD, mkfifoat};

    #[track_caller]
    fn refused(path: &Path, message: &str) {
        assert_eq!(failure::reason(&regular_file(path).unwrap_err()), message);
    }

    #[test]
    fn only_regular_files_are_opened() {
        let directory = tempfile::tempdir().unwrap();
        let fifo = directory.path().join("fifo");
        mkfifoat(CWD, &fifo, Mode::RUSR | Mode::WUSR).unwrap();
        refused(&fifo, "not a regular file");
        refused(directory.path(), "is a directory");
        refused(Path::new("/dev/zero"), "not a regular file");
        refused(&directory.path().join("none"), "no such file or directory");
    }

    #[test]
    fn files_that_hide_their_size_are_read() {
        let opened = regular_file(Path::new("/proc/self/status")).unwrap();
        assert!(opened.content.unwrap().starts_with(b"Name:"));
        assert!(opened.size > 100);
    }
}
