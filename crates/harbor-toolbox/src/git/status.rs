//! `GET /git/status` (contract, toolbox §12.3), and the reader of what `git status` prints.

use axum::extract::{Query, State};
use serde::Serialize;

use super::request::{Repository, RepositoryPath};
use crate::context::Context;
use crate::http::error::Error;
use crate::http::json::Json;

/// The state of a repository.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Status {
    current_branch: String,
    #[serde(rename = "fileStatus")]
    files: Vec<FileStatus>,
    branch_published: bool,
    ahead: u64,
    behind: u64,
    upstream: String,
    detached: bool,
}

/// A file that differs from the last commit, or is unknown to it.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct FileStatus {
    name: String,
    extra: &'static str,
    staging: &'static str,
    worktree: &'static str,
}

const UNTRACKED: &str = "Untracked";

pub(super) async fn status(
    State(context): State<Context>,
    Query(wanted): Query<RepositoryPath>,
) -> Result<Json<Status>, Error> {
    let repository = Repository::open(&context, wanted.path()?)?;
    let options = ["status", "--porcelain=v2", "--branch", "-z", "--untracked-files=all", "--no-renames"];
    let printed = repository.git().run(&options).await?;
    Ok(Json(parse(&printed.output)))
}

/// Reads the output of `git status --porcelain=v2 --branch -z`. Records that it does not know are passed over.
///
/// A file that is deleted in the index and there again is one entry: deleted and untracked.
pub(super) fn parse(output: &[u8]) -> Status {
    let mut status = Status::default();
    let mut records = output.split(|&byte| byte == 0);
    while let Some(record) = records.next() {
        let (kind, rest) = match record {
            [kind, b' ', rest @ ..] => (*kind, rest),
            _ => continue,
        };
        match kind {
            b'#' => status.header(&String::from_utf8_lossy(rest)),
            b'1' => status.add(rest, 7, changed),
            b'u' => status.add(rest, 9, unmerged),
            b'2' => {
                status.add(rest, 8, changed);
                records.next(); // the name before
            }
            b'?' => status.add_untracked(rest),
            _ => {}
        }
    }
    status
}

impl Status {
    fn header(&mut self, header: &str) {
        let Some((name, value)) = header.split_once(' ') else { return };
        match name {
            "branch.head" => {
                self.detached = value == "(detached)";
                self.current_branch = if self.detached { "HEAD".to_owned() } else { value.to_owned() };
            }
            "branch.upstream" => {
                self.branch_published = true;
                value.clone_into(&mut self.upstream);
            }
            "branch.ab" => {
                let count = |text: Option<&str>, sign| text?.strip_prefix(sign)?.parse().ok();
                let mut counts = value.split(' ');
                self.ahead = count(counts.next(), '+').unwrap_or_default();
                self.behind = count(counts.next(), '-').unwrap_or_default();
            }
            _ => {}
        }
    }

    /// A record whose first field is two letters and whose name comes after `fields` fields.
    fn add(&mut self, record: &[u8], fields: usize, word: fn(u8) -> &'static str) {
        let mut parts = record.splitn(fields + 1, |&byte| byte == b' ');
        let (Some(&[staging, worktree]), Some(name)) = (parts.next(), parts.nth(fields - 1)) else { return };
        self.push(name, word(staging), word(worktree));
    }

    fn add_untracked(&mut self, name: &[u8]) {
        let text = String::from_utf8_lossy(name);
        match self.files.iter_mut().find(|known| known.staging == "Deleted" && known.name == text) {
            Some(known) => known.worktree = UNTRACKED,
            None => self.push(name, UNTRACKED, UNTRACKED),
        }
    }

    fn push(&mut self, name: &[u8], staging: &'static str, worktree: &'static str) {
        let name = String::from_utf8_lossy(name).into_owned();
        self.files.push(FileStatus { name, extra: "", staging, worktree });
    }
}

/// The word for a letter of a changed file.
fn changed(letter: u8) -> &'static str {
    match letter {
        b'M' | b'T' => "Modified",
        b'A' => "Added",
        b'D' => "Deleted",
        b'R' => "Renamed",
        b'C' => "Copied",
        b'U' => "Updated but unmerged",
        _ => "Unmodified",
    }
}

/// The word for a letter of a file in conflict; the reference shows both sides as modified (contract, toolbox §24).
fn unmerged(letter: u8) -> &'static str {
    match letter {
        b'A' => "Added",
        b'D' => "Deleted",
        _ => "Modified",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn files(output: &str, expected: &[(&str, &str, &str)]) {
        let status = parse(output.replace('|', "\0").as_bytes());
        let found: Vec<_> = status.files.iter().map(|file| (file.name.as_str(), file.staging, file.worktree)).collect();
        assert_eq!(found, expected, "{output}");
    }

    const HASHES: &str = "100644 100644 100644 1111111111111111111111111111111111111111 \
                          2222222222222222222222222222222222222222";

    #[test]
    fn files_in_every_state() {
        files(&format!("1 .M N... {HASHES} a b|"), &[("a b", "Unmodified", "Modified")]);
        files(&format!("1 MM N... {HASHES} ü|"), &[("ü", "Modified", "Modified")]);
        files(
            &format!("1 A. N... {HASHES} a|1 .D N... {HASHES} b|"),
            &[("a", "Added", "Unmodified"), ("b", "Unmodified", "Deleted")],
        );
        files("? new\n|? d/e|! ignored|", &[("new\n", UNTRACKED, UNTRACKED), ("d/e", UNTRACKED, UNTRACKED)]);
        files(&format!("1 D. N... {HASHES} a|? a|"), &[("a", "Deleted", UNTRACKED)]);
        files(
            &format!("2 R. N... {HASHES} R100 to|from|? x|"),
            &[("to", "Renamed", "Unmodified"), ("x", UNTRACKED, UNTRACKED)],
        );
        let unmerged = "100644 100644 100644 100644 1 2 3";
        files(
            &format!("u UU N... {unmerged} a|u DU N... {unmerged} b|"),
            &[("a", "Modified", "Modified"), ("b", "Deleted", "Modified")],
        );
    }

    #[test]
    fn the_branch_and_its_upstream() {
        let text = b"# branch.oid 1\0# branch.head main\0# branch.upstream origin/main\0# branch.ab +2 -1\0";
        let expected = Status {
            current_branch: "main".to_owned(),
            branch_published: true,
            ahead: 2,
            behind: 1,
            upstream: "origin/main".to_owned(),
            ..Status::default()
        };
        assert_eq!(parse(text), expected);
        let detached = parse(b"# branch.oid 1\0# branch.head (detached)\0");
        assert_eq!((detached.current_branch.as_str(), detached.detached), ("HEAD", true));
        let unborn = parse(b"# branch.oid (initial)\0# branch.head trunk\0");
        assert_eq!((unborn.current_branch.as_str(), unborn.branch_published), ("trunk", false));
    }

    #[test]
    fn nonsense_is_passed_over() {
        let pieces = ["1 .M N... ", "u", "2 R.", "# branch.ab +x", "# ", "? ", "\0", "\0\0", "1 ", "é", "1 .MM x"];
        for first in pieces {
            for second in pieces {
                parse([first, second].concat().as_bytes());
            }
        }
        files("1 M|u|2 R. x|y|", &[]);
    }
}
