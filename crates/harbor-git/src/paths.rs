//! Paths of a repository, meant literally: a file, or all that lies below a directory.

use std::collections::BTreeMap;
use std::path::Path;

use git2::{Index, IndexEntry, IndexTime, Oid, Tree, TreeWalkMode, TreeWalkResult};

use crate::failure::Failure;

/// What a tree or an index has at a path: kind of file, and contents.
pub(crate) type Contents = (u32, Oid);

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
pub(crate) fn covers(wanted: &str, path: &str) -> bool {
    wanted.is_empty() || path.strip_prefix(wanted).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Whether one of these paths covers `path`; no paths at all cover everything.
pub(crate) fn cover(wanted: &[String], path: &str) -> bool {
    wanted.is_empty() || wanted.iter().any(|wanted| covers(wanted, path))
}

/// What a tree has at the covered paths.
pub(crate) fn of_tree(tree: &Tree<'_>, wanted: &[String]) -> Result<BTreeMap<String, Contents>, Failure> {
    let mut found = BTreeMap::new();
    tree.walk(TreeWalkMode::PreOrder, |directory, entry| {
        let name = String::from_utf8_lossy(entry.name_bytes());
        let path = format!("{directory}{name}");
        let kind = u32::try_from(entry.filemode()).unwrap_or_default();
        if entry.kind() != Some(git2::ObjectType::Tree) && cover(wanted, &path) {
            found.insert(path, (kind, entry.id()));
        }
        TreeWalkResult::Ok
    })?;
    Ok(found)
}

/// What an index has at the covered paths, conflicts left out.
pub(crate) fn of_index(index: &Index, wanted: &[String]) -> BTreeMap<String, Contents> {
    let merged = index.iter().filter(|entry| stage(entry) == 0);
    merged
        .map(|entry| (String::from_utf8_lossy(&entry.path).into_owned(), (entry.mode, entry.id)))
        .filter(|(path, _)| cover(wanted, path))
        .collect()
}

/// 0, or which side of a conflict an entry is.
pub(crate) fn stage(entry: &IndexEntry) -> u16 {
    (entry.flags >> 12) & 3
}

/// Makes the index the same as the tree at the covered paths. Without a tree nothing stays there.
pub(crate) fn read_into(index: &mut Index, tree: Option<&Tree<'_>>, wanted: &[String]) -> Result<(), Failure> {
    let target = tree.map(|tree| of_tree(tree, wanted)).transpose()?.unwrap_or_default();
    let covered = |entry: &IndexEntry| cover(wanted, &String::from_utf8_lossy(&entry.path));
    let old: Vec<_> = index.iter().filter(covered).collect();
    for entry in old {
        let path = String::from_utf8_lossy(&entry.path);
        let same = stage(&entry) == 0 && target.get(path.as_ref()) == Some(&(entry.mode, entry.id));
        if !same {
            index.remove(Path::new(path.as_ref()), i32::from(stage(&entry)))?;
        }
    }
    for (path, (mode, id)) in target {
        if index.get_path(Path::new(&path), 0).is_none() {
            index.add(&entry(path, mode, id))?;
        }
    }
    Ok(())
}

/// An entry that says nothing about the file in the work tree, so that it is looked at the next time.
fn entry(path: String, mode: u32, id: Oid) -> IndexEntry {
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
        path: path.into_bytes(),
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
        assert!(covers("", "a") && covers("a", "a") && covers("a", "a/b"));
        assert!(!covers("a", "ab") && !covers("a/b", "a"));
    }
}
