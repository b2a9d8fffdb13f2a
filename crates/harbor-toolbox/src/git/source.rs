//! Where a clone comes from: the address a caller gives, made fit for git (contract, toolbox §12.2).

use std::path::Path;

use percent_encoding::percent_decode_str;

use super::credentials::Credentials;

/// An address without secrets, and the user name and password that stood in it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Source {
    pub(super) address: String,
    pub(super) login: Option<(String, String)>,
}

impl Source {
    /// Reads what a caller gave. Without a scheme it is `https`, unless it is `user@host:path` or a directory here.
    pub(super) fn parse(given: &str, work_dir: &Path) -> Self {
        let plain = |address: String| Self { address, login: None };
        match given.split_once("://") {
            Some((scheme @ ("http" | "https"), rest)) => Self::web(scheme, rest),
            Some(_) => plain(given.to_owned()),
            None if given.starts_with(['/', '.', '~']) || work_dir.join(given).is_dir() => {
                plain(work_dir.join(given).to_string_lossy().into_owned())
            }
            None if is_scp_style(given) => plain(given.to_owned()),
            None => Self::web("https", given),
        }
    }

    fn web(scheme: &str, rest: &str) -> Self {
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        let decode = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
        let (login, host) = match authority.rsplit_once('@') {
            None => (None, authority),
            Some((user, host)) => {
                let (name, password) = user.split_once(':').unwrap_or((user, ""));
                (Some((decode(name), decode(password))), host)
            }
        };
        Self { address: format!("{scheme}://{host}{path}"), login }
    }
}

/// Credentials for the host of an address of the web; none for any other address.
pub(super) fn credentials_for(address: &str, username: String, password: String) -> Option<Credentials> {
    let (_, rest) = address.split_once("://").filter(|(scheme, _)| matches!(*scheme, "http" | "https"))?;
    let authority = rest.split(['/', '?', '#']).next().unwrap_or(rest);
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    Credentials::new(host.to_owned(), username, password)
}

/// `user@host:path`.
fn is_scp_style(given: &str) -> bool {
    given.split_once(':').is_some_and(|(before, _)| before.contains('@') && !before.contains('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(given: &str, address: &str, login: Option<(&str, &str)>) {
        let login = login.map(|(name, password)| (name.to_owned(), password.to_owned()));
        assert_eq!(Source::parse(given, Path::new("/w")), Source { address: address.to_owned(), login }, "{given}");
    }

    #[test]
    fn addresses_are_made_whole() {
        check("https://h/x.git", "https://h/x.git", None);
        check("github.com/u/r", "https://github.com/u/r", None);
        check("localhost:3000/r", "https://localhost:3000/r", None);
        check("git@h:u/r.git", "git@h:u/r.git", None);
        check("ssh://git@h/u/r", "ssh://git@h/u/r", None);
        check("file:///r.git", "file:///r.git", None);
        check("/r.git", "/r.git", None);
        check("./r.git", "/w/./r.git", None);
    }

    #[test]
    fn a_login_leaves_the_address() {
        check("https://u:p%40w@h:1/r?q=@", "https://h:1/r?q=@", Some(("u", "p@w")));
        check("http://token@h/r", "http://h/r", Some(("token", "")));
        check("u:p@h/r", "https://h/r", Some(("u", "p")));
    }

    #[test]
    fn credentials_are_for_the_web_alone() {
        let given = |address| credentials_for(address, "u".to_owned(), "p".to_owned()).is_some();
        assert!(given("https://h/r") && given("http://x@h:80"));
        assert!(!given("ssh://h/r") && !given("/r") && !given("git@h:r"));
    }
}
