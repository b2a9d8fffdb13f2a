//! Which shell runs commands (contract, toolbox §4.6).

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;

/// In order of preference, when `/etc/shells` lists them.
const PREFERRED: [&[u8]; 4] = [b"/usr/bin/zsh", b"/bin/zsh", b"/usr/bin/bash", b"/bin/bash"];

/// The sandbox's shell: the preferred one of `/etc/shells`, else `$SHELL`, else `sh`.
///
/// `variable` is the value of `SHELL`.
pub(crate) fn default_shell(variable: Option<&OsStr>) -> OsString {
    choose(std::fs::read("/etc/shells").ok().as_deref(), variable)
}

fn choose(shells: Option<&[u8]>, variable: Option<&OsStr>) -> OsString {
    let Some(shells) = shells else { return "sh".into() };
    let listed = |shell: &[u8]| shells.split(|&byte| byte == b'\n').any(|line| line.trim_ascii() == shell);
    let preferred = PREFERRED.into_iter().find(|shell| listed(shell)).map(OsStr::from_bytes);
    preferred.or(variable.filter(|shell| !shell.is_empty())).unwrap_or(OsStr::new("sh")).to_owned()
}

/// `text` as one word of a shell command line.
pub(crate) fn quote(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(shells: Option<&str>, variable: Option<&str>, expected: &str) {
        assert_eq!(choose(shells.map(str::as_bytes), variable.map(OsStr::new)), expected);
    }

    #[test]
    fn the_preferred_listed_shell_wins() {
        check(Some("# shells\n/bin/sh\n/bin/bash\n/usr/bin/bash\n"), Some("/bin/fish"), "/usr/bin/bash");
        check(Some("/bin/bash\n /bin/zsh \n"), None, "/bin/zsh");
    }

    #[test]
    fn comments_do_not_count_and_the_variable_is_second() {
        check(Some("#/bin/zsh\n/bin/sh\n"), Some("/bin/fish"), "/bin/fish");
        check(Some("/bin/sh\n"), Some(""), "sh");
        check(Some(""), None, "sh");
    }

    #[test]
    fn without_the_file_it_is_sh() {
        check(None, Some("/bin/fish"), "sh");
    }

    #[test]
    fn quoted_text_is_one_word() {
        assert_eq!(quote("it's $HOME"), r"'it'\''s $HOME'");
    }
}
