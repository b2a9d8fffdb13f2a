//! Remotes on this machine, which are read as the files they are.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use git2::{Oid, Repository};

use crate::failure::{Failure, Outcome};
use crate::login::decoded;

/// Longest chain of repositories that take objects from one another.
const MOST_ALTERNATES: u32 = 5;

/// The directory an address names, if it names one of this machine.
pub(crate) fn directory(address: &str) -> Option<PathBuf> {
    if let Some(path) = address.strip_prefix("file://") {
        return Some(PathBuf::from(decoded(path)));
    }
    let is_path = address.starts_with(['/', '.']) || !address.contains(':');
    is_path.then(|| PathBuf::from(address))
}

/// Refuses an address of this machine at which there is no repository.
pub(crate) fn check(address: &str) -> Outcome {
    let Some(directory) = directory(address) else { return Ok(()) };
    if !directory.exists() {
        return Err(Failure::fatal(&format!("repository '{address}' does not exist")));
    }
    let found = Repository::open(&directory);
    found.map(drop).map_err(|_| Failure::fatal(&format!("'{address}' does not appear to be a git repository")))
}

/// Copies all objects of a repository, and the tags of a commit's history, of which `depth` commits count (0: all).
///
/// Packing anew what is on this disk takes ten times as long as copying it. What lies beyond the depth is here as well
/// then, until it is cleaned up, but no history leads to it.
pub(crate) fn copy(from: &Path, to: &Repository, tip: Oid, depth: u32) -> Outcome {
    let source = Repository::open(from)?;
    copy_objects(&source.commondir().join("objects"), &to.commondir().join("objects"), MOST_ALTERNATES)?;
    to.odb()?.refresh()?;
    let history = History::of(&source, tip, depth)?;
    history.cut(to)?;
    for tag in source.references_glob("refs/tags/*")? {
        let tag = tag?;
        let reached = tag.peel_to_commit().is_ok_and(|commit| history.commits.contains_key(&commit.id()));
        if let (true, Some(target)) = (reached, tag.target()) {
            to.reference(&String::from_utf8_lossy(tag.name_bytes()), target, true, "fetch")?;
        }
    }
    Ok(())
}

/// Copies packs and single objects that are not there yet, also those another directory is named for.
fn copy_objects(from: &Path, to: &Path, alternates: u32) -> io::Result<()> {
    let packs = entries(&from.join("pack"))?.into_iter().map(|name| Path::new("pack").join(name));
    // The index makes a pack count, so it comes after.
    let indexes: Vec<_> = packs.filter(|path| path.extension().is_some_and(|kind| kind == "idx")).collect();
    let mut files: Vec<_> = indexes.iter().map(|path| path.with_extension("pack")).chain(indexes.clone()).collect();
    for directory in entries(from)?.into_iter().filter(|name| name.len() == 2) {
        let names = entries(&from.join(&directory))?;
        files.extend(names.into_iter().map(|name| Path::new(&directory).join(name)));
    }
    for file in files {
        let target = to.join(&file);
        if target.exists() {
            continue;
        }
        if let Some(directory) = target.parent() {
            fs::create_dir_all(directory)?;
        }
        fs::copy(from.join(&file), &target)?;
    }
    let more = fs::read_to_string(from.join("info/alternates")).unwrap_or_default();
    for line in more.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        if alternates > 0 {
            copy_objects(&from.join(line), to, alternates - 1)?;
        }
    }
    Ok(())
}

/// Names in a directory; none if it is not there.
fn entries(directory: &Path) -> io::Result<Vec<OsString>> {
    match fs::read_dir(directory) {
        Ok(entries) => entries.map(|entry| Ok(entry?.file_name())).collect(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// The commits that a commit's history has, and how far each is from it.
struct History {
    commits: BTreeMap<Oid, u32>,
    /// Commits whose parents are left out.
    ends: BTreeSet<Oid>,
}

impl History {
    fn of(source: &Repository, tip: Oid, depth: u32) -> Result<Self, git2::Error> {
        let (mut commits, mut ends) = (BTreeMap::from([(tip, 1)]), BTreeSet::new());
        let mut waiting = VecDeque::from([tip]);
        while let Some(id) = waiting.pop_front() {
            let at = commits[&id];
            for parent in source.find_commit(id)?.parent_ids() {
                if depth > 0 && at >= depth {
                    ends.insert(id);
                } else if let Entry::Vacant(new) = commits.entry(parent) {
                    new.insert(at + 1);
                    waiting.push_back(parent);
                }
            }
        }
        Ok(Self { commits, ends })
    }

    /// Notes in a repository where history ends.
    fn cut(&self, repository: &Repository) -> io::Result<()> {
        let file = repository.path().join("shallow");
        let mut lines = fs::read_to_string(&file).unwrap_or_default();
        for id in &self.ends {
            let line = format!("{id}\n");
            if !lines.contains(&line) {
                lines += &line;
            }
        }
        if lines.is_empty() { Ok(()) } else { fs::write(file, lines) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_are_told_from_addresses() {
        for (address, path) in [
            ("/r.git", Some("/r.git")),
            ("./a:b", Some("./a:b")),
            ("r", Some("r")),
            ("file:///a%20b", Some("/a b")),
            ("http://h/r", None),
            ("git@h:r", None),
        ] {
            assert_eq!(directory(address), path.map(PathBuf::from), "{address}");
        }
    }
}
