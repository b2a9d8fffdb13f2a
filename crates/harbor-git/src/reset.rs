//! `reset`, of the whole repository in one of five modes, or of paths.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use git2::build::CheckoutBuilder;
use git2::{Commit, Repository, ResetType, Status, StatusOptions};

use crate::arguments::Arguments;
use crate::failure::{Failure, Outcome};
use crate::links;
use crate::paths::{self, Contents};
use crate::repository::{self, head_commit, move_head};

/// `--quiet` and the modes.
pub(crate) const FLAGS: &[&str] = &["--quiet", "--soft", "--mixed", "--hard", "--merge", "--keep"];

pub(crate) fn reset(arguments: &Arguments) -> Outcome {
    let repository = repository::open()?;
    let commit = match arguments.operands()[..] {
        [] => head_commit(&repository)?,
        [name] => Some(repository::commit(&repository, name)?),
        _ => return Err(Failure::usage("one commit can be reset to")),
    };
    let mode = FLAGS.iter().skip(1).find(|mode| arguments.has(mode)).unwrap_or(&"--mixed");
    if !arguments.after().is_empty() {
        return reset_paths(&repository, commit.as_ref(), arguments.after());
    }
    if *mode != "--soft" && repository.is_bare() {
        return Err(Failure::fatal(&format!("{} reset is not allowed in a bare repository", &mode[2..])));
    }
    let Some(commit) = commit else {
        // Before the first commit there is nothing but the index.
        return if *mode == "--soft" { Ok(()) } else { reset_paths(&repository, None, &[".".to_owned()]) };
    };
    let whole = |kind| Ok(repository.reset(commit.as_object(), kind, None)?);
    match *mode {
        "--soft" => whole(ResetType::Soft),
        "--mixed" => whole(ResetType::Mixed),
        "--hard" => links::aside(&repository, || whole(ResetType::Hard)),
        mode => reset_around_changes(&repository, &commit, mode == "--keep"),
    }
}

fn reset_paths(repository: &Repository, commit: Option<&Commit<'_>>, given: &[String]) -> Outcome {
    let wanted = paths::normalized(given, repository.workdir().unwrap_or(Path::new("/")))?;
    let tree = commit.map(Commit::tree).transpose()?;
    let mut index = repository.index()?;
    paths::read_into(&mut index, tree.as_ref(), &wanted)?;
    Ok(index.write()?)
}

/// Moves to a commit and leaves changes of the work tree alone, unless they are in its way.
///
/// What moves is what differs between the commit and the head (`keep`), or the index (merge).
fn reset_around_changes(repository: &Repository, commit: &Commit<'_>, keep: bool) -> Outcome {
    let head = head_commit(repository)?.ok_or_else(|| Failure::fatal("Could not resolve HEAD"))?;
    let target = commit.tree()?;
    let mut index = repository.index()?;
    let before = if keep { paths::of_tree(&head.tree()?, &[])? } else { paths::of_index(&index, &[]) };
    let moving = differing(&before, &paths::of_tree(&target, &[])?);
    let unstaged = Status::WT_MODIFIED | Status::WT_DELETED | Status::WT_TYPECHANGE;
    let staged = Status::INDEX_NEW | Status::INDEX_MODIFIED | Status::INDEX_DELETED | Status::INDEX_TYPECHANGE;
    let in_the_way = if keep { unstaged | staged } else { unstaged };
    let statuses = repository.statuses(Some(StatusOptions::new().include_untracked(false)))?;
    for entry in statuses.iter().filter(|entry| entry.status().intersects(in_the_way)) {
        if moving.contains(entry.path_bytes()) {
            let path = String::from_utf8_lossy(entry.path_bytes());
            return Err(Failure::error(&format!("Entry '{path}' not uptodate. Cannot merge.")));
        }
    }
    if !moving.is_empty() {
        let mut options = CheckoutBuilder::new();
        options.force().disable_pathspec_match(true);
        for path in &moving {
            options.path(path.as_slice());
        }
        repository.checkout_tree(target.as_object(), Some(&mut options))?;
        index.read(true)?;
    }
    paths::read_into(&mut index, Some(&target), &[])?;
    index.write()?;
    move_head(repository, commit.id(), "reset: moving to a commit")
}

/// The paths at which two trees differ.
fn differing(one: &BTreeMap<Vec<u8>, Contents>, other: &BTreeMap<Vec<u8>, Contents>) -> BTreeSet<Vec<u8>> {
    let paths = one.keys().chain(other.keys());
    paths.filter(|path| one.get(*path) != other.get(*path)).cloned().collect()
}
