//! User name and password for a remote, on their way to git and to nobody else (contract, toolbox §12.1).
//!
//! They are written to a file in memory that has no name. Git inherits it, and asks this very program for them
//! (`GIT_ASKPASS`), which reads the inherited file. So they are never in an argument, a variable, a configuration or
//! a file system; and they are told to no host but the one they were given for, whatever the remote redirects to.

use std::ffi::OsString;
use std::io::{self, Write as _};
use std::os::fd::{FromRawFd as _, OwnedFd, RawFd};
use std::process::ExitCode;

use rustix::fs::{MemfdFlags, memfd_create};

/// Names the inherited file's descriptor.
pub(super) const FD_VARIABLE: &str = "HARBOR_ASKPASS_FD";

/// Most bytes of the inherited file.
const MOST: usize = 64 << 10;

/// User name and password of a remote, and the host they are for.
pub(super) struct Credentials {
    host: String,
    username: String,
    password: String,
}

impl Credentials {
    /// Those for `host`, with its port if its address has one. Neither may hold NUL or a line's end.
    pub(super) fn new(host: String, username: String, password: String) -> Option<Self> {
        let plain = |text: &str| !text.contains(['\0', '\n', '\r']) && text.len() < MOST / 4;
        let all_plain = plain(&host) && plain(&username) && plain(&password);
        all_plain.then_some(Self { host, username, password })
    }

    /// What must not appear in a message.
    pub(super) fn secret(&self) -> &str {
        &self.password
    }

    /// The user name, which is a secret as well where it carries a token.
    pub(super) fn username(&self) -> &str {
        &self.username
    }

    /// The file to inherit, and the program that reads it.
    pub(super) fn lend(&self) -> io::Result<(OwnedFd, OsString)> {
        let file = memfd_create("askpass", MemfdFlags::CLOEXEC)?;
        let text = [self.host.as_str(), &self.username, &self.password].join("\0");
        std::fs::File::from(file.try_clone()?).write_all(text.as_bytes())?;
        Ok((file, std::env::current_exe()?.into_os_string()))
    }
}

/// When git has started this program to ask for a user name or password: answers, and returns how to exit.
pub(crate) fn answer_git() -> Option<ExitCode> {
    let number: RawFd = std::env::var(FD_VARIABLE).ok()?.parse().ok()?;
    let prompt = std::env::args().nth(1)?;
    let answered = lent(number).and_then(|text| {
        let mut fields = text.splitn(3, '\0');
        let fields = [fields.next()?, fields.next()?, fields.next()?];
        answer(&prompt, fields).map(str::to_owned)
    });
    let told = answered.is_some_and(|answer| writeln!(io::stdout(), "{answer}").is_ok());
    Some(if told { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

#[expect(unsafe_code, reason = "an inherited descriptor is known by its number alone")]
fn lent(number: RawFd) -> Option<String> {
    if number <= 2 {
        return None;
    }
    // SAFETY: nothing else in this process, which has only begun, owns a descriptor but the standard streams; if the
    // number is of none at all, reading fails.
    let file = unsafe { OwnedFd::from_raw_fd(number) };
    let mut text = vec![0; MOST];
    let length = rustix::io::pread(&file, text.as_mut_slice(), 0).ok()?;
    text.truncate(length);
    String::from_utf8(text).ok()
}

/// The answer to `Username for 'https://host': ` or `Password for 'https://user@host': `.
fn answer<'a>(prompt: &str, [host, username, password]: [&'a str; 3]) -> Option<&'a str> {
    let (what, rest) = prompt.split_once(" for '")?;
    let (address, _) = rest.rsplit_once('\'')?;
    let (_, place) = address.split_once("://")?;
    let authority = place.split('/').next().unwrap_or(place);
    let asking = authority.rsplit_once('@').map_or(authority, |(_, asking)| asking);
    if !asking.eq_ignore_ascii_case(host) {
        return None;
    }
    match what {
        "Username" => Some(username),
        "Password" => Some(password),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_host_they_are_for_is_told() {
        let fields = ["git.example:8443", "ann", "s3cret"];
        for (prompt, expected) in [
            ("Username for 'https://git.example:8443': ", Some("ann")),
            ("Password for 'https://ann@git.example:8443': ", Some("s3cret")),
            ("Password for 'https://a@b@git.example:8443/path': ", Some("s3cret")),
            ("Password for 'https://ann@GIT.example:8443': ", Some("s3cret")),
            ("Password for 'https://ann@git.example': ", None),
            ("Password for 'https://git.example:8443@evil.example': ", None),
            ("Password for 'https://evil.example/@git.example:8443': ", None),
            ("Passphrase for 'https://git.example:8443': ", None),
            ("Password:", None),
        ] {
            assert_eq!(answer(prompt, fields), expected, "{prompt}");
        }
    }

    #[test]
    fn what_would_break_the_form_is_refused() {
        let credentials = |username: &str, password: &str| {
            Credentials::new("h".to_owned(), username.to_owned(), password.to_owned()).is_some()
        };
        assert!(credentials("", "") && credentials("ü", "p w"));
        assert!(!credentials("a\nb", "c") && !credentials("a", "b\0c"));
    }
}
