//! A walk through a directory tree in lexical order, one entry at a time.
//!
//! Links are never followed below the root, directories are opened relative to their parent, so a tree that changes
//! meanwhile cannot lead the walk out of it. What cannot be read is left out.

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::vec::IntoIter;

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, openat, statat};

use super::paths;

/// How a directory is opened to be read.
const DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC).union(OFlags::NONBLOCK);

/// Bytes in a path from the root at which no deeper directory is entered, as the kernel would refuse to.
const LONGEST_PATH: usize = 4096;

/// A walk under way.
pub(super) struct Walk {
    /// The root, while it has not been visited.
    root: Option<(CString, FileType)>,
    /// Directories being read, outermost first.
    levels: Vec<Level>,
    /// Path of the current entry as an answer spells it.
    path: Vec<u8>,
    /// The current entry.
    current: Option<(CString, FileType)>,
    /// The current entry is the root.
    at_root: bool,
    /// The root as an answer spells the beginning of paths below it.
    prefix: Vec<u8>,
    /// How many levels below the root are entered.
    depth: usize,
}

struct Level {
    directory: OwnedFd,
    names: IntoIter<(CString, FileType)>,
    /// Length of the path before the names of this level.
    path: usize,
}

/// One entry of a tree.
pub(super) struct Entry<'a> {
    /// The open directory that `name` is in.
    pub(super) directory: BorrowedFd<'a>,
    /// Relative to `directory`.
    pub(super) name: &'a CStr,
    /// As an answer spells it: below the cleaned root; the root itself as given.
    pub(super) path: &'a [u8],
    /// What it is; links are not followed.
    pub(super) kind: FileType,
}

impl Walk {
    /// From the root at `full`, called `given` in answers, through everything below it. A missing root is empty.
    pub(super) fn from_root(full: &Path, given: &[u8]) -> Self {
        let root = CString::new(full.as_os_str().as_bytes()).ok().and_then(|name| {
            let stat = statat(CWD, &name, AtFlags::SYMLINK_NOFOLLOW).ok()?;
            Some((name, FileType::from_raw_mode(stat.st_mode)))
        });
        Self {
            root,
            levels: Vec::new(),
            path: given.to_owned(),
            current: None,
            at_root: false,
            prefix: paths::prefix(given),
            depth: usize::MAX,
        }
    }

    /// Through what is in the directory `full` (which may be a link), `depth` levels deep.
    pub(super) fn inside(full: &Path, depth: usize) -> io::Result<Self> {
        let directory = openat(CWD, full, DIRECTORY, Mode::empty())?;
        let prefix = paths::prefix(full.as_os_str().as_bytes());
        let level = Level::read(directory, prefix.len())?;
        Ok(Self { root: None, levels: vec![level], path: prefix.clone(), current: None, at_root: false, prefix, depth })
    }

    /// The next entry: a directory before what is in it.
    pub(super) fn next(&mut self) -> Option<Entry<'_>> {
        if let Some(root) = self.root.take() {
            self.current = Some(root);
            self.at_root = true;
        } else {
            self.descend();
            self.at_root = false;
            self.current = None;
            while let Some(level) = self.levels.last_mut() {
                self.path.truncate(level.path);
                self.current = level.names.next();
                match &self.current {
                    Some((name, _)) => {
                        self.path.extend_from_slice(name.to_bytes());
                        break;
                    }
                    None => {
                        self.levels.pop();
                    }
                }
            }
        }
        self.entry()
    }

    /// The entry that [`Walk::next`] returned last.
    pub(super) fn entry(&self) -> Option<Entry<'_>> {
        let (name, kind) = self.current.as_ref()?;
        let directory = self.levels.last().map_or(CWD, |level| level.directory.as_fd());
        Some(Entry { directory, name, path: &self.path, kind: *kind })
    }

    /// Enters the current entry when it is a directory to be entered.
    fn descend(&mut self) {
        let Some(entry) = self.entry() else { return };
        if entry.kind != FileType::Directory || self.levels.len() >= self.depth || self.path.len() >= LONGEST_PATH {
            return;
        }
        let opened = openat(entry.directory, entry.name, DIRECTORY | OFlags::NOFOLLOW, Mode::empty());
        let Ok(directory) = opened else { return };
        if self.at_root {
            self.path.clone_from(&self.prefix);
        } else {
            self.path.push(b'/');
        }
        self.levels.extend(Level::read(directory, self.path.len()));
    }
}

impl Level {
    fn read(directory: OwnedFd, path: usize) -> io::Result<Self> {
        let mut names = Vec::new();
        for entry in Dir::read_from(&directory)? {
            let entry = entry?;
            if matches!(entry.file_name().to_bytes(), b"." | b"..") {
                continue;
            }
            let kind = match entry.file_type() {
                FileType::Unknown => match statat(&directory, entry.file_name(), AtFlags::SYMLINK_NOFOLLOW) {
                    Ok(stat) => FileType::from_raw_mode(stat.st_mode),
                    Err(_) => continue,
                },
                known => known,
            };
            names.push((entry.file_name().to_owned(), kind));
        }
        names.sort_unstable_by(|one, other| one.0.cmp(&other.0));
        Ok(Self { directory, names: names.into_iter(), path })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A tree in a fresh directory, removed when dropped.
    fn tree() -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(root.path().join("s/t")).unwrap();
        for name in ["a.txt", "s/b", "s/t/c", "s.d"] {
            std::fs::write(root.path().join(name), name).unwrap();
        }
        std::os::unix::fs::symlink("s", root.path().join("link")).unwrap();
        std::fs::write(root.path().join(std::ffi::OsStr::from_bytes(b"\xff")), "").unwrap();
        root
    }

    fn all(mut walk: Walk) -> Vec<String> {
        let mut found = Vec::new();
        while let Some(entry) = walk.next() {
            found.push(String::from_utf8_lossy(entry.path).into_owned());
        }
        found
    }

    #[test]
    fn a_tree_is_walked_in_lexical_order_without_following_links() {
        let root = tree();
        let walk = Walk::from_root(root.path(), b"./x/");
        let expected = ["./x/", "x/a.txt", "x/link", "x/s", "x/s/b", "x/s/t", "x/s/t/c", "x/s.d", "x/\u{fffd}"];
        assert_eq!(all(walk), expected);
    }

    #[test]
    fn a_root_that_is_a_link_is_not_entered() {
        let root = tree();
        assert_eq!(all(Walk::from_root(&root.path().join("link"), b"l")), ["l"]);
        assert_eq!(all(Walk::from_root(&root.path().join("none"), b"n")), [""; 0]);
    }

    #[test]
    fn depth_limits_the_levels() {
        let root = tree();
        let prefix = root.path().to_str().unwrap();
        let names = |depth| -> Vec<String> {
            let found = all(Walk::inside(root.path(), depth).unwrap());
            found.iter().map(|path| path.strip_prefix(prefix).unwrap().to_owned()).collect()
        };
        assert_eq!(names(1), ["/a.txt", "/link", "/s", "/s.d", "/\u{fffd}"]);
        assert_eq!(names(2), ["/a.txt", "/link", "/s", "/s/b", "/s/t", "/s.d", "/\u{fffd}"]);
    }
}
