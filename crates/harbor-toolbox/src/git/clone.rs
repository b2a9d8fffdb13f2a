//! `POST /git/clone` and `POST /git/init` (contract, toolbox §12.2 and §12.8).
//!
//! Guarantees: a failed clone removes what it made; files that are there already stay as they are; a clone goes on to
//! its end when the caller goes away, so that none is left half done.

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};

use axum::extract::{Request, State};
use http::StatusCode;
use serde::Deserialize;
use tokio::task::spawn_blocking;
use uuid::Uuid;

use super::branches::is_full_hash;
use super::credentials::Credentials;
use super::request::{body, check_name, is_repository, require};
use super::run::Git;
use super::source::{Source, credentials_for};
use crate::context::Context;
use crate::http::error::Error;
use crate::process::command::on_path;

/// Most branches of a remote that an error names.
const BRANCHES: usize = 10;

#[derive(Default, Deserialize)]
#[serde(default)]
struct Clone {
    url: String,
    path: String,
    branch: Option<String>,
    commit_id: Option<String>,
    username: Option<String>,
    password: Option<String>,
    insecure_skip_tls: bool,
    depth: Option<i64>,
}

pub(super) async fn clone(State(context): State<Context>, request: Request) -> Result<StatusCode, Error> {
    let mut wanted: Clone = body(request).await?;
    require(&[("url", &wanted.url), ("path", &wanted.path)])?;
    for text in [&mut wanted.branch, &mut wanted.commit_id] {
        *text = text.take().filter(|text| !text.is_empty());
    }
    check_name("url", &wanted.url)?;
    check_name("branch", wanted.branch.as_deref().unwrap_or_default())?;
    if wanted.depth.is_some_and(|depth| depth < 0) {
        return Err(Error::bad_request("depth must not be negative"));
    }
    let owner = context.clone();
    let cloning = context.processes().chores().spawn(async move { perform(&owner, wanted).await });
    cloning.await.map_err(|error| Error::internal(error.to_string()))?
}

async fn perform(context: &Context, wanted: Clone) -> Result<StatusCode, Error> {
    let target = context.resolve(&wanted.path);
    let destination = Destination::prepare(&target).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => Error::conflict(format!("repository already exists: {}", wanted.path)),
        io::ErrorKind::PermissionDenied => cannot_make(&target, &error, Error::forbidden),
        _ => cannot_make(&target, &error, Error::bad_request),
    })?;
    if let Err(error) = fetch(context, &wanted, &destination).await {
        destination.clean_up().await;
        return Err(error);
    }
    if destination.is_beside() {
        adopt(context, &destination).await?;
    }
    match &wanted.commit_id {
        Some(commit) => check_out_commit(context, &wanted, &target, commit).await,
        None => Ok(StatusCode::OK),
    }
}

fn cannot_make(target: &Path, error: &io::Error, class: fn(String) -> Error) -> Error {
    class(format!("cannot clone to {}: {error}", target.display()))
}

/// Where a clone goes.
struct Destination {
    /// What the caller named.
    target: PathBuf,
    /// Where git clones to: the same, or a directory in it when files are there already.
    clone: PathBuf,
    /// Directories that did not exist before, innermost first.
    made: Vec<PathBuf>,
}

impl Destination {
    /// Makes the parents of `target`. A repository there is `AlreadyExists`.
    fn prepare(target: &Path) -> io::Result<Self> {
        if is_repository(target) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let made = target.ancestors().take_while(|path| path.symlink_metadata().is_err());
        let made: Vec<_> = made.map(Path::to_owned).collect();
        std::fs::create_dir_all(target)?;
        let occupied = std::fs::read_dir(target)?.next().is_some();
        let name = format!(".clone-{}", Uuid::new_v4().simple());
        let clone = if occupied { target.join(name) } else { target.to_owned() };
        Ok(Self { target: target.to_owned(), clone, made })
    }

    fn is_beside(&self) -> bool {
        self.clone != self.target
    }

