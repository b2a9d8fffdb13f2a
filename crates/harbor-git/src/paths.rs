//! Paths of a repository, meant literally: a file, or all that lies below a directory. Those of callers are text, those
//! of trees and indexes any bytes.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use git2::{Index, IndexEntry, IndexTime, Oid, Tree};

use crate::failure::Failure;

/// What a tree or an index has at a path: kind of file, and contents.
pub(crate) type Contents = (u32, Oid);

/// A path as git keeps it.
pub(crate) fn path(bytes: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(bytes))
}

/// Paths without `.` and `..`; the empty one is everything.
pub(crate) fn normalized(paths: &[String], root: &Path) -> Result<Vec<String>, Failure> {
    paths.iter().map(|path| normal(path, root)).collect()
}

fn normal(path: &str, root: &Path) -> Result<String, Failure> {
    let outside = || Failure::fatal(&format!("{path}: '{path}' is outside repository at '{}'", root.display()));
    if path.is_empty() {
        return Err(Failure::fatal("empty string is not a valid pathspec"));
    }
    if path.starts_with('/') {
        return Err(outside());
    }
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop().ok_or_else(outside)?),
            part => parts.push(part),
        }
    }
    Ok(parts.join("/"))
}

/// Whether `path` is `wanted` or lies below it.
pub(crate) fn covers(wanted: &str, path: &[u8]) -> bool {
    let below = |rest: &[u8]| rest.is_empty() || rest.starts_with(b"/");
    wanted.is_empty() || path.strip_prefix(wanted.as_bytes()).is_some_and(below)
}

/// Whether one of these paths covers `path`; no paths at all cover everything.
pub(crate) fn cover(wanted: &[String], path: &[u8]) -> bool {
    wanted.is_empty() || wanted.iter().any(|wanted| covers(wanted, path))
}

/// What a tree has at the covered paths.
pub(crate) fn of_tree(tree: &Tree<'_>, wanted: &[String]) -> Result<BTreeMap<Vec<u8>, Contents>, Failure> {
    let mut index = Index::new()?;
    index.read_tree(tree)?;
    Ok(of_index(&index, wanted))
}

/// What an index has at the covered paths, conflicts left out.
pub(crate) fn of_index(index: &Index, wanted: &[String]) -> BTreeMap<Vec<u8>, Contents> {
    let covered = index.iter().filter(|entry| stage(entry) == 0 && cover(wanted, &entry.path));
    covered.map(|entry| (entry.path, (entry.mode, entry.id))).collect()
}

/// 0, or which side of a conflict an entry is.
pub(crate) fn stage(entry: &IndexEntry) -> u16 {
    (entry.flags >> 12) & 3
}

/// Makes the index the same as the tree at the covered paths. Without a tree nothing stays there.
pub(crate) fn read_into(index: &mut Index, tree: Option<&Tree<'_>>, wanted: &[String]) -> Result<(), Failure> {
    let target = tree.map(|tree| of_tree(tree, wanted)).transpose()?.unwrap_or_default();
    let old: Vec<_> = index.iter().filter(|entry| cover(wanted, &entry.path)).collect();
    for entry in old {
        let same = stage(&entry) == 0 && target.get(&entry.path) == Some(&(entry.mode, entry.id));
        if !same {
            index.remove(path(&entry.path), i32::from(stage(&entry)))?;
        }
    }
    for (bytes, (mode, id)) in target {
        if index.get_path(path(&bytes), 0).is_none() {
            index.add(&entry(bytes, mode, id))?;
        }
    }
    Ok(())
}

/// An entry that says nothing about the file in the work tree, so that it is looked at the next time.
fn entry(path: Vec<u8>, mode: u32, id: Oid) -> IndexEntry {
    let never = IndexTime::new(0, 0);
    IndexEntry {
        ctime: never,
        mtime: never,
        dev: 0,
        ino: 0,
        mode,
        uid: 0,
        gid: 0,
        file_size: 0,
        id,
        flags: 0,
        flags_extended: 0,
        path,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_stay_inside() {
        let check = |path: &str| normal(path, Path::new("/r")).ok();
        assert_eq!(check("a/./b//c/"), Some("a/b/c".to_owned()));
        assert_eq!(check("a/../b"), Some("b".to_owned()));
        assert_eq!((check("."), check("./")), (Some(String::new()), Some(String::new())));
        for refused in ["", "/a", "../a", "a/../../b"] {
            assert_eq!(check(refused), None, "{refused}");
        }
    }

    #[test]
    fn a_directory_covers_what_is_below_it() {
        assert!(covers("", b"a") && covers("a", b"a") && covers("a", b"a/\xe9"));
        assert!(!covers("a", b"ab") && !covers("a/b", b"a"));
    }
}
