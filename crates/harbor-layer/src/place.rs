//! Places in a directory tree, of which nothing outside is ever reached.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Component, Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat, openat2};

/// A directory tree.
pub(super) struct Tree(OwnedFd);

/// A name in an opened directory.
pub(super) struct Place {
    pub(super) parent: OwnedFd,
    pub(super) name: PathBuf,
}

impl Place {
    /// A path for calls that take no descriptor. It ends in a plain name, which those calls do not follow.
    pub(super) fn path(&self) -> PathBuf {
        Path::new("/proc/self/fd").join(self.parent.as_raw_fd().to_string()).join(&self.name)
    }

    pub(super) fn new_file(&self) -> io::Result<File> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(File::from(openat(&self.parent, &self.name, flags, Mode::RUSR | Mode::WUSR)?))
    }

    pub(super) fn open_file(&self) -> io::Result<File> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        Ok(File::from(openat(&self.parent, &self.name, flags, Mode::empty())?))
    }
}

impl Tree {
    pub(super) fn open(root: &Path) -> io::Result<Self> {
        let directory = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Self(openat(CWD, root, directory, Mode::empty())?))
    }

    /// The root as a descriptor that does more than name it.
    pub(super) fn readable(&self) -> io::Result<OwnedFd> {
        Ok(openat(&self.0, ".", OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?)
    }

    /// Where `path` lies: its parent is opened without following a link or leaving the root.
    pub(super) fn place(&self, path: &Path) -> io::Result<Place> {
        let parts = path.components().filter(|part| *part != Component::CurDir);
        let mut clean = PathBuf::new();
        for part in parts {
            let Component::Normal(name) = part else {
                let reason = format!("{} is not a path within a layer", path.display());
                return Err(io::Error::new(io::ErrorKind::InvalidData, reason));
            };
            clean.push(name);
        }
        let parent = clean.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let name = clean.file_name().map_or_else(|| PathBuf::from("."), PathBuf::from);
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
        Ok(Place { parent: openat2(&self.0, parent, flags, Mode::empty(), resolve)?, name })
    }
}
