//! The repository a command is run in.

use std::path::{Path, PathBuf};

use git2::{Commit, ErrorCode, ObjectType, Oid, Reference, Repository};

use crate::failure::Failure;

/// The repository in the current directory; no parent of it is searched.
pub(crate) fn open() -> Result<Repository, Failure> {
    Repository::open(".").map_err(|error| match error.code() {
        ErrorCode::NotFound => Failure::fatal("not a git repository"),
        _ => error.into(),
    })
}

/// The same, if it has a work tree; returns that as well.
pub(crate) fn open_with_work_tree() -> Result<(Repository, PathBuf), Failure> {
    let repository = open()?;
    let work_tree = repository.workdir().map(Path::to_owned);
    let work_tree = work_tree.ok_or_else(|| Failure::fatal("this operation must be run in a work tree"))?;
    Ok((repository, work_tree))
}

/// The commit that HEAD names; none in a repository without commits.
pub(crate) fn head_commit(repository: &Repository) -> Result<Option<Commit<'_>>, Failure> {
    match repository.head() {
        Ok(head) => Ok(Some(head.peel_to_commit()?)),
        Err(error) if matches!(error.code(), ErrorCode::UnbornBranch | ErrorCode::NotFound) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// The name of the branch that HEAD names, also of one without commits; none when it is detached.
pub(crate) fn head_branch(repository: &Repository) -> Result<Option<String>, Failure> {
    let head = repository.find_reference("HEAD")?;
    Ok(target_of(&head).and_then(|name| name.strip_prefix("refs/heads/").map(str::to_owned)))
}

/// What a symbolic reference names.
pub(crate) fn target_of(reference: &Reference<'_>) -> Option<String> {
    reference.symbolic_target_bytes().map(|name| String::from_utf8_lossy(name).into_owned())
}

/// The commit that a text names.
pub(crate) fn commit<'a>(repository: &'a Repository, text: &str) -> Result<Commit<'a>, Failure> {
    let found = repository.revparse_single(text).and_then(|object| object.peel(ObjectType::Commit));
    let found = found.map_err(|_| Failure::fatal(&format!("Not a valid object name {text}")))?;
    found.into_commit().map_err(|_| Failure::fatal(&format!("Not a valid object name {text}")))
}

/// Moves what HEAD stands for, its branch or itself, to a commit.
pub(crate) fn move_head(repository: &Repository, to: Oid, why: &str) -> Result<(), Failure> {
    let head = repository.find_reference("HEAD")?;
    let name = target_of(&head).unwrap_or_else(|| "HEAD".to_owned());
    repository.reference(&name, to, true, why)?;
    Ok(())
}
