//! Changes of work tree and index: add, commit, reset, restore (contract, toolbox §12.6 and §12.8).

use axum::extract::{Request, State};
use http::StatusCode;
use serde::{Deserialize, Serialize};

use super::failure;
use super::request::{Repository, body, check_name, groups, require};
use crate::context::Context;
use crate::http::error::Error;
use crate::http::json::Json;

#[derive(Default, Deserialize)]
#[serde(default)]
struct Add {
    path: String,
    files: Option<Vec<String>>,
}

/// Stages files, directories and deletions; `.` is everything.
pub(super) async fn add(State(context): State<Context>, request: Request) -> Result<StatusCode, Error> {
    let Add { path, files } = body(request).await?;
    require(&[("path", &path), ("files", if files.is_some() { "given" } else { "" })])?;
    let repository = Repository::open(&context, &path)?;
    for group in groups(&files.unwrap_or_default())? {
        repository.git().run(&[&["add", "--all", "--"], group.as_slice()].concat()).await?;
    }
    Ok(StatusCode::OK)
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct NewCommit {
    path: String,
    message: String,
    author: String,
    email: String,
    allow_empty: bool,
}

#[derive(Serialize)]
pub(super) struct Committed {
    hash: String,
}

/// Commits what is staged, with the message exactly as given.
pub(super) async fn commit(State(context): State<Context>, request: Request) -> Result<Json<Committed>, Error> {
    let NewCommit { path, message, author, email, allow_empty } = body(request).await?;
    require(&[("path", &path), ("message", &message), ("author", &author), ("email", &email)])?;
    if [&author, &email].into_iter().any(|text| text.contains('\0')) {
        return Err(Error::bad_request("the author must not contain NUL"));
    }
    let repository = Repository::open(&context, &path)?;
    let mut git = repository.git().with_setting("i18n.commitEncoding=UTF-8");
    for who in ["AUTHOR", "COMMITTER"] {
        git = git.with_variable(&format!("GIT_{who}_NAME"), &author).with_variable(&format!("GIT_{who}_EMAIL"), &email);
    }
    let options = ["commit", "--file=-", "--cleanup=verbatim", "--allow-empty-message", "--no-verify", "--no-gpg-sign"];
    let options = [options.as_slice(), if allow_empty { &["--allow-empty"] } else { &[] }].concat();
    let done = git.attempt(&options, message.as_bytes()).await?;
    if !done.succeeded() {
        // It says that there is nothing to commit on standard output, as part of a status.
        let empty = done.code == 1 && done.messages.trim().is_empty();
        return Err(if empty { nothing_to_commit() } else { failure::error(done.code, &done.messages) });
    }
    let hash = repository.git().run(&["rev-parse", "--verify", "HEAD"]).await?.line();
    Ok(Json(Committed { hash }))
}

fn nothing_to_commit() -> Error {
    Error::conflict("cannot create empty commit: nothing is staged (set allow_empty to commit all the same)")
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Reset {
    path: String,
    mode: Option<String>,
    target: Option<String>,
    files: Option<Vec<String>>,
}

pub(super) async fn reset(State(context): State<Context>, request: Request) -> Result<StatusCode, Error> {
    let Reset { path, mode, target, files } = body(request).await?;
    require(&[("path", &path)])?;
    let mode = mode.filter(|mode| !mode.is_empty()).unwrap_or_else(|| "mixed".to_owned());
    if !["soft", "mixed", "hard", "merge", "keep"].contains(&mode.as_str()) {
        return Err(Error::bad_request(format!("unknown mode {mode:?}; it is soft, mixed, hard, merge or keep")));
    }
    let target = target.filter(|target| !target.is_empty());
    check_name("target", target.as_deref().unwrap_or_default())?;
    let files = files.unwrap_or_default();
    if !files.is_empty() && mode != "mixed" {
        return Err(Error::bad_request(format!("a {mode} reset cannot be constrained to files")));
    }
    let repository = Repository::open(&context, &path)?;
    if let Some(target) = &target {
        let commit = format!("{target}^{{commit}}");
        repository
            .git()
            .run(&["rev-parse", "--verify", "--quiet", &commit])
            .await
            .map_err(|_| Error::not_found(format!("no commit '{target}'")).with_code("GIT_BRANCH_NOT_FOUND"))?;
    }
    let target: Vec<_> = target.iter().map(String::as_str).collect();
    if files.is_empty() {
        let mode = format!("--{mode}");
        repository.git().run(&[&["reset", "--quiet", &mode], target.as_slice(), &["--"]].concat()).await?;
    }
    for group in groups(&files)? {
        repository.git().run(&[&["reset", "--quiet"], target.as_slice(), &["--"], &group].concat()).await?;
    }
    Ok(StatusCode::OK)
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Restore {
    path: String,
    files: Option<Vec<String>>,
    staged: bool,
    worktree: bool,
    source: Option<String>,
}

pub(super) async fn restore(State(context): State<Context>, request: Request) -> Result<StatusCode, Error> {
    let Restore { path, files, staged, worktree, source } = body(request).await?;
    require(&[("path", &path), ("files", if files.is_some() { "given" } else { "" })])?;
    let source = source.filter(|source| !source.is_empty());
    check_name("source", source.as_deref().unwrap_or_default())?;
    let repository = Repository::open(&context, &path)?;
    let source = source.map(|source| format!("--source={source}"));
    let mut options = vec!["restore", "--quiet"];
    options.extend(source.as_deref());
    if staged {
        options.push("--staged");
    }
    if worktree || !staged {
        options.push("--worktree");
    }
    options.push("--");
    for group in groups(&files.unwrap_or_default())? {
        repository.git().run(&[options.as_slice(), &group].concat()).await?;
    }
    Ok(StatusCode::OK)
}
