//! What git's messages mean to a caller (contract, toolbox §2.3 and §12.1).

use super::credentials::Credentials;
use crate::http::error::Error;

/// Most bytes of a message to the caller.
const LONGEST: usize = 2000;

/// Shorter secrets are not searched for: they occur in every text.
const SHORTEST_SECRET: usize = 4;

/// What some messages have in common, and the error that is.
struct Rule {
    texts: &'static [&'static str],
    error: fn(String) -> Error,
}

/// The first rule with a text that occurs decides.
const RULES: &[Rule] = &[
    Rule {
        texts: &[
            "No space left on device",
            "Input/output error",
            "Cannot allocate memory",
            "out of memory",
            "died of signal",
        ],
        error: |message| Error::internal(message),
    },
    Rule { texts: &["smudge filter", "clean filter", "external filter"], error: |message| Error::bad_request(message) },
    Rule {
        texts: &["returned error: 403", "ERROR: Permission to", "Write access to repository not granted"],
        error: |message| Error::forbidden(message),
    },
    Rule {
        texts: &[
            "Authentication failed",
            "could not read Username",
            "could not read Password",
            "terminal prompts disabled",
            "unable to read askpass response",
            "returned error: 401",
            "Permission denied (",
            "Invalid username or",
        ],
        error: |message| Error::unauthorized(message).with_code("GIT_AUTH_FAILED"),
    },
    Rule {
        texts: &[
            "not found in upstream",
            "couldn't find remote ref",
            "src refspec",
            "unknown revision",
            "Needed a single revision",
            "invalid reference",
            "ot a valid object name",
            "could not resolve",
            "bad revision",
            "error: branch '",
        ],
        error: |message| Error::not_found(message).with_code("GIT_BRANCH_NOT_FOUND"),
    },
    Rule {
        texts: &["[remote rejected]", "hook declined", "protected branch"],
        error: |message| Error::unprocessable(message).with_code("GIT_REMOTE_REJECTED"),
    },
    Rule {
        texts: &["[rejected]", "failed to push some refs"],
        error: |message| Error::conflict(message).with_code("GIT_PUSH_REJECTED"),
    },
    Rule { texts: &["does not have any commits yet", "No such remote"], error: |message| Error::not_found(message) },
    Rule { texts: &["did not match any file"], error: |message| Error::not_found(message).with_code("FILE_NOT_FOUND") },
    Rule {
        texts: &[
            "would be overwritten",
            "our local changes",
            "not uptodate. Cannot merge",
            "commit your changes or stash",
        ],
        error: |message| Error::conflict(message).with_code("GIT_DIRTY_WORKTREE"),
    },
    Rule {
        texts: &[
            "Not possible to fast-forward",
            "iverging branches",
            "unmerged files",
            "needs merge",
            "resolve your current index",
            "CONFLICT (",
            "unrelated histories",
            "in the middle of a merge",
        ],
        error: |message| Error::conflict(message).with_code("GIT_MERGE_CONFLICT"),
    },
    Rule {
        texts: &["a branch named", "A branch named"],
        error: |message| Error::conflict(message).with_code("GIT_BRANCH_EXISTS"),
    },
    Rule {
        texts: &[
            "annot delete branch",
            "already exists",
            "cannot lock ref",
            "already checked out at",
            "already used by worktree",
            "cannot switch branch while",
            ".lock': File exists",
            "another git process",
        ],
        error: |message| Error::conflict(message),
    },
    Rule {
        texts: &[
            "not a git repository",
            "epository not found",
            "' not found",
            "returned error: 404",
            "does not appear to be a git repository",
            "' does not exist",
            "no such repository",
        ],
        error: |message| Error::not_found(message).with_code("GIT_REPO_NOT_FOUND"),
    },
    Rule {
        texts: &[
            "unable to access",
            "Could not read from remote repository",
            "Could not resolve host",
            "onnection refused",
            "onnection timed out",
            "onnection reset",
            "Host key verification failed",
            "RPC failed",
            "early EOF",
            "hung up unexpectedly",
            "unexpected disconnect",
            "unable to connect",
            "unable to look up",
            "not valid: is this a git repository",
        ],
        error: |message| Error::bad_gateway(message).with_code("GIT_TRANSPORT_FAILED"),
    },
    Rule {
        texts: &[": Permission denied"],
        error: |message| Error::forbidden(message).with_code("FILE_ACCESS_DENIED"),
    },
    Rule {
        texts: &[
            "ignored by one of your .gitignore",
            "outside repository",
            "is beyond a symbolic link",
            "not a valid branch name",
            "not a valid remote name",
            "must be run in a work tree",
            "annot do ",
            "key does not contain",
            "invalid key",
            "invalid section name",
            "empty ident name",
            "disallowed characters",
            "empty string is not a valid pathspec",
            "transport '",
            "unable to find remote helper",
        ],
        error: |message| Error::bad_request(message),
    },
];

