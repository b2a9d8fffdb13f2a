//! Registries of images that organizations have logins to (contract, control-plane §8.1).

use crate::Timestamp;
use crate::ids::{OrganizationId, RegistryId};
use crate::names::DisplayName;
use crate::secrets::Secret;

/// A registry that an organization has a login to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registry {
    /// Its id.
    pub id: RegistryId,
    /// Whose it is.
    pub organization: OrganizationId,
    /// What it is called.
    pub name: DisplayName,
    /// Where it is: a host, with a port, a path or a scheme if need be; no slash at the end.
    pub url: String,
    /// Who logs in.
    pub username: String,
    /// With what. Never leaves harbor but to the engine.
    pub password: Secret,
    /// The project in it; told to clients.
    pub project: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

/// The longest address, in bytes.
const LONGEST: usize = 1024;

impl Registry {
    /// The address as it is kept: without slashes at the end. Refused where it cannot be one.
    pub fn checked_url(text: &str) -> Result<String, String> {
        let url = text.trim_end_matches('/');
        let url = if url.ends_with(':') { text } else { url };
        let (scheme, address) = url.split_once("://").map_or((None, url), |(scheme, rest)| (Some(scheme), rest));
        let host = address.split('/').next().unwrap_or_default();
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-:[]".contains(&byte);
        let path = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-/".contains(&byte);
        let good = matches!(scheme, None | Some("http" | "https"))
            && !host.is_empty()
            && host.bytes().all(allowed)
            && address[host.len()..].bytes().all(path)
            && url.len() <= LONGEST;
        if good { Ok(url.to_owned()) } else { Err("url must be a URL address".to_owned()) }
    }

    /// What references of its images begin with: its address without a scheme.
    pub fn prefix(&self) -> &str {
        self.url.split_once("://").map_or(&*self.url, |(_, address)| address)
    }

    /// Whether the image of this reference lies there: the reference begins with its address, and goes on with `/` or `:`.
    pub fn has(&self, reference: &str) -> bool {
        let rest = reference.strip_prefix(self.prefix());
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', ':']))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(url: &str) -> Registry {
        Registry {
            id: RegistryId::random(),
            organization: OrganizationId::random(),
            name: DisplayName::recorded("r"),
            url: Registry::checked_url(url).unwrap(),
            username: String::new(),
            password: Secret::new(""),
            project: String::new(),
            created_at: Timestamp::UNIX_EPOCH,
            updated_at: Timestamp::UNIX_EPOCH,
        }
    }

    #[test]
    fn an_address_is_a_host_with_what_belongs_to_it() {
        for url in ["registry.example.test:5000", "https://registry.example.test///", "http://[::1]:5000/a/b", "x.test"]
        {
            assert_eq!(Registry::checked_url(url).as_deref(), Ok(url.trim_end_matches('/')), "{url}");
        }
        for url in ["", "/", "ht tp://x", "ftp://x.test", "https://", "x.test/?q", "x.test/<b>", "a b", "user@x.test"] {
            assert!(Registry::checked_url(url).is_err(), "{url}");
        }
    }

    #[test]
    fn whole_parts_of_a_reference_decide() {
        let registry = at("https://registry.example.test:5000/team/");
        for (reference, has) in [
            ("registry.example.test:5000/team/app:1", true),
            ("registry.example.test:5000/team:1", true),
            ("registry.example.test:5000/teams/app:1", false),
            ("registry.example.test:50001/team/app:1", false),
            ("evil.test/registry.example.test:5000/team/app:1", false),
        ] {
            assert_eq!(registry.has(reference), has, "{reference}");
        }
        assert!(at("registry.example.test").has("registry.example.test:5000/a:1"), "any port, where none is named");
    }
}
