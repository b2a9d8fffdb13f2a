//! Push and pull (contract, toolbox §12.7).

use axum::extract::{Request, State};
use http::StatusCode;
use serde::Deserialize;

use super::clone::login_for;
use super::credentials::Credentials;
use super::request::{Repository, body, check_name, require};
use crate::context::Context;
use crate::http::error::Error;

#[derive(Default, Deserialize)]
#[serde(default)]
struct Sync {
    path: String,
    username: Option<String>,
    password: Option<String>,
    branch: Option<String>,
    remote: Option<String>,
    set_upstream: bool,
}

impl Sync {
    async fn read(request: Request) -> Result<Self, Error> {
        let mut wanted: Self = body(request).await?;
        require(&[("path", &wanted.path)])?;
        wanted.branch = wanted.branch.filter(|branch| !branch.is_empty());
        check_name("branch", wanted.branch.as_deref().unwrap_or_default())?;
        check_name("remote", wanted.remote())?;
        Ok(wanted)
    }

    fn remote(&self) -> &str {
        self.remote.as_deref().filter(|remote| !remote.is_empty()).unwrap_or("origin")
    }

    /// Credentials for the remote's address, when both user name and password are given. 404 without such a remote.
    async fn credentials(&self, repository: &Repository<'_>, which: &[&str]) -> Result<Option<Credentials>, Error> {
        let asking = [&["remote", "get-url"], which, &["--", self.remote()]].concat();
        let address = repository.git().attempt(&asking, b"").await?;
        if !address.succeeded() {
            return Err(Error::not_found(format!("remote not found: {}", self.remote())));
        }
        login_for(&address.line(), self.username.clone().zip(self.password.clone()))
    }
}

/// Sends one branch, the current one if none is named, to the same name on the remote.
pub(super) async fn push(State(context): State<Context>, request: Request) -> Result<StatusCode, Error> {
    let wanted = Sync::read(request).await?;
    let repository = Repository::open(&context, &wanted.path)?;
    let credentials = wanted.credentials(&repository, &["--push"]).await?;
    let branch = match wanted.branch.clone() {
        Some(branch) => branch,
        None => repository
            .current_branch()
            .await?
            .ok_or_else(|| Error::conflict("the head is detached: there is no current branch to push; name one"))?,
    };
    let refspec = format!("refs/heads/{branch}:refs/heads/{branch}");
    let arguments = ["push", "--quiet", "--no-verify", "--", wanted.remote(), &refspec];
    repository.git().remote(credentials.as_ref()).run(&arguments).await?;
    if wanted.set_upstream {
        repository.follow(wanted.remote(), &branch).await?;
    }
    Ok(StatusCode::OK)
}

/// Fetches one branch and moves the head forward to it; never merges.
pub(super) async fn pull(State(context): State<Context>, request: Request) -> Result<StatusCode, Error> {
    let wanted = Sync::read(request).await?;
    let repository = Repository::open(&context, &wanted.path)?;
    let credentials = wanted.credentials(&repository, &[]).await?;
    let refspec = match branch_to_pull(&repository, &wanted).await? {
        Some(branch) => format!("+refs/heads/{branch}:refs/remotes/{}/{branch}", wanted.remote()),
        None => "HEAD".to_owned(),
    };
    let git = repository.git();
    let arguments = ["fetch", "--quiet", "--", wanted.remote(), &refspec];
    git.clone().remote(credentials.as_ref()).run(&arguments).await?;
    if git.test(&["merge-base", "--is-ancestor", "FETCH_HEAD", "HEAD"]).await? {
        return Ok(StatusCode::OK);
    }
    if repository.is_dirty().await? {
        let message = "cannot pull: the worktree contains local changes";
        return Err(Error::conflict(message).with_code("GIT_DIRTY_WORKTREE"));
    }
    git.run(&["merge", "--quiet", "--ff-only", "--no-verify-signatures", "FETCH_HEAD"]).await?;
    Ok(StatusCode::OK)
}

/// The named branch, else what the current one follows on that remote, else its own name; none on a detached head.
async fn branch_to_pull(repository: &Repository<'_>, wanted: &Sync) -> Result<Option<String>, Error> {
    if wanted.branch.is_some() {
        return Ok(wanted.branch.clone());
    }
    let Some(current) = repository.current_branch().await? else { return Ok(None) };
    let setting = async |name: &str| {
        let key = format!("branch.{current}.{name}");
        Ok::<_, Error>(repository.git().attempt(&["config", "--get", &key], b"").await?.line())
    };
    if setting("remote").await? == wanted.remote() {
        let followed = setting("merge").await?;
        if let Some(branch) = followed.strip_prefix("refs/heads/").filter(|branch| !branch.is_empty()) {
            return Ok(Some(branch.to_owned()));
        }
    }
    Ok(Some(current))
}
