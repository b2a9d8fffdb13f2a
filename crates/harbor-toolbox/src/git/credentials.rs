//! User name and password for a remote, on their way to git and to nobody else (contract, toolbox §12.1).
//!
//! They are written to a file in memory that has no name. Git inherits it, and asks this very program for them
//! (`GIT_ASKPASS`), which reads the inherited file. So they are never in an argument, a variable, a configuration or
//! a file system; and they are told to no host but the one they were given for, whatever the remote redirects to.

use std::ffi::OsString;
use std::io::{self, Write as _};
use std::os::fd::OwnedFd;
use std::process::ExitCode;

use harbor_protocol::lent::{self, Lent};
use rustix::fs::{MemfdFlags, memfd_create};

/// User name and password of a remote, and the host they are for.
pub(super) struct Credentials {
    lent: Lent,
    text: String,
}

impl Credentials {
    /// Those for `host`, with its port if its address has one. Neither may hold NUL or a line's end.
    pub(super) fn new(host: String, username: String, password: String) -> Option<Self> {
        let lent = Lent { host, username, password };
        lent.text().map(|text| Self { lent, text })
    }

    /// What must not appear in a message.
    pub(super) fn secret(&self) -> &str {
        &self.lent.password
    }

    /// The user name, which is a secret as well where it carries a token.
    pub(super) fn username(&self) -> &str {
        &self.lent.username
    }

    /// The file to inherit, and the program that reads it.
    pub(super) fn lend(&self) -> io::Result<(OwnedFd, OsString)> {
        let file = memfd_create("askpass", MemfdFlags::CLOEXEC)?;
        std::fs::File::from(file.try_clone()?).write_all(self.text.as_bytes())?;
        Ok((file, std::env::current_exe()?.into_os_string()))
    }
}

/// When git has started this program to ask for a user name or password: answers, and returns how to exit.
pub(crate) fn answer_git() -> Option<ExitCode> {
    let number = lent::inherited()?;
    let prompt = std::env::args().nth(1)?;
    let lent = lent::take(number);
    let answered = lent.as_ref().and_then(|lent| answer(&prompt, lent));
    let told = answered.is_some_and(|answer| writeln!(io::stdout(), "{answer}").is_ok());
    Some(if told { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The answer to `Username for 'https://host': ` or `Password for 'https://user@host': `.
fn answer<'a>(prompt: &str, lent: &'a Lent) -> Option<&'a str> {
    let (what, rest) = prompt.split_once(" for '")?;
    let (address, _) = rest.rsplit_once('\'')?;
    let (_, place) = address.split_once("://")?;
    let authority = place.split('/').next().unwrap_or(place);
    let asking = authority.rsplit_once('@').map_or(authority, |(_, asking)| asking);
    if !asking.eq_ignore_ascii_case(&lent.host) {
        return None;
    }
    match what {
        "Username" => Some(&lent.username),
        "Password" => Some(&lent.password),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_host_they_are_for_is_told() {
        let [host, username, password] = ["git.example:8443", "ann", "s3cret"].map(str::to_owned);
        let lent = Lent { host, username, password };
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
            assert_eq!(answer(prompt, &lent), expected, "{prompt}");
        }
    }
}
