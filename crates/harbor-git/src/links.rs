//! Symbolic links that have taken the place of directories of the repository. Git removes nothing beyond them; libgit2
//! follows them where it removes files.

use std::collections::BTreeSet;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::{fs, io};

use git2::{Commit, Repository};

use crate::failure::{Failure, Outcome};
use crate::paths;
use crate::repository::head_commit;

/// Changes the work tree while such links are out of the way. They come back where nothing has taken their place.
pub(crate) fn aside(repository: &Repository, change: impl FnOnce() -> Outcome) -> Outcome {
    let Some(root) = repository.workdir() else { return change() };
    let mut taken = Vec::new();
    // a directory comes before those below it, which are gone with it
    for directory in directories(repository)? {
        let place = root.join(directory);
        if let Ok(target) = fs::read_link(&place) {
            fs::remove_file(&place)?;
            taken.push((place, target));
        }
    }
    let outcome = change();
    for (place, target) in taken {
        match symlink(target, &place) {
            Err(error) if !matches!(error.kind(), io::ErrorKind::AlreadyExists) => {
                return outcome.and(Err(error.into()));
            }
            _ => {}
        }
    }
    outcome
}

/// The directories that the last commit and the index have files in.
fn directories(repository: &Repository) -> Result<BTreeSet<PathBuf>, Failure> {
    let tree = head_commit(repository)?.as_ref().map(Commit::tree).transpose()?;
    let mut files = tree.map(|tree| paths::of_tree(&tree, &[])).transpose()?.unwrap_or_default();
    files.extend(paths::of_index(&repository.index()?, &[]));
    let parents = files.keys().flat_map(|file| paths::path(file).ancestors().skip(1));
    Ok(parents.filter(|parent| !parent.as_os_str().is_empty()).map(Path::to_owned).collect())
}