/// The exit code of a git that does not know what it is asked: this program's fault.
const USAGE: i32 = 129;

/// The error that a command with this exit code and these messages tells of.
///
/// A git that ended by itself and said why is the caller's matter; one that was killed, or said nothing, is not.
pub(super) fn error(code: i32, messages: &str) -> Error {
    let message = shown(messages);
    if code < 0 {
        return Error::internal(format!("git was killed; {message}"));
    }
    let rule = RULES.iter().find(|rule| rule.texts.iter().any(|text| messages.contains(text)));
    match rule {
        Some(rule) => (rule.error)(message),
        None if messages.trim().is_empty() || code == USAGE => Error::internal(message),
        None => Error::bad_request(message),
    }
}

/// There is no git to run; nothing else is wrong.
pub(super) fn no_git() -> Error {
    Error::not_implemented("this image has no git; install it (apt-get install git) or use an image that has it")
}

/// The messages for a caller: without progress and hints, and not too long.
fn shown(messages: &str) -> String {
    let lines = messages.lines().map(|line| line.rsplit('\r').next().unwrap_or(line).trim());
    let told = |line: &&str| !(line.is_empty() || line.starts_with("hint:") || line.starts_with("Cloning into"));
    let text = lines.filter(told).collect::<Vec<_>>().join("; ");
    if text.is_empty() {
        return "git failed without a message".to_owned();
    }
    text[..text.floor_char_boundary(LONGEST)].to_owned()
}

/// The text without what stands before the host in addresses, and without these credentials.
pub(super) fn redacted(text: &str, credentials: Option<&Credentials>) -> String {
    let mut text = without_user_parts(text);
    for secret in credentials.iter().flat_map(|credentials| [credentials.secret(), credentials.username()]) {
        if secret.len() >= SHORTEST_SECRET {
            text = text.replace(secret, "***");
        }
    }
    text
}