    /// Removes what git left and what [`Destination::prepare`] made. What cannot be removed stays.
    async fn clean_up(self) {
        let removing = spawn_blocking(move || {
            if self.is_beside() {
                let _ = std::fs::remove_dir_all(&self.clone);
            } else if let Ok(entries) = std::fs::read_dir(&self.clone) {
                for entry in entries.flatten() {
                    let path = entry.path();
                    let _ = std::fs::remove_dir_all(&path).or_else(|_| std::fs::remove_file(&path));
                }
            }
            // Stops at the first that somebody else has put something into.
            let _ = self.made.iter().try_for_each(std::fs::remove_dir);
        });
        // It only ends early with the toolbox itself.
        let _ = removing.await;
    }
}

/// Clones to the destination. What the remote lacks is an error, though git does not always think so.
async fn fetch(context: &Context, wanted: &Clone, destination: &Destination) -> Result<(), Error> {
    let source = Source::parse(&wanted.url, &context.work_dir());
    let git = Git::new(context, &destination.target);
    // Settings of the sandbox may send git to another address than the one given.
    let address = git.run(&["ls-remote", "--get-url", "--", &source.address]).await?.line();
    let credentials = credentials(wanted, source.login, &address)?;
    let git = without_missing_lfs(context, with_tls(git.remote(credentials.as_ref()), wanted));
    let (depth, to) = (wanted.depth.unwrap_or(0).to_string(), destination.clone.to_string_lossy());
    let mut arguments = vec!["clone", "--quiet", "--single-branch", "--no-local", "--origin", "origin"];
    if destination.is_beside() {
        arguments.push("--no-checkout");
    }
    if let Some(branch) = &wanted.branch {
        arguments.extend(["--branch", branch]);
    }
    if depth != "0" {
        arguments.extend(["--depth", &depth]);
    }
    arguments.extend(["--", &source.address, &to]);
    git.run(&arguments).await?;
    let made = Git::new(context, &destination.clone);
    if !made.test(&["rev-parse", "--verify", "--quiet", "HEAD^{commit}"]).await? {
        return Err(nothing_to_check_out(&git, &source.address).await);
    }
    // Git takes the name of a tag as well.
    let head = made.attempt(&["symbolic-ref", "--quiet", "--short", "HEAD"], b"").await?.line();
    match &wanted.branch {
        Some(branch) if *branch != head => {
            let message = format!("Remote branch {branch} not found in upstream origin");
            Err(Error::not_found(message).with_code("GIT_BRANCH_NOT_FOUND"))
        }
        _ => Ok(()),
    }
}

/// Why a clone without a branch to choose has no commit: there is none, or the remote's HEAD leads nowhere.
async fn nothing_to_check_out(git: &Git<'_>, address: &str) -> Error {
    let heads = match git.run(&["ls-remote", "--heads", "--", address]).await {
        Ok(listed) => listed.line(),
        Err(error) => return error,
    };
    let branches: Vec<_> =
        heads.lines().filter_map(|line| line.split_once("refs/heads/")).map(|(_, name)| name).collect();
    if branches.is_empty() {
        return Error::not_found("the remote repository is empty").with_code("GIT_REPO_NOT_FOUND");
    }
    let some = branches[..branches.len().min(BRANCHES)].join(", ");
    Error::not_found(format!("the remote's HEAD names a branch that it does not have; name one that it has: {some}"))
        .with_code("GIT_BRANCH_NOT_FOUND")
}

fn credentials(wanted: &Clone, login: Option<(String, String)>, address: &str) -> Result<Option<Credentials>, Error> {
    let given = wanted.username.clone().zip(wanted.password.clone());
    login_for(address, given.or(login))
}

/// Credentials for a remote's address, when there is a user name and password for it.
pub(super) fn login_for(address: &str, login: Option<(String, String)>) -> Result<Option<Credentials>, Error> {
    let Some((username, password)) = login else { return Ok(None) };
    if [&username, &password].into_iter().any(|text| text.contains(['\0', '\n', '\r'])) {
        return Err(Error::bad_request("user name and password must each be one line"));
    }
    Ok(credentials_for(address, username, password))
}

fn with_tls<'a>(git: Git<'a>, wanted: &Clone) -> Git<'a> {
    if wanted.insecure_skip_tls { git.with_variable("GIT_SSL_NO_VERIFY", "true") } else { git }
}

