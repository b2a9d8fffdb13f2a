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
            write_files(&repository, &branch.get().peel_to_commit()?)?;
            attach(&repository, name, &said(name))
        }
        (true, [name, start @ ..]) if start.len() < 2 => {
            check_branch_name(name)?;
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
