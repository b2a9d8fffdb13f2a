//! `checkout` of a branch or commit, and `checkout-index`.

use git2::build::CheckoutBuilder;
use git2::{BranchType, Commit, Repository};

use crate::arguments::Arguments;
use crate::failure::{Failure, Outcome};
use crate::links;
use crate::refs::check_branch_name;
use crate::repository::{self, head_branch, head_commit};

/// `checkout NAME`, `checkout --detach COMMIT`, `checkout [--track] -b NAME [START]`.
///
/// Changes of files that are the same in both commits come along; others are in the way, and so are untracked files.
pub(crate) fn checkout(arguments: &Arguments) -> Outcome {
    let (repository, _) = repository::open_with_work_tree()?;
    let from = head_branch(&repository)?.unwrap_or_else(|| "HEAD".to_owned());
    let said = |to: &str| format!("checkout: moving from {from} to {to}");
    match (arguments.has("-b"), &arguments.operands()[..]) {
        (false, [commit]) if arguments.has("--detach") => {
            let commit = repository::commit(&repository, commit)?;
            write_files(&repository, &commit)?;
            detach(&repository, &commit, &said(&commit.id().to_string()))
        }
        (false, [name]) => {
            let branch = repository.find_branch(name, BranchType::Local);
            let branch = branch.map_err(|_| Failure::fatal(&format!("invalid reference: {name}")))?;
            if let Some(path) = holder(&repository, name)? {
                return Err(Failure::fatal(&format!("'{name}' is already checked out at '{path}'")));
            }
            write_files(&repository, &branch.get().peel_to_commit()?)?;
            attach(&repository, name, &said(name))
        }
        (true, [name, start @ ..]) if start.len() < 2 => {
            check_branch_name(name)?;
            if repository.index()?.has_conflicts() {
                return Err(Failure::error("you need to resolve your current index first: a file needs merge"));
            }
            if let Some(other) = in_the_way(&repository, name)? {
                let reason = format!("'{other}' exists; cannot create 'refs/heads/{name}'");
                return Err(Failure::fatal(&format!("cannot lock ref 'refs/heads/{name}': {reason}")));
            }
            if repository.find_branch(name, BranchType::Local).is_ok() {
                return Err(Failure::fatal(&format!("a branch named '{name}' already exists")));
            }
            let commit = match start {
                [start] => Some(repository::commit(&repository, start)?),
                _ => head_commit(&repository)?,
            };
            let commit = commit.ok_or_else(|| Failure::fatal("your current branch does not have any commits yet"))?;
            if !start.is_empty() {
                write_files(&repository, &commit)?;
            }
            let mut branch = repository.branch(name, &commit, false)?;
            if arguments.has("--track") {
                branch.set_upstream(start.first().copied())?;
            }
            attach(&repository, name, &said(name))
        }
        _ => Err(Failure::usage("a branch or commit is needed")),
    }
}

/// The branch that is named like a directory of this one's name, or the other way round.
fn in_the_way(repository: &Repository, name: &str) -> Result<Option<String>, Failure> {
    let begins = |long: &str, short: &str| long.strip_prefix(short).is_some_and(|rest| rest.starts_with('/'));
    for branch in repository.branches(Some(BranchType::Local))? {
        let (branch, _) = branch?;
        let other = String::from_utf8_lossy(branch.name_bytes()?).into_owned();
        if begins(name, &other) || begins(&other, name) {
            return Ok(Some(format!("refs/heads/{other}")));
        }
    }
    Ok(None)
}

/// The other work tree of the repository that has a branch checked out.
fn holder(repository: &Repository, branch: &str) -> Result<Option<String>, Failure> {
    let here = repository.path().to_owned();
    let main = Repository::open(repository.commondir()).ok();
    let linked = repository.worktrees()?;
    let linked = linked.iter().filter_map(|name| {
        let name = name.ok().flatten()?;
        Repository::open_from_worktree(&repository.find_worktree(name).ok()?).ok()
    });
    for other in main.into_iter().chain(linked).filter(|other| other.path() != here) {
        if head_branch(&other)?.as_deref() == Some(branch) {
            let place = other.workdir().unwrap_or_else(|| other.path());
            return Ok(Some(place.display().to_string()));
        }
    }
    Ok(None)
}

/// Makes index and work tree those of a commit, as far as nothing is in the way.
pub(crate) fn write_files(repository: &Repository, commit: &Commit<'_>) -> Outcome {
    links::aside(repository, || Ok(repository.checkout_tree(commit.as_object(), Some(CheckoutBuilder::new().safe()))?))
}

fn attach(repository: &Repository, branch: &str, why: &str) -> Outcome {
    repository.reference_symbolic("HEAD", &format!("refs/heads/{branch}"), true, why)?;
    Ok(())
}

fn detach(repository: &Repository, commit: &Commit<'_>, why: &str) -> Outcome {
    repository.set_head_detached(commit.id())?;
    repository.reference("HEAD", commit.id(), true, why)?;
    Ok(())
}

/// `checkout-index --all`: writes the files that are not there.
pub(crate) fn checkout_index(arguments: &Arguments) -> Outcome {
    if !arguments.has("--all") {
        return Err(Failure::usage("it is done for all files"));
    }
    let (repository, _) = repository::open_with_work_tree()?;
    let mut options = CheckoutBuilder::new();
    options.safe().recreate_missing(true).allow_conflicts(true);
    Ok(repository.checkout_index(None, Some(&mut options))?)
}
