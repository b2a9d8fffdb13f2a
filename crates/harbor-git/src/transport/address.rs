//! Addresses of remotes, taken apart.

use crate::login::decoded;

/// `scheme://[user[:password]@]authority/path`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Address {
    pub(super) scheme: String,
    pub(super) username: Option<String>,
    pub(super) password: Option<String>,
    /// Host, and port if there is one.
    pub(super) authority: String,
    /// Empty, or from the slash on.
    pub(super) path: String,
}

impl Address {
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (scheme, rest) = text.split_once("://")?;
        let (whole, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        let (user, authority) = whole.rsplit_once('@').map_or((None, whole), |(user, host)| (Some(user), host));
        let (username, password) = match user.map(|user| user.split_once(':').ok_or(user)) {
            None => (None, None),
            Some(Ok((name, password))) => (Some(decoded(name)), Some(decoded(password))),
            Some(Err(name)) => (Some(decoded(name)), None),
        };
        let (scheme, authority, path) = (scheme.to_ascii_lowercase(), authority.to_owned(), path.to_owned());
        (!authority.is_empty()).then_some(Self { scheme, username, password, authority, path })
    }

    /// `user@host:path`, or an address whose scheme is ssh.
    pub(super) fn parse_ssh(text: &str) -> Option<Self> {
        if let Some(address) = Self::parse(text) {
            // `/~user/x` is `~user/x` over there.
            let path = address.path.strip_prefix('/').filter(|path| path.starts_with('~'));
            let path = decoded(path.unwrap_or(&address.path));
            return Some(Self { path, ..address });
        }
        let (whole, path) = text.split_once(':')?;
        let (user, host) = whole.rsplit_once('@').map_or((None, whole), |(user, host)| (Some(user.to_owned()), host));
        let (scheme, authority) = ("ssh".to_owned(), host.to_owned());
        Some(Self { scheme, username: user, password: None, authority, path: path.to_owned() })
    }

    /// Host and port, each on its own.
    pub(super) fn host_and_port(&self) -> (&str, Option<&str>) {
        let bracketed = self.authority.strip_prefix('[').and_then(|rest| rest.split_once(']'));
        let (host, rest) = bracketed
            .or_else(|| {
                let at = self.authority.rfind(':')?;
                Some(self.authority.split_at(at))
            })
            .unwrap_or((&self.authority, ""));
        (host, rest.strip_prefix(':').filter(|port| !port.is_empty()))
    }

    /// The address without user and password.
    pub(super) fn bare(&self) -> String {
        format!("{}://{}{}", self.scheme, self.authority, self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn web_addresses_come_apart() {
        let address = Address::parse("HTTPS://a%40b:p:w@h:8443/x.git?y").unwrap();
        assert_eq!((address.username.as_deref(), address.password.as_deref()), (Some("a@b"), Some("p:w")));
        assert_eq!(address.bare(), "https://h:8443/x.git?y");
        assert_eq!(Address::parse("http://h").unwrap().bare(), "http://h");
        assert_eq!((Address::parse("x"), Address::parse("http:///x")), (None, None));
    }

    #[test]
    fn ssh_addresses_come_apart() {
        let check = |text: &str| {
            let address = Address::parse_ssh(text).unwrap();
            let (host, port) = address.host_and_port();
            (address.username.clone(), host.to_owned(), port.map(str::to_owned), address.path.clone())
        };
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(check("git@h:u/r.git"), (some("git"), "h".to_owned(), None, "u/r.git".to_owned()));
        assert_eq!(check("ssh://g@h:22/u/r"), (some("g"), "h".to_owned(), some("22"), "/u/r".to_owned()));
        assert_eq!(check("ssh://[::1]:22/~a/r"), (None, "::1".to_owned(), some("22"), "~a/r".to_owned()));
    }
}
