//! Branches: list, create, delete, check out (contract, toolbox §12.5).

use axum::extract::{Query, Request, State};
use http::StatusCode;
use serde::{Deserialize, Serialize};

use super::request::{Repository, RepositoryPath, body, check_name, require};
use crate::context::Context;
use crate::http::error::Error;
use crate::http::json::Json;

#[derive(Serialize)]
pub(super) struct Branches {
    branches: Vec<String>,
    current: String,
}

pub(super) async fn list(
    State(context): State<Context>,
    Query(wanted): Query<RepositoryPath>,
) -> Result<Json<Branches>, Error> {
    const LOCAL: &str = "refs/heads/";
    let repository = Repository::open(&context, wanted.path()?)?;
    let printed = repository.git().run(&["for-each-ref", "--format=%(refname)", LOCAL]).await?;
    let names = String::from_utf8_lossy(&printed.output).into_owned();
    let branches = names.lines().filter_map(|name| name.strip_prefix(LOCAL)).map(str::to_owned).collect();
    let current = repository.current_branch().await?.unwrap_or_default();
    Ok(Json(Branches { branches, current }))
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Named {
    path: String,
    name: String,
}

/// Creates a branch from the head and switches to it; local changes come along.
pub(super) async fn create(State(context): State<Context>, request: Request) -> Result<StatusCode, Error> {
    let Named { path, name } = body(request).await?;
    require(&[("path", &path), ("name", &name)])?;
    check_name("branch name", &name)?;
    let repository = Repository::open(&context, &path)?;
    if !repository.git().test(&["rev-parse", "--verify", "--quiet", "HEAD^{commit}"]).await? {
        return Err(Error::not_found("the repository has no commit to branch from"));
    }
    repository.git().run(&["checkout", "--quiet", "-b", &name]).await?;
    Ok(StatusCode::CREATED)
}

/// Deletes a branch, merged or not.
pub(super) async fn delete(State(context): State<Context>, request: Request) -> Result<StatusCode, Error> {
    let Named { path, name } = body(request).await?;
    require(&[("path", &path), ("name", &name)])?;
    check_name("branch name", &name)?;
    let repository = Repository::open(&context, &path)?;
    if !repository.has_ref(&format!("refs/heads/{name}")).await? {
        return Err(unknown(&name));
    }
    if repository.current_branch().await?.as_ref() == Some(&name) {
        return Err(Error::conflict(format!("cannot delete branch '{name}': it is checked out")));
    }
    repository.git().run(&["branch", "--quiet", "-D", "--", &name]).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Checkout {
    path: String,
    branch: String,
}

/// Switches to a local branch, a branch of a remote, or a commit by its full hash.
pub(super) async fn checkout(State(context): State<Context>, request: Request) -> Result<StatusCode, Error> {
    let Checkout { path, branch } = body(request).await?;
    require(&[("path", &path), ("branch", &branch)])?;
    check_name("branch name", &branch)?;
    let repository = Repository::open(&context, &path)?;
    let target = Target::find(&repository, &branch).await?.ok_or_else(|| unknown(&branch))?;
    if repository.is_dirty().await? {
        let message = format!("cannot check out '{branch}': the worktree contains local changes");
        return Err(Error::conflict(message).with_code("GIT_DIRTY_WORKTREE"));
    }
    let git = repository.git();
    match target {
        Target::Branch(name) => git.run(&["checkout", "--quiet", &name, "--"]).await?,
        Target::Commit(hash) => git.run(&["checkout", "--quiet", "--detach", &hash]).await?,
        Target::Remote { remote, branch } => {
            let done =
                git.run(&["checkout", "--quiet", "--no-track", "-b", &branch, &format!("{remote}/{branch}")]).await?;
            repository.follow(&remote, &branch).await?;
            done
        }
    };
    Ok(StatusCode::OK)
}

/// What a name given to a checkout names.
enum Target {
    Branch(String),
    Commit(String),
    /// A branch of a remote that there is no local branch for.
    Remote {
        remote: String,
        branch: String,
    },
}

impl Target {
    async fn find(repository: &Repository<'_>, name: &str) -> Result<Option<Self>, Error> {
        if repository.has_ref(&format!("refs/heads/{name}")).await? {
            return Ok(Some(Self::Branch(name.to_owned())));
        }
        if is_full_hash(name) {
            let known = repository.git().test(&["cat-file", "-e", &format!("{name}^{{commit}}")]).await?;
            return Ok(known.then(|| Self::Commit(name.to_owned())));
        }
        let remotes = repository.git().run(&["remote"]).await?;
        for remote in String::from_utf8_lossy(&remotes.output).lines() {
            let branch = name.strip_prefix(remote).and_then(|rest| rest.strip_prefix('/')).unwrap_or(name);
            if !repository.has_ref(&format!("refs/remotes/{remote}/{branch}")).await? {
                continue;
            }
            if repository.has_ref(&format!("refs/heads/{branch}")).await? {
                return Ok(Some(Self::Branch(branch.to_owned())));
            }
            return Ok(Some(Self::Remote { remote: remote.to_owned(), branch: branch.to_owned() }));
        }
        Ok(None)
    }
}

/// Whether this is the whole hash of an object, of either kind of hash.
pub(super) fn is_full_hash(text: &str) -> bool {
    matches!(text.len(), 40 | 64) && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn unknown(name: &str) -> Error {
    Error::not_found(format!("no branch or commit '{name}'")).with_code("GIT_BRANCH_NOT_FOUND")
}
