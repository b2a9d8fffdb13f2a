//! Which shell runs commands (contract, toolbox §4.6), and how it is kept from feeding them to its start-up files.
//!
//! Commands and programs travel on standard input, where they may be read by what they run (§6.3). A start-up file of
//! the user's that reads there as well would take them away. So it is not left to the shell, which would run it with
//! that input: the shell is started without it and runs it by its first line, with nothing to read.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::process::Command;

use super::command::{self, Variables};
use crate::environment::Environment;

/// In order of preference, when `/etc/shells` lists them and they are there.
const PREFERRED: [&str; 4] = ["/usr/bin/zsh", "/bin/zsh", "/usr/bin/bash", "/bin/bash"];

/// When there is nothing better; looked up on PATH.
const LAST: &str = "sh";

/// Names a start-up file of bash's.
const BASH_START: &str = "BASH_ENV";

/// The start-up file of a zsh that is not interactive.
const ZSH_START: &str = r#""${ZDOTDIR:-$HOME}/.zshenv""#;

/// What shells do not have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    Zsh,
    Bash,
    /// dash, `BusyBox`' ash and their kin.
    Posix,
    /// Another language.
    Foreign,
}

/// The sandbox's shell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Shell {
    pub(crate) program: OsString,
    pub(crate) dialect: Dialect,
}

/// A shell that is ready to be started.
pub(crate) struct Prepared {
    pub(crate) command: Command,
    /// What it has to run before anything else: nothing, or a line.
    pub(crate) preamble: String,
}

impl Shell {
    /// The preferred one of `/etc/shells`, else `$SHELL` of this environment, else `sh`; only ones that are there.
    pub(crate) fn of(environment: &Environment) -> Self {
        Self::named(choose(std::fs::read("/etc/shells").ok().as_deref(), environment, |shell| {
            exists(shell, environment)
        }))
    }

    /// The same for those who speak the language of `sh`: a shell with another one gives way to `sh`.
    pub(crate) fn of_the_family(environment: &Environment) -> Self {
        let shell = Self::of(environment);
        if shell.dialect == Dialect::Foreign { Self::named(LAST.into()) } else { shell }
    }

    fn named(program: OsString) -> Self {
        let dialect = match Path::new(&program).file_name().map(OsStr::as_bytes).unwrap_or_default() {
            b"zsh" => Dialect::Zsh,
            b"bash" => Dialect::Bash,
            b"sh" | b"dash" | b"ash" | b"ksh" | b"mksh" => Dialect::Posix,
            _ => Dialect::Foreign,
        };
        Self { program, dialect }
    }

    /// Whether the program is there.
    pub(crate) fn exists(&self, environment: &Environment) -> bool {
        exists(&self.program, environment)
    }

    /// How to start it in `directory`, with `variables` on top of this environment.
    pub(crate) fn prepare(&self, environment: &Environment, variables: &Variables, directory: &Path) -> Prepared {
        let mut command = command::command(&self.program, environment, variables, directory);
        let preamble = match self.dialect {
            Dialect::Zsh => {
                command.arg("-f");
                format!("{{ builtin setopt rcs; [[ ! -f {ZSH_START} ]] || builtin source {ZSH_START}; }} </dev/null\n")
            }
            Dialect::Bash => match start_of_bash(environment, variables) {
                Some(file) => {
                    command.env_remove(BASH_START);
                    let expanded = format!("\"{}\"", file.replace('"', "\\\""));
                    format!(
                        "{{ export {BASH_START}={}; [ ! -f {expanded} ] || . {expanded}; }} </dev/null\n",
                        quote(&file)
                    )
                }
                None => String::new(),
            },
            Dialect::Posix | Dialect::Foreign => String::new(),
        };
        Prepared { command, preamble }
    }
}

/// The start-up file that a bash is told of.
fn start_of_bash(environment: &Environment, variables: &Variables) -> Option<String> {
    let own = variables.get(BASH_START).map(|file| file.clone().unwrap_or_default());
    let file = own.or_else(|| Some(environment.get(OsStr::new(BASH_START))?.to_string_lossy().into_owned()));
    file.filter(|file| !file.is_empty())
}

fn choose(shells: Option<&[u8]>, environment: &Environment, exists: impl Fn(&OsStr) -> bool) -> OsString {
    let Some(shells) = shells else { return LAST.into() };
    let listed = |shell: &&str| shells.split(|&byte| byte == b'\n').any(|line| line.trim_ascii() == shell.as_bytes());
    let preferred = PREFERRED.into_iter().filter(listed).map(OsStr::new).find(|shell| exists(shell));
    let variable = || environment.get(OsStr::new("SHELL")).map(OsString::as_os_str).filter(|shell| exists(shell));
    preferred.or_else(variable).unwrap_or(OsStr::new(LAST)).to_owned()
}

/// Whether there is such a program: at its path, or by its name on PATH.
fn exists(program: &OsStr, environment: &Environment) -> bool {
    use rustix::fs::{Access, access};
    let path = Path::new(program);
    let is_there = path.is_absolute() && path.is_file() && access(path, Access::EXEC_OK).is_ok();
    is_there || command::on_path(program, environment).is_some()
}

/// `text` as one word of a shell command line.
pub(crate) fn quote(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(shell: Option<&str>) -> Environment {
        shell.map(|shell| ("SHELL".into(), shell.into())).into_iter().collect()
    }

    #[track_caller]
    fn check(shells: Option<&str>, variable: Option<&str>, gone: &[&str], expected: &str) {
        let there = |shell: &OsStr| !shell.is_empty() && gone.iter().all(|gone| shell != *gone);
        assert_eq!(choose(shells.map(str::as_bytes), &environment(variable), there), expected);
    }

    #[test]
    fn the_preferred_listed_shell_wins() {
        check(Some("# shells\n/bin/sh\n/bin/bash\n/usr/bin/bash\n"), Some("/bin/fish"), &[], "/usr/bin/bash");
        check(Some("/bin/bash\n /bin/zsh \n"), None, &[], "/bin/zsh");
    }

    #[test]
    fn comments_do_not_count_and_the_variable_is_second() {
        check(Some("#/bin/zsh\n/bin/sh\n"), Some("/bin/fish"), &[], "/bin/fish");
        check(Some("/bin/sh\n"), Some(""), &[], "sh");
        check(Some(""), None, &[], "sh");
    }

    #[test]
    fn without_the_file_it_is_sh() {
        check(None, Some("/bin/fish"), &[], "sh");
    }

    #[test]
    fn a_shell_that_is_gone_does_not_count() {
        check(Some("/bin/zsh\n/usr/bin/zsh\n/bin/bash\n"), None, &["/bin/zsh", "/usr/bin/zsh"], "/bin/bash");
        check(Some("/bin/zsh\n"), Some("/bin/zsh"), &["/bin/zsh"], "sh");
        assert!(!exists(OsStr::new("/no/such/shell"), &Environment::new()));
        assert!(exists(OsStr::new("/bin/sh"), &Environment::new()));
    }

    #[test]
    fn a_foreign_shell_is_known_by_its_name() {
        for (shell, dialect) in [
            ("/usr/bin/zsh", Dialect::Zsh),
            ("/bin/bash", Dialect::Bash),
            ("sh", Dialect::Posix),
            ("/usr/bin/fish", Dialect::Foreign),
        ] {
            assert_eq!(Shell::named(shell.into()).dialect, dialect, "{shell}");
        }
    }

    #[test]
    fn quoted_text_is_one_word() {
        assert_eq!(quote("it's $HOME"), r"'it'\''s $HOME'");
    }
}