/// Settings that leave large files alone.
const WITHOUT_LFS: [&str; 3] = ["filter.lfs.required=false", "filter.lfs.process=", "filter.lfs.smudge="];

/// Large files stay the pointers that they are in the repository where the program that fetches them is missing; without
/// this their absence would undo the clone.
fn without_missing_lfs<'a>(context: &Context, git: Git<'a>) -> Git<'a> {
    let is_there = on_path(OsStr::new("git-lfs"), &context.environment()).is_some();
    if is_there { git } else { WITHOUT_LFS.into_iter().fold(git, Git::with_setting) }
}

/// Moves a clone without files into the directory around it and writes the files that are not there.
async fn adopt(context: &Context, destination: &Destination) -> Result<(), Error> {
    let moved = std::fs::rename(destination.clone.join(".git"), destination.target.join(".git"))
        .and_then(|()| std::fs::remove_dir(&destination.clone));
    moved.map_err(|error| Error::internal(format!("cannot clone to {}: {error}", destination.target.display())))?;
    let git = Git::new(context, &destination.target);
    git.run(&["reset", "--quiet"]).await?;
    // It counts files that are there as failures, but writes all others.
    git.attempt(&["checkout-index", "--all", "--index", "--quiet"], b"").await?;
    Ok(())
}

/// Leaves the clone at one of its commits. What does not work is told; the clone stays.
async fn check_out_commit(context: &Context, wanted: &Clone, target: &Path, commit: &str) -> Result<StatusCode, Error> {
    let unknown = || Error::not_found(format!("no commit {commit} in the cloned branch"));
    if !is_full_hash(commit) {
        return Err(unknown());
    }
    let git = Git::new(context, target);
    let reachable = git.test(&["merge-base", "--is-ancestor", commit, "HEAD"]).await?;
    if !reachable {
        // Beyond the depth of a shallow clone it may still be had on its own.
        let depth = wanted.depth.filter(|&depth| depth > 0).ok_or_else(unknown)?;
        let source = Source::parse(&wanted.url, &context.work_dir());
        let address = git.run(&["remote", "get-url", "origin"]).await?.line();
        let credentials = credentials(wanted, source.login, &address)?;
        let git = with_tls(git.clone().remote(credentials.as_ref()), wanted);
        let depth = format!("--depth={depth}");
        git.run(&["fetch", "--quiet", &depth, "origin", commit]).await.map_err(|_| unknown())?;
    }
    git.run(&["checkout", "--quiet", "--detach", commit]).await?;
    Ok(StatusCode::OK)
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Init {
    path: String,
    bare: bool,
    initial_branch: Option<String>,
}

/// Makes a repository, and the directories to it; one that is there stays as it is.
pub(super) async fn init(State(context): State<Context>, request: Request) -> Result<StatusCode, Error> {
    let Init { path, bare, initial_branch } = body(request).await?;
    require(&[("path", &path)])?;
    let branch = initial_branch.filter(|branch| !branch.is_empty());
    check_name("branch name", branch.as_deref().unwrap_or_default())?;
    // Before anything is made; so it also shows whether there is a git at all.
    let name = branch.as_deref().unwrap_or("main");
    if !Git::new(&context, Path::new("/")).test(&["check-ref-format", "--branch", name]).await? {
        return Err(Error::bad_request(format!("'{name}' is not a valid branch name")));
    }
    let target = context.resolve(&path);
    let existed = is_repository(&target);
    std::fs::create_dir_all(&target).map_err(|error| match error.kind() {
        io::ErrorKind::PermissionDenied => Error::forbidden(format!("cannot make {path}: {error}")),
        _ => Error::bad_request(format!("cannot make {path}: {error}")),
    })?;
    let git = Git::new(&context, &target);
    git.run(if bare { &["init", "--quiet", "--bare"] } else { &["init", "--quiet"] }).await?;
    if let Some(branch) = branch.filter(|_| !existed) {
        git.run(&["symbolic-ref", "HEAD", &format!("refs/heads/{branch}")]).await?;
    }
    Ok(StatusCode::CREATED)
}
