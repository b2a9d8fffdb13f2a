//! How to call this very harbor again: every command that is printed for people to type names the data directory and the
//! configuration file where they are not the usual ones, so that it means this installation and no other; and one that sets a
//! key which the environment sets as well says so.

use std::borrow::Cow;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use crate::config::directories::default_root;
use crate::config::keys::KEYS;
use crate::config::load::Given;

/// Set once, before anything is printed.
static HERE: OnceLock<Here> = OnceLock::new();

/// What commands for this very installation look like.
#[derive(Default)]
struct Here {
    /// What every command needs behind it; empty for the usual installation.
    suffix: String,
    /// The keys that the environment sets, each with its variable.
    fixed: Vec<(&'static str, String)>,
}

/// Notes which installation this process is about.
pub(crate) fn note(data_dir: &Path, config_file: &Path, given: &Given) {
    let suffix = suffix(default_root().ok().as_deref(), data_dir, config_file);
    let fixed = KEYS.iter().filter(|key| given.fixes(key)).map(|key| (key.name, key.env())).collect();
    _ = HERE.set(Here { suffix, fixed }); // the first one is as good
}

fn suffix(usual: Option<&Path>, data_dir: &Path, config_file: &Path) -> String {
    let mut suffix = String::new();
    let mut add = |flag: &str, path: &Path| suffix.extend([" ", flag, " ", &quoted(&path.to_string_lossy())]);
    if usual != Some(data_dir) {
        add("--data-dir", data_dir);
    }
    if config_file != data_dir.join("config.toml") {
        add("--config", config_file);
    }
    suffix
}

/// `harbor ARGUMENTS`, for this installation.
pub(crate) fn command(arguments: &str) -> String {
    format!("harbor {arguments}{}", HERE.get().map_or("", |here| &here.suffix))
}

/// The same, to be pasted into a shell that may not find `harbor`: then with the path of this program.
pub(crate) fn pasted(arguments: &str) -> String {
    let own = std::env::current_exe().ok();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = on_path(&path, "harbor").and_then(|file| file.canonicalize().ok());
    match own {
        Some(own) if found.as_ref() != Some(&own) => {
            command(arguments).replacen("harbor", &quoted(&own.to_string_lossy()), 1)
        }
        _ => command(arguments),
    }
}

/// What a shell with this search path runs as `name`.
pub(crate) fn on_path(path: &OsStr, name: &str) -> Option<PathBuf> {
    std::env::split_paths(path).map(|folder| folder.join(name)).find(|file| file.is_file())
}

/// `text` with every `` `harbor …` `` in it for this installation.
pub(crate) fn completed(text: &str) -> Cow<'_, str> {
    HERE.get().map_or(Cow::Borrowed(text), |here| complete(text, here))
}

fn complete<'a>(text: &'a str, Here { suffix, fixed }: &Here) -> Cow<'a, str> {
    let parts: Vec<&str> = text.split('`').collect();
    if (suffix.is_empty() && fixed.is_empty()) || parts.len().is_multiple_of(2) {
        return Cow::Borrowed(text);
    }
    let mut whole = String::with_capacity(text.len() + suffix.len());
    for (number, part) in parts.iter().enumerate() {
        let is_code = !number.is_multiple_of(2);
        if is_code {
            whole.push('`');
        }
        whole.push_str(part);
        if is_code {
            if part.starts_with("harbor ") && !part.contains("--data-dir") {
                whole.push_str(suffix);
            }
            whole.push('`');
            let key = part.strip_prefix("harbor config set ").and_then(|rest| rest.split(' ').next());
            if let Some((_, variable)) = fixed.iter().find(|(name, _)| Some(*name) == key) {
                whole.extend([" (after unsetting ", variable, ", which wins)"]);
            }
        }
    }
    Cow::Owned(whole)
}

/// `text` as one word for a POSIX shell.
pub(crate) fn quoted(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-./:@%+=,".contains(&byte);
    if !text.is_empty() && text.bytes().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn a_shell_reads_back_what_was_quoted() {
        for text in ["dtn_0123", "", "it's $HOME `id`\n\\ \"", "http://localhost:35000/api"] {
            let command = format!("printf %s {}", quoted(text));
            let output = Command::new("sh").args(["-c", &command]).output().unwrap();
            assert_eq!(String::from_utf8(output.stdout).unwrap(), text);
        }
    }

    #[test]
    fn only_what_is_unusual_is_named() {
        let suffix = |data: &str, file: &str| suffix(Some(Path::new("/usual")), Path::new(data), Path::new(file));
        assert_eq!(suffix("/usual", "/usual/config.toml"), "");
        assert_eq!(suffix("/my data", "/my data/config.toml"), " --data-dir '/my data'");
        assert_eq!(suffix("/x", "/etc/harbor.toml"), " --data-dir /x --config /etc/harbor.toml");
    }

    #[test]
    fn commands_in_a_text_are_completed() {
        let here = Here {
            suffix: " --data-dir /x".to_owned(),
            fixed: vec![("daytona.host_port", "HARBOR_DAYTONA_HOST_PORT".to_owned())],
        };
        let complete = |text: &'static str| complete(text, &here).into_owned();
        assert_eq!(
            complete("run `harbor down` and `harbor up`"),
            "run `harbor down --data-dir /x` and `harbor up --data-dir /x`"
        );
        assert_eq!(complete("see `docker info`, then harbor"), "see `docker info`, then harbor");
        assert_eq!(complete("an odd ` in `harbor up` text"), "an odd ` in `harbor up` text");
        assert_eq!(complete("`harbor up --data-dir /y`"), "`harbor up --data-dir /y`");
        assert_eq!(
            complete("choose with `harbor config set daytona.host_port PORT`"),
            "choose with `harbor config set daytona.host_port PORT --data-dir /x` (after unsetting \
             HARBOR_DAYTONA_HOST_PORT, which wins)"
        );
        assert_eq!(complete("`harbor config set bind localhost`"), "`harbor config set bind localhost --data-dir /x`");
    }
}
