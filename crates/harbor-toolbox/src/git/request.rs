//! What the git routes have in common: bodies, required texts, and the repository a request names.

use std::path::{Path, PathBuf};

use axum::extract::Request;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::run::Git;
use crate::context::Context;
use crate::http::error::Error;
use crate::http::json;

/// The query of the routes that read a repository: its path.
#[derive(Deserialize)]
pub(super) struct RepositoryPath {
    #[serde(default)]
    path: String,
}

impl RepositoryPath {
    /// The path given; 400 without one.
    pub(super) fn path(&self) -> Result<&str, Error> {
        if self.path.is_empty() { Err(Error::bad_request("path is required")) } else { Ok(&self.path) }
    }
}

/// Most bytes of paths handed to one command line.
const LINE: usize = 64 << 10;

/// The decoded body of a request.
pub(super) async fn body<T: DeserializeOwned>(request: Request) -> Result<T, Error> {
    json::decode(&json::read(request).await?).map_err(|error| invalid(&error.to_string()))
}

fn invalid(reason: &str) -> Error {
    Error::invalid_body(format!("invalid request body: {reason}"))
}

/// Refuses a body in which one of these texts is missing or empty.
pub(super) fn require(fields: &[(&str, &str)]) -> Result<(), Error> {
    match fields.iter().find(|(_, value)| value.is_empty()) {
        None => Ok(()),
        Some((name, _)) => Err(invalid(&format!("{name} is required"))),
    }
}

/// Refuses what a command would take for an option, and what no argument can hold.
pub(super) fn check_name(what: &str, name: &str) -> Result<(), Error> {
    if name.starts_with('-') || name.contains(['\0', '\n']) {
        return Err(Error::bad_request(format!("invalid {what}: {name:?}")));
    }
    Ok(())
}

/// A repository: the directory itself, no parent of it.
pub(super) struct Repository<'a> {
    context: &'a Context,
    root: PathBuf,
}

impl<'a> Repository<'a> {
    /// The repository at `path`, which is 404 when there is none.
    pub(super) fn open(context: &'a Context, path: &str) -> Result<Self, Error> {
        let missing = || Error::not_found(format!("no git repository at {path}")).with_code("GIT_REPO_NOT_FOUND");
        let root = context.resolve(path).canonicalize().map_err(|_| missing())?;
        if is_repository(&root) { Ok(Self { context, root }) } else { Err(missing()) }
    }

    /// Git in this repository.
    pub(super) fn git(&self) -> Git<'a> {
        Git::new(self.context, &self.root)
    }

    /// The current branch, also one without commits; none when the head is detached.
    pub(super) async fn current_branch(&self) -> Result<Option<String>, Error> {
        let head = self.git().attempt(&["symbolic-ref", "--quiet", "HEAD"], b"").await?;
        Ok(head.line().strip_prefix("refs/heads/").map(str::to_owned))
    }

    /// Whether a name such as `refs/heads/main` exists.
    pub(super) async fn has_ref(&self, name: &str) -> Result<bool, Error> {
        self.git().test(&["show-ref", "--verify", "--quiet", name]).await
    }

    /// Makes a branch follow that of the same name on a remote, which has been fetched or pushed to.
    ///
    /// A clone of one branch fetches that one alone; this one is added to it.
    pub(super) async fn follow(&self, remote: &str, branch: &str) -> Result<(), Error> {
        let upstream = format!("--set-upstream-to=refs/remotes/{remote}/{branch}");
        let set = ["branch", "--quiet", &upstream, "--", branch];
        if self.git().test(&set).await? {
            return Ok(());
        }
        self.git().run(&["remote", "set-branches", "--add", "--", remote, branch]).await?;
        let (theirs, ours) = (format!("refs/remotes/{remote}/{branch}"), format!("refs/heads/{branch}"));
        if !self.has_ref(&theirs).await? {
            self.git().run(&["update-ref", &theirs, &ours]).await?;
        }
        self.git().run(&set).await.map(drop)
    }

    /// Whether tracked files differ from the last commit.
    pub(super) async fn is_dirty(&self) -> Result<bool, Error> {
        let changes = self.git().run(&["status", "--porcelain", "-z", "--untracked-files=no"]).await?;
        Ok(!changes.output.is_empty())
    }
}

/// Whether `directory` is a work tree with a repository, or a bare repository.
pub(super) fn is_repository(directory: &Path) -> bool {
    let bare = || ["HEAD", "objects", "refs"].iter().all(|name| directory.join(name).exists());
    directory.join(".git").exists() || bare()
}

/// Paths in groups that fit on a command line.
pub(super) fn groups(paths: &[String]) -> Result<Vec<Vec<&str>>, Error> {
    let mut groups: Vec<Vec<&str>> = Vec::new();
    let mut length = LINE;
    for path in paths {
        if path.is_empty() || path.contains('\0') {
            return Err(Error::bad_request(format!("invalid path: {path:?}")));
        }
        if Path::new(path).is_absolute() {
            return Err(Error::bad_request(format!("paths are relative to the repository: {path:?}")));
        }
        length += path.len() + 1;
        if length > LINE {
            groups.push(Vec::new());
            length = path.len() + 1;
        }
        if let Some(group) = groups.last_mut() {
            group.push(path);
        }
    }
    Ok(groups)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_paths_go_on_several_lines_in_order() {
        let paths: Vec<String> = (0..10_000).map(|number| format!("directory/file-{number}")).collect();
        let groups = groups(&paths).unwrap();
        assert!(groups.len() > 2);
        assert!(groups.iter().all(|group| group.iter().map(|path| path.len() + 1).sum::<usize>() <= LINE));
        assert_eq!(groups.concat(), paths);
    }

    #[test]
    fn paths_that_name_no_file_of_the_repository_are_refused() {
        for path in ["", "/etc/passwd", "a\0b"] {
            groups(&[path.to_owned()]).unwrap_err();
        }
        assert!(groups(&[]).unwrap().is_empty());
    }
}
