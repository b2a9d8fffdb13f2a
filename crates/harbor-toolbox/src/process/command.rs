//! What `execute` and `code-run` have in common: environment checks, time limits, and how a command is started.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::environment::Environment;
use crate::http::error::Error;

/// Variables of one request; a value of `null` is the empty text.
pub(crate) type Variables = BTreeMap<String, Option<String>>;

/// Refuses names that a shell could not have (§6.2).
pub(crate) fn check_names(variables: &Variables) -> Result<(), Error> {
    match variables.keys().find(|name| !is_name(name)) {
        None => Ok(()),
        Some(name) => Err(Error::bad_request(format!("invalid environment variable name: '{name}'"))),
    }
}

fn is_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes.next().is_some_and(|first| first.is_ascii_alphabetic() || first == b'_')
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// The time limit of a request in seconds; absent or 0: none.
pub(crate) fn limit(seconds: Option<u32>) -> Option<Duration> {
    seconds.filter(|&seconds| seconds > 0).map(|seconds| Duration::from_secs(seconds.into()))
}

/// A command in `directory` with exactly this environment. `program` is looked up on the environment's PATH.
pub(crate) fn command(program: &OsStr, environment: &Environment, variables: &Variables, directory: &Path) -> Command {
    let found = on_path(program, environment).map_or_else(|| program.to_owned(), OsString::from);
    let mut command = Command::new(found);
    command.env_clear().envs(environment).current_dir(directory);
    command.envs(variables.iter().map(|(name, value)| (name, value.as_deref().unwrap_or_default())));
    command
}

/// Where PATH has `program`; none for a program given with a slash.
pub(crate) fn on_path(program: &OsStr, environment: &Environment) -> Option<PathBuf> {
    use rustix::fs::{Access, access};
    if program.as_bytes().contains(&b'/') {
        return None;
    }
    let path = environment.get(OsStr::new("PATH"))?;
    std::env::split_paths(path)
        .filter(|entry| entry.is_absolute())
        .map(|entry| entry.join(program))
        .find(|file| file.is_file() && access(file, Access::EXEC_OK).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_a_shell() {
        for name in ["A", "_", "a1_B", "PATH"] {
            assert!(is_name(name), "{name}");
        }
        for name in ["", "1A", "A-B", "A B", "Ä", "A=B", "A\n"] {
            assert!(!is_name(name), "{name}");
        }
    }
}
