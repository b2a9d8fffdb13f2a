//! `add --all`: stages files, directories and deletions.

use std::path::Path;

use git2::{Index, Repository, Status, StatusEntry, StatusOptions};

use crate::arguments::Arguments;
use crate::failure::{Failure, Outcome};
use crate::paths::{self, covers, normalized};
use crate::repository;

pub(crate) fn add(arguments: &Arguments) -> Outcome {
    let (repository, root) = repository::open_with_work_tree()?;
    let paths = normalized(arguments.after(), &root)?;
    let mut index = repository.index()?;
    for (path, given) in paths.iter().zip(arguments.after()) {
        check(&repository, &index, &root, path, given)?;
    }
    if paths.is_empty() {
        return Ok(());
    }
    let mut options = StatusOptions::new();
    options.include_untracked(true).recurse_untracked_dirs(true).disable_pathspec_match(true);
    if !paths.iter().any(String::is_empty) {
        for path in &paths {
            options.pathspec(path.as_str());
        }
    }
    for entry in repository.statuses(Some(&mut options))?.iter() {
        stage(&mut index, &root, &entry)?;
    }
    Ok(index.write()?)
}

/// Makes the index have what the work tree has at a path.
fn stage(index: &mut Index, root: &Path, entry: &StatusEntry<'_>) -> Outcome {
    // A repository in the work tree is told as a directory.
    let path = paths::path(without_slash(entry.path_bytes()));
    let changed =
        Status::WT_NEW | Status::WT_MODIFIED | Status::WT_TYPECHANGE | Status::WT_DELETED | Status::CONFLICTED;
    if !entry.status().intersects(changed) {
        return Ok(());
    }
    let there = root.join(path).symlink_metadata().is_ok();
    let staged = if there { index.add_path(path) } else { index.remove_path(path) };
    Ok(staged?)
}

fn without_slash(path: &[u8]) -> &[u8] {
    path.strip_suffix(b"/").unwrap_or(path)
}

/// Refuses a path at which there is nothing to stage.
fn check(repository: &Repository, index: &Index, root: &Path, path: &str, given: &str) -> Outcome {
    if path.is_empty() {
        return Ok(());
    }
    let is_link = |path: &Path| root.join(path).symlink_metadata().is_ok_and(|found| found.is_symlink());
    if Path::new(path).ancestors().skip(1).any(is_link) {
        return Err(Failure::fatal(&format!("pathspec '{given}' is beyond a symbolic link")));
    }
    if is_unborn(&root.join(path)) {
        return Err(Failure::error(&format!("'{given}' does not have a commit checked out")));
    }
    if index.iter().any(|entry| covers(path, &entry.path)) {
        return Ok(());
    }
    if root.join(path).symlink_metadata().is_err() {
        return Err(Failure::fatal(&format!("pathspec '{given}' did not match any files")));
    }
    if is_ignored(repository, root, path)? {
        let reason = format!("The following paths are ignored by one of your .gitignore files:\n{given}");
        return Err(Failure::said(1, reason));
    }
    Ok(())
}

/// Whether a directory is the work tree of a repository without commits, of which there is nothing to stage.
fn is_unborn(directory: &Path) -> bool {
    directory.join(".git").exists()
        && Repository::open(directory).is_ok_and(|inner| inner.head().and_then(|head| head.peel_to_commit()).is_err())
}

fn is_ignored(repository: &Repository, root: &Path, path: &str) -> Result<bool, Failure> {
    let named = if root.join(path).is_dir() { format!("{path}/") } else { path.to_owned() };
    Ok(repository.is_path_ignored(&named)?
        || repository.status_file(Path::new(path)).is_ok_and(|status| status.contains(Status::IGNORED)))
}
