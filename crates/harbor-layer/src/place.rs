//! Places in a directory tree, of which nothing outside is ever reached.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Component, Path, PathBuf};
use std::rc::Rc;

use rustix::fs::{AtFlags, CWD, Mode, OFlags, ResolveFlags, Stat, openat, openat2, statat};

/// Bytes of a path that are given to the kernel at a time: it takes no longer ones than 4096, and a tree may be deeper.
const PATH_AT_ONCE: usize = 2048;

/// A directory tree, however deep.
pub(super) struct Tree(OwnedFd);

/// A name in an opened directory.
pub(super) struct Place {
    pub(super) parent: Rc<OwnedFd>,
    pub(super) name: PathBuf,
}

impl Place {
    /// A path for calls that take no descriptor. It ends in a plain name, which those calls do not follow.
    pub(super) fn path(&self) -> PathBuf {
        Path::new("/proc/self/fd").join(self.parent.as_raw_fd().to_string()).join(&self.name)
    }

    /// What lies there; a link itself, not what it leads to.
    pub(super) fn stat(&self) -> io::Result<Stat> {
        Ok(statat(&self.parent, &self.name, AtFlags::SYMLINK_NOFOLLOW)?)
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
        let mut names = names(path)?;
        let name = names.pop().map_or_else(|| PathBuf::from("."), PathBuf::from);
        Ok(Place { parent: Rc::new(self.open_directory(&names, OFlags::PATH)?), name })
    }

    /// The directory `path` as a place, to read: opened without following a link or leaving the root.
    pub(super) fn directory(&self, path: &Path) -> io::Result<Place> {
        let parent = Rc::new(self.open_directory(&names(path)?, OFlags::RDONLY)?);
        Ok(Place { parent, name: PathBuf::from(".") })
    }

    fn open_directory(&self, names: &[&OsStr], access: OFlags) -> io::Result<OwnedFd> {
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
        let open = |from: &OwnedFd, path: &Path, access| {
            openat2(from, path, access | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty(), resolve)
        };
        let (mut above, mut path) = (None, PathBuf::from("."));
        for name in names {
            if path.as_os_str().len() + name.len() > PATH_AT_ONCE {
                above = Some(open(above.as_ref().unwrap_or(&self.0), &path, OFlags::PATH)?);
                path = PathBuf::from(".");
            }
            path.push(name);
        }
        Ok(open(above.as_ref().unwrap_or(&self.0), &path, access)?)
    }
}

/// The names that a path is made of, none of which leads out of the tree.
fn names(path: &Path) -> io::Result<Vec<&OsStr>> {
    let parts = path.components().filter(|part| *part != Component::CurDir);
    let name = |part| {
        let Component::Normal(name) = part else {
            let reason = format!("{} is not a path within a layer", path.display());
            return Err(io::Error::new(io::ErrorKind::InvalidData, reason));
        };
        Ok(name)
    };
    parts.map(name).collect()
}
