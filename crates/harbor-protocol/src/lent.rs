//! A login for a git remote, lent by the toolbox to the git it starts: `harbor-git` takes it itself, other gits ask a
//! program for it, which takes it for them.
//!
//! Written as host, user name and password with NUL between them, into a file in memory without a name that the git
//! inherits. So it is in no argument, variable or file system. Every toolbox comes with its own `harbor-git`, so there
//! is no version in it.

use std::fs::File;
use std::os::fd::{FromRawFd as _, RawFd};
use std::os::unix::fs::FileExt as _;

/// The variable that names the inherited file's descriptor, as a decimal number.
pub const VARIABLE: &str = "HARBOR_ASKPASS_FD";

/// Most bytes of the inherited file.
pub const MOST: usize = 64 << 10;

/// User name and password, and the one host they may be told to.
#[derive(Clone, PartialEq, Eq)]
pub struct Lent {
    /// The host, with its port where the remote's address has one.
    pub host: String,
    /// The user name.
    pub username: String,
    /// The password or token.
    pub password: String,
}

impl Lent {
    /// The text of the file; none where a part holds NUL or a line's end, or is longer than a quarter of [`MOST`].
    #[must_use]
    pub fn text(&self) -> Option<String> {
        let parts = [self.host.as_str(), &self.username, &self.password];
        let plain = |text: &&str| !text.contains(['\0', '\n', '\r']) && text.len() < MOST / 4;
        parts.iter().all(plain).then(|| parts.join("\0"))
    }

    /// Reads a text.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.splitn(3, '\0').map(str::to_owned);
        Some(Self { host: parts.next()?, username: parts.next()?, password: parts.next()? })
    }
}

/// The descriptor that [`VARIABLE`] names in this process's environment, if it names any.
#[must_use]
pub fn inherited() -> Option<RawFd> {
    std::env::var(VARIABLE).ok()?.parse().ok()
}

/// Reads the login from an inherited descriptor and closes it, so that no program started from here inherits it. To be
/// called once, before this process opens anything.
#[must_use]
#[expect(unsafe_code, reason = "an inherited descriptor is known by its number alone")]
pub fn take(number: RawFd) -> Option<Lent> {
    if number <= 2 {
        return None;
    }
    // SAFETY: nothing else in this process, which has only begun, owns a descriptor but the standard streams; if the
    // number is of none at all, reading fails.
    let file = unsafe { File::from_raw_fd(number) };
    let mut text = vec![0; MOST];
    // from the start: all who inherit the file share its position
    let length = file.read_at(&mut text, 0).ok()?;
    Lent::parse(std::str::from_utf8(&text[..length]).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lent(host: &str, username: &str, password: &str) -> Lent {
        Lent { host: host.to_owned(), username: username.to_owned(), password: password.to_owned() }
    }

    #[test]
    fn what_is_written_is_read() {
        for lent in [lent("h:8443", "ü", "p w"), lent("h", "", "")] {
            assert!(Lent::parse(&lent.text().unwrap()).unwrap() == lent);
        }
        assert_eq!(lent("h", "ann", "s3cret").text().as_deref(), Some("h\0ann\0s3cret"));
    }

    #[test]
    fn what_would_break_the_form_is_refused() {
        for lent in [lent("h", "a\nb", "c"), lent("h", "a", "b\0c"), lent("h", "a", &"x".repeat(MOST / 4))] {
            assert_eq!(lent.text(), None);
        }
        assert!(Lent::parse("h\0a").is_none());
    }
}
