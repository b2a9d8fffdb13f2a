//! Removes a directory tree, however deep, with one directory open at a time.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Dir, Mode, OFlags, openat, unlinkat};
use rustix::io::Errno;

use super::Cut;

/// A directory that is being emptied.
struct Level {
    name: OsString,
    /// The directories in it that are left.
    inside: Vec<OsString>,
}

/// Removes a directory with all that is in it, which nobody else changes meanwhile. One that is gone is fine.
pub fn remove(directory: &Path, cut: &Cut) -> io::Result<()> {
    match open(CWD, directory.as_os_str()) {
        Err(Errno::NOENT) => return Ok(()),
        opened => drop(opened?),
    }
    empty(directory, cut)?;
    fs::remove_dir(directory)
}

/// Removes all that is in a directory, which nobody else changes meanwhile.
pub fn empty(directory: &Path, cut: &Cut) -> io::Result<()> {
    let mut at = open(CWD, directory.as_os_str())?;
    let mut levels = vec![Level { name: OsString::new(), inside: remove_files(&at)? }];
    while let Some(level) = levels.last_mut() {
        cut.check()?;
        if let Some(name) = level.inside.pop() {
            at = open(&at, &name)?;
            levels.push(Level { name, inside: remove_files(&at)? });
            continue;
        }
        if let Some(Level { name, .. }) = levels.pop()
            && !levels.is_empty()
        {
            at = open(&at, OsStr::new(".."))?;
            unlinkat(&at, &name, AtFlags::REMOVEDIR)?;
        }
    }
    Ok(())
}

fn open(from: impl rustix::fd::AsFd, name: &OsStr) -> Result<OwnedFd, Errno> {
    openat(from, name, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())
}

/// Removes what is no directory, and answers the names of those that are.
fn remove_files(directory: &OwnedFd) -> io::Result<Vec<OsString>> {
    let mut directories = Vec::new();
    for entry in Dir::read_from(directory)? {
        let entry = entry?;
        let name = OsStr::from_bytes(entry.file_name().to_bytes());
        if name == "." || name == ".." {
            continue;
        }
        match unlinkat(directory, name, AtFlags::empty()) {
            Ok(()) => {}
            Err(Errno::ISDIR) => directories.push(name.to_owned()),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(directories)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn what_a_link_leads_to_stays_and_what_is_gone_is_fine() {
        let outside = tempfile::tempdir().unwrap();
        fs::write(outside.path().join("kept"), "x").unwrap();
        let tree = tempfile::tempdir().unwrap();
        let root = tree.path().join("root");
        for inner in ["a/b/c", "a/d", "e"] {
            fs::create_dir_all(root.join(inner)).unwrap();
            fs::write(root.join(inner).join("file"), "x").unwrap();
        }
        symlink(outside.path(), root.join("a/link")).unwrap();
        for _ in 0..2 {
            remove(&root, &Cut::default()).unwrap();
            assert!(!root.exists());
        }
        assert!(outside.path().join("kept").exists());
    }

    #[test]
    fn a_deep_tree_is_removed() {
        let tree = tempfile::tempdir().unwrap();
        let root = tree.path().join("root");
        fs::create_dir(&root).unwrap();
        let mut at = open(CWD, root.as_os_str()).unwrap();
        for _ in 0..15_000 {
            rustix::fs::mkdirat(&at, "d", Mode::RWXU).unwrap();
            at = open(&at, OsStr::new("d")).unwrap();
        }
        remove(&root, &Cut::default()).unwrap();
        assert!(!root.exists());
    }
}