fn without_user_parts(text: &str) -> String {
    let mut redacted = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(begin) = rest.find("://") {
        let (before, after) = rest.split_at(begin + 3);
        redacted.push_str(before);
        let ends = |letter: char| letter.is_whitespace() || matches!(letter, '/' | '\'' | '"');
        let authority = &after[..after.find(ends).unwrap_or(after.len())];
        match authority.rfind('@') {
            Some(at) => {
                redacted.push_str("***");
                rest = &after[at..];
            }
            None => rest = after,
        }
    }
    redacted.push_str(rest);
    redacted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(messages: &str, status: u16, code: &str) {
        check_code(128, messages, status, code);
    }

    #[track_caller]
    fn check_code(exit_code: i32, messages: &str, status: u16, code: &str) {
        let error = error(exit_code, messages);
        assert_eq!((error.status().as_u16(), error.body("", "")["code"].as_str()), (status, Some(code)), "{messages}");
    }

    #[test]
    fn messages_have_their_errors() {
        check("fatal: Authentication failed for 'https://h/'", 401, "GIT_AUTH_FAILED");
        check("fatal: could not read Username for 'http://h': terminal prompts disabled", 401, "GIT_AUTH_FAILED");
        check(
            "git@h: Permission denied (publickey).\nfatal: Could not read from remote repository.",
            401,
            "GIT_AUTH_FAILED",
        );
        check("fatal: unable to access 'http://h/': The requested URL returned error: 403", 403, "FORBIDDEN");
        check("fatal: unable to access 'http://h/': Could not resolve host: h", 502, "GIT_TRANSPORT_FAILED");
        check("fatal: unable to access 'https://h/': SSL certificate problem: x", 502, "GIT_TRANSPORT_FAILED");
        check("fatal: repository 'http://h/x.git/' not found", 404, "GIT_REPO_NOT_FOUND");
        check("fatal: repository '/none' does not exist", 404, "GIT_REPO_NOT_FOUND");
        check(
            "warning: Could not find x\nfatal: Remote branch x not found in upstream origin",
            404,
            "GIT_BRANCH_NOT_FOUND",
        );
        check(
            " ! [rejected]        main -> main (fetch first)\nerror: failed to push some refs to 'x'",
            409,
            "GIT_PUSH_REJECTED",
        );
        check(
            " ! [remote rejected] main -> main (pre-receive hook declined)\nerror: failed to push",
            422,
            "GIT_REMOTE_REJECTED",
        );
        check(
            "error: src refspec x does not match any\nerror: failed to push some refs to 'x'",
            404,
            "GIT_BRANCH_NOT_FOUND",
        );
        check("fatal: a branch named 'x' already exists", 409, "GIT_BRANCH_EXISTS");
        check("error: branch 'x' not found.", 404, "GIT_BRANCH_NOT_FOUND");
        check(
            "error: Your local changes to the following files would be overwritten by merge:",
            409,
            "GIT_DIRTY_WORKTREE",
        );
        check("fatal: Not possible to fast-forward, aborting.", 409, "GIT_MERGE_CONFLICT");
        check("fatal: your current branch 'main' does not have any commits yet", 404, "NOT_FOUND");
        check("fatal: pathspec 'none' did not match any files", 404, "FILE_NOT_FOUND");
        check("fatal: Unable to create '/r/.git/index.lock': File exists.", 409, "CONFLICT");
        check("fatal: 'b' is already checked out at '/w'", 409, "CONFLICT");
        check(
            "fatal: cannot lock ref 'refs/heads/f/x': 'refs/heads/f' exists; cannot create 'refs/heads/f/x'",
            409,
            "CONFLICT",
        );
        check("a: needs merge\nerror: you need to resolve your current index first", 409, "GIT_MERGE_CONFLICT");
        check("git-lfs: not found\nfatal: x: smudge filter lfs failed", 400, "BAD_REQUEST");
        check("fatal: write error: No space left on device", 500, "INTERNAL_SERVER_ERROR");
    }

    #[test]
    fn what_git_says_by_itself_is_the_callers_matter() {
        check("fatal: something new", 400, "BAD_REQUEST");
        check_code(-1, "fatal: something new", 500, "INTERNAL_SERVER_ERROR");
        check_code(USAGE, "error: unknown option", 500, "INTERNAL_SERVER_ERROR");
        check("", 500, "INTERNAL_SERVER_ERROR");
    }

    #[test]
    fn secrets_are_not_shown() {
        let credentials = Credentials::new("h".to_owned(), "ann".to_owned(), "s3cret".to_owned());
        let redact = |text: &str| redacted(text, credentials.as_ref());
        assert_eq!(
            redact("no 'https://ann:pw@h/x': https://tok@h https://h/a@b"),
            "no 'https://***@h/x': https://***@h https://h/a@b"
        );
        assert_eq!(redact("remote: token s3cret is wrong"), "remote: token *** is wrong");
        assert_eq!(redact("https://a:p@w@h/ x://"), "https://***@h/ x://");
    }

    #[test]
    fn messages_are_short() {
        assert_eq!(
            shown("Cloning into 'x'...\nremote: 1%\rremote: 2%\nhint: try\nfatal: no\n"),
            "remote: 2%; fatal: no"
        );
        assert!(shown(&"é".repeat(5000)).len() <= LONGEST);
    }
}
