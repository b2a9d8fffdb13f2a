//! Removal of a directory tree that never leaves it.
//!
//! Every step is relative to an open directory and follows no link, so a tree whose directories are swapped for links
//! meanwhile loses at most the links. The way down is a list, not the call stack: depth cannot exhaust it.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::vec::IntoIter;

use rustix::fs::{AtFlags, CWD, Dir, Mode, OFlags, openat, unlinkat};
use rustix::io::Errno;
use rustix::path::Arg;

/// Removes the file, link or directory at `path`. Goes on after a failure and then returns the first one.
pub(super) fn tree(path: &Path) -> io::Result<()> {
    let Some(directory) = remove_or_open(CWD, path)? else { return Ok(()) };
    let mut first_error = None;
    let mut levels = vec![Level::read(directory)?];
    while let Some(level) = levels.last_mut() {
        let outcome = if let Some(name) = level.names.next() {
            match remove_or_open(&level.directory, &name) {
                Ok(Some(directory)) => {
                    level.entered = name;
                    Level::read(directory).map(|inner| levels.push(inner))
                }
                Ok(None) => Ok(()),
                Err(error) => Err(error),
            }
        } else {
            levels.pop();
            match levels.last() {
                Some(parent) => unlinkat(&parent.directory, &parent.entered, AtFlags::REMOVEDIR),
                None => unlinkat(CWD, path, AtFlags::REMOVEDIR),
            }
        };
        if let Err(error) = outcome
            && error != Errno::NOENT
        {
            first_error.get_or_insert(error);
        }
    }
    first_error.map_or(Ok(()), |error| Err(error.into()))
}

struct Level {
    directory: OwnedFd,
    names: IntoIter<CString>,
    /// The name among them that is being emptied.
    entered: CString,
}

impl Level {
    fn read(directory: OwnedFd) -> rustix::io::Result<Self> {
        let mut names = Vec::new();
        for entry in Dir::read_from(&directory)? {
            let name = entry?.file_name().to_owned();
            if !matches!(name.to_bytes(), b"." | b"..") {
                names.push(name);
            }
        }
        Ok(Self { directory, names: names.into_iter(), entered: CString::default() })
    }
}

/// Removes what is no directory; opens what is one.
fn remove_or_open(parent: impl AsFd, name: impl Arg + Copy) -> rustix::io::Result<Option<OwnedFd>> {
    match unlinkat(&parent, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => Ok(None),
        Err(Errno::ISDIR | Errno::PERM) => {
            let how = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            openat(&parent, name, how, Mode::empty()).map(Some).map_err(|error| match error {
                Errno::NOTDIR | Errno::LOOP => Errno::PERM, // no directory, so unlinking it was refused
                error => error,
            })
        }
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    #[test]
    fn a_tree_goes_and_what_its_links_point_to_stays() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        fs::create_dir_all(at("tree/a/b")).unwrap();
        fs::create_dir(at("other")).unwrap();
        for name in ["tree/x", "tree/a/y", "tree/a/b/z", "other/kept"] {
            fs::write(at(name), name).unwrap();
        }
        symlink(at("other"), at("tree/a/link")).unwrap();
        symlink(at("other"), at("link")).unwrap();
        tree(&at("tree")).unwrap();
        tree(&at("link")).unwrap();
        let left: Vec<_> = fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, ["other"]);
        assert!(at("other/kept").exists());
    }

    #[test]
    fn a_deep_tree_is_no_danger_to_the_stack() {
        let directory = tempfile::tempdir().unwrap();
        let mut path = directory.path().join("deep");
        fs::create_dir(&path).unwrap();
        for _ in 0..400 {
            path.push("d");
            fs::create_dir(&path).unwrap();
        }
        tree(&directory.path().join("deep")).unwrap();
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
    }
}
