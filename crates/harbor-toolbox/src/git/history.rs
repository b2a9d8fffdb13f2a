//! `GET /git/history` (contract, toolbox §12.4), and the reader of what `git log` prints.

use axum::extract::{Query, State};
use serde::Serialize;

use super::request::{Repository, RepositoryPath};
use crate::context::Context;
use crate::http::error::Error;
use crate::http::json::Json;

/// Hash, author, address, time and message of a commit, each closed by NUL; `git log -z` adds one more.
const FORMAT: &str = "--format=tformat:%H%x00%an%x00%ae%x00%aI%x00%B";

#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct Commit {
    hash: String,
    author: String,
    email: String,
    message: String,
    timestamp: String,
}

pub(super) async fn history(
    State(context): State<Context>,
    Query(wanted): Query<RepositoryPath>,
) -> Result<Json<Vec<Commit>>, Error> {
    let repository = Repository::open(&context, wanted.path()?)?;
    let options = ["log", "-z", "--encoding=UTF-8", "--no-show-signature", "--no-color", "--no-notes", FORMAT];
    let printed = repository.git().run(&options).await?;
    Ok(Json(parse(&printed.output)))
}

/// Reads five texts per commit. A commit that is not whole ends the list.
fn parse(output: &[u8]) -> Vec<Commit> {
    let mut texts = output.split(|&byte| byte == 0).map(|text| String::from_utf8_lossy(text).into_owned());
    std::iter::from_fn(|| {
        let [hash, author, email, timestamp, message] = std::array::from_fn(|_| texts.next());
        let hash = hash.filter(|hash| !hash.is_empty())?;
        Some(Commit { hash, author: author?, email: email?, message: message?, timestamp: timestamp? })
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_texts_are_a_commit() {
        let commits = parse(b"h1\0Ann\0a@e\x002024-05-03T10:00:00+02:00\0two\n\nbody\n\0h2\0\0\0t\0one\0");
        let found: Vec<_> = commits.iter().map(|commit| (commit.hash.as_str(), commit.message.as_str())).collect();
        assert_eq!(found, [("h1", "two\n\nbody\n"), ("h2", "one")]);
        assert_eq!(commits[0].timestamp, "2024-05-03T10:00:00+02:00");
        assert_eq!(parse(b"h\0a\0e"), []);
        assert_eq!(parse(b""), []);
    }
}
