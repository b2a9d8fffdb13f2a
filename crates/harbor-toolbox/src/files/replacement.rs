//! Files whose content is not complete: new ones, and those that are written beside an existing one to take its place.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{Gid, Mode, OFlags, Uid, fchmod, fchown, flistxattr, open};
use tokio::runtime::Handle;
use uuid::Uuid;

/// A file made here whose content is not complete; removed when dropped.
pub(super) struct Unfinished {
    path: Option<PathBuf>,
    /// Device and number, so that no other file is removed that took its place.
    identity: (u64, u64),
}

impl Unfinished {
    pub(super) fn of(file: &File, path: &Path) -> io::Result<Self> {
        let metadata = file.metadata()?;
        let path = behind_links(file).unwrap_or_else(|| path.to_owned());
        Ok(Self { path: Some(path), identity: (metadata.dev(), metadata.ino()) })
    }

    /// It is complete.
    pub(super) fn keep(&mut self) {
        self.path = None;
    }

    pub(super) fn remove(&mut self) {
        let Some(path) = self.path.take() else { return };
        let same = |metadata: std::fs::Metadata| (metadata.dev(), metadata.ino()) == self.identity;
        if std::fs::symlink_metadata(&path).is_ok_and(same) {
            let _ = std::fs::remove_file(&path); // there is nobody left to tell
        }
    }
}

impl Drop for Unfinished {
    /// Reached with a path only when the request went away in the middle.
    fn drop(&mut self) {
        let (Some(path), Ok(runtime)) = (self.path.take(), Handle::try_current()) else { return };
        let mut guard = Self { path: Some(path), identity: self.identity };
        runtime.spawn_blocking(move || guard.remove());
    }
}

/// Where a file really is.
fn behind_links(file: &File) -> Option<PathBuf> {
    std::fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd())).ok()
}

/// A file that is written beside an existing one and takes its place once it is whole.
pub(super) struct Replacement {
    made: Unfinished,
    beside: PathBuf,
    target: PathBuf,
    /// The existing one, open for writing.
    old: File,
}

impl Replacement {
    /// Makes a file with the mode and owner of `old` in its directory; none where that cannot be, or where another file
    /// would not be the same to others: one with several names or with attributes of its own.
    pub(super) fn beside(old: &File) -> Option<(File, Self)> {
        let metadata = old.metadata().ok()?;
        let target = behind_links(old).filter(|path| path.is_absolute())?;
        let same = std::fs::symlink_metadata(&target).is_ok_and(|found| found.ino() == metadata.ino());
        if !same || metadata.nlink() != 1 || has_attributes(old) {
            return None;
        }
        let beside = target.with_file_name(format!(".harbor-{}", Uuid::new_v4().simple()));
        let how = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let file = File::from(open(&beside, how, Mode::RUSR | Mode::WUSR).ok()?);
        let mut made = Unfinished::of(&file, &beside).ok()?;
        let (owner, group) = (Uid::from_raw(metadata.uid()), Gid::from_raw(metadata.gid()));
        let changed = fchown(&file, Some(owner), Some(group));
        if changed.and_then(|()| fchmod(&file, Mode::from_raw_mode(metadata.mode() & 0o7777))).is_err() {
            made.remove();
            return None;
        }
        Some((file, Self { made, beside, target, old: old.try_clone().ok()? }))
    }

    /// The file is whole: it takes the place, or where that cannot be (a file that is mounted) gives its content.
    pub(super) fn take_place(mut self) -> io::Result<()> {
        if std::fs::rename(&self.beside, &self.target).is_ok() {
            self.made.keep();
            return Ok(());
        }
        let copied = File::open(&self.beside).and_then(|mut content| {
            self.old.set_len(0)?;
            io::copy(&mut content, &mut &self.old).map(drop)
        });
        self.made.remove();
        copied
    }

    pub(super) fn give_up(mut self) {
        self.made.remove();
    }
}

/// Whether a file has attributes that a new one would lack, such as access lists; labels come by themselves.
fn has_attributes(file: &File) -> bool {
    let mut names = vec![0; 4 << 10];
    let length = match flistxattr(file, &mut names) {
        Ok(length) => length,
        Err(error) => return error == rustix::io::Errno::RANGE,
    };
    let mut names = names[..length].split(|&byte| byte == 0).filter(|name| !name.is_empty());
    names.any(|name| name != b"security.selinux")
}
