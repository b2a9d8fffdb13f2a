//! `config`: reads and writes settings of a repository, of the user, or of the system.

use std::io::{self, Write as _};
use std::path::PathBuf;

use git2::{Config, ConfigEntry, ConfigLevel, ErrorCode};

use crate::arguments::Arguments;
use crate::failure::{Failure, Outcome};
use crate::repository;

/// Scopes, actions, and `-z`: NUL after each value.
pub(crate) const FLAGS: &[&str] =
    &["--global", "--system", "--local", "-z", "--get", "--get-all", "--get-regexp", "--add", "--replace-all"];

/// Matches no value, so that one more is written.
const NO_VALUE: &str = "a^";

pub(crate) fn config(arguments: &Arguments) -> Outcome {
    let end = if arguments.has("-z") { "\0" } else { "\n" };
    match arguments.all()[..] {
        [pattern] if arguments.has("--get-regexp") => print_matching(&scope(arguments)?, pattern, end),
        [key] if arguments.has("--get") || arguments.has("--get-all") => {
            check_key(key)?;
            let values = values(&scope(arguments)?, key)?;
            let from = if arguments.has("--get") { values.len().saturating_sub(1) } else { 0 };
            let lines: Vec<_> = values[from..].iter().map(|value| format!("{value}{end}")).collect();
            print(&lines.concat())
        }
        [key, value] if arguments.has("--add") || arguments.has("--replace-all") => {
            check_key(key)?;
            let replaced = if arguments.has("--add") { NO_VALUE } else { ".*" };
            Ok(scope(arguments)?.set_multivar(key, replaced, &escaped(value))?)
        }
        _ => Err(Failure::usage("one action, one key, and a value to set")),
    }
}

/// Prints what was found; nothing is the answer "no".
fn print(text: &str) -> Outcome {
    if text.is_empty() { Err(Failure::no()) } else { Ok(io::stdout().write_all(text.as_bytes())?) }
}

/// The settings of a scope; without one, all that count in this directory.
fn scope(arguments: &Arguments) -> Result<Config, Failure> {
    if arguments.has("--global") {
        return Ok(Config::open(&users()?)?);
    }
    if arguments.has("--system") {
        return Ok(Config::open(&PathBuf::from("/etc/gitconfig"))?);
    }
    if arguments.has("--local") {
        return Ok(repository::open()?.config()?.open_level(ConfigLevel::Local)?);
    }
    everywhere()
}

/// All settings that count in this directory, in a repository or not.
pub(crate) fn everywhere() -> Result<Config, Failure> {
    match repository::open() {
        Ok(repository) => Ok(repository.config()?),
        Err(_) => Ok(Config::open_default()?),
    }
}

/// The user's file: that of git's own variable, the one in the home directory, or an existing one beside other programs'.
fn users() -> Result<PathBuf, Failure> {
    if let Some(path) = std::env::var_os("GIT_CONFIG_GLOBAL") {
        return Ok(path.into());
    }
    let home = std::env::var_os("HOME").map(PathBuf::from).ok_or_else(|| Failure::fatal("$HOME not set"))?;
    let file = home.join(".gitconfig");
    let other = std::env::var_os("XDG_CONFIG_HOME").map_or_else(|| home.join(".config"), PathBuf::from);
    let other = other.join("git/config");
    Ok(if !file.exists() && other.exists() { other } else { file })
}

/// The values of a key, in the order of the files.
pub(crate) fn values(config: &Config, key: &str) -> Result<Vec<String>, Failure> {
    let mut values = Vec::new();
    match config.multivar(key, None) {
        Ok(entries) => entries.for_each(|entry| values.push(value_of(entry)))?,
        Err(error) if error.code() == ErrorCode::NotFound => {}
        Err(error) => return Err(error.into()),
    }
    Ok(values)
}

/// The value of an entry; a key without one counts as true.
fn value_of(entry: &ConfigEntry<'_>) -> String {
    if entry.has_value() { String::from_utf8_lossy(entry.value_bytes()).into_owned() } else { "true".to_owned() }
}

/// A value as it stands in a file; libgit2 sees to quotes around it, but not to this for keys with several values.
fn escaped(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    for letter in value.chars() {
        match letter {
            '\\' => text.push_str(r"\\"),
            '"' => text.push_str(r#"\""#),
            '\n' => text.push_str(r"\n"),
            '\t' => text.push_str(r"\t"),
            '\u{8}' => text.push_str(r"\b"),
            letter => text.push(letter),
        }
    }
    text
}

fn print_matching(config: &Config, pattern: &str, end: &str) -> Outcome {
    let mut text = String::new();
    let between = if end == "\0" { "\n" } else { " " };
    config.entries(Some(pattern))?.for_each(|entry| {
        let key = String::from_utf8_lossy(entry.name_bytes());
        let value = value_of(entry);
        text += &[key.as_ref(), between, &value, end].concat();
    })?;
    print(&text)
}

/// Refuses what cannot be a key: `section.name` or `section.anything at all.name`.
fn check_key(key: &str) -> Outcome {
    let Some((section, name)) = key.rsplit_once('.').filter(|(section, _)| !section.is_empty()) else {
        return Err(Failure::error(&format!("key does not contain a section: {key}")));
    };
    let plain = |text: &str| text.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '-');
    let section = section.split('.').next().unwrap_or_default();
    if !plain(section) || !plain(name) || !name.starts_with(|letter: char| letter.is_ascii_alphabetic()) {
        return Err(Failure::error(&format!("invalid key: {key}")));
    }
    if key.contains('\n') {
        return Err(Failure::error(&format!("invalid key (newline): {key}")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::check_key;

    #[test]
    fn keys_have_a_section_and_a_name() {
        for good in ["a.b", "remote.my origin.url", "url.https://h/.insteadOf", "a-1.b-2"] {
            check_key(good).unwrap();
        }
        for bad in ["a", ".a", "a.", "a.1", "a.b c", "a b.c", ""] {
            check_key(bad).unwrap_err();
        }
    }
}
