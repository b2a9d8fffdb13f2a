//! Who comes to the registry, and what for.

use std::net::SocketAddr;

use axum::extract::ConnectInfo;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use harbor_model::repositories::RepositoryName;
use harbor_model::secrets::Secret;
use http::StatusCode;
use http::header::{AUTHORIZATION, HOST};
use http::request::Parts;
use uuid::Uuid;

use super::errors::{Code, Refusal};

/// What headers begin with of what comes from a page in a browser, or by way of a proxy: not from a client of this machine
/// itself.
const FROM_ELSEWHERE: [&str; 7] =
    ["origin", "forwarded", "via", "x-forwarded-", "x-real-ip", "sec-fetch-", "cf-connecting-"];

/// Knows who may do what in the registry.
#[async_trait::async_trait]
pub trait AuthorizeRepositories: Send + Sync + 'static {
    /// What this login opens.
    async fn access(&self, user: &str, password: &Secret) -> Result<RepositoryAccess, LoginRefused>;
}

/// Why a login opens nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoginRefused {
    /// There is no such login, or its time is over.
    Invalid,
    /// It could not be found out; it is worth another try.
    Unknown,
}

/// What a client may do in the registry. Repositories below an id are those of the organization with this id, and nobody else's;
/// all others are shared: everybody's to pull, and to push to for the owner and this machine's own clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RepositoryAccess {
    /// Everything.
    Owner,
    /// What is shared.
    Shared,
    /// What a member of an organization may.
    Member {
        /// The organization's id, with which the names of its repositories begin.
        project: String,
        /// Whether its repositories may be pushed to.
        push: bool,
    },
}

impl RepositoryAccess {
    /// Whether it may be pulled from this repository.
    pub fn may_pull(&self, repository: &RepositoryName) -> bool {
        match self {
            Self::Owner => true,
            Self::Shared => owner(repository).is_none(),
            Self::Member { project, .. } => owner(repository).is_none_or(|owner| owner == project),
        }
    }

    /// Whether it may be pushed to this repository, and removed from it.
    pub fn may_push(&self, repository: &RepositoryName) -> bool {
        match self {
            Self::Owner => true,
            Self::Shared => owner(repository).is_none(),
            Self::Member { project, push } => {
                let rest = repository.as_str().strip_prefix(project.as_str());
                *push && rest.is_some_and(|rest| rest.starts_with('/'))
            }
        }
    }
}

/// The id of the organization whose repository this is, if it is one's.
fn owner(repository: &RepositoryName) -> Option<&str> {
    let first = repository.as_str().split('/').next()?;
    // as ids are written: without dashes it is somebody's word
    (first.contains('-') && Uuid::try_parse(first).is_ok()).then_some(first)
}

/// What the client of this request may do.
pub(super) async fn access(
    authorize: &dyn AuthorizeRepositories,
    open_here: bool,
    head: &Parts,
) -> Result<RepositoryAccess, Refusal> {
    let Some(header) = head.headers.get(AUTHORIZATION) else {
        return if open_here && is_from_here(head) { Ok(RepositoryAccess::Shared) } else { Err(log_in()) };
    };
    let login = header.to_str().ok().and_then(login);
    let Some((user, password)) = login else { return Err(log_in()) };
    match authorize.access(&user, &password).await {
        Ok(access) => Ok(access),
        Err(LoginRefused::Invalid) => {
            let told = "this login is not known, or its time is over: log in again, with an API key as the password, or ask \
                        for another one at /api/docker-registry/registry-push-access";
            Err(Refusal::new(StatusCode::UNAUTHORIZED, Code::Unauthorized, told))
        }
        Err(LoginRefused::Unknown) => {
            let told = "whether this login is good could not be found out: try again";
            Err(Refusal::new(StatusCode::SERVICE_UNAVAILABLE, Code::Unknown, told))
        }
    }
}

fn log_in() -> Refusal {
    let told = "log in with an API key as the password: docker login --username key HOST:PORT";
    Refusal::new(StatusCode::UNAUTHORIZED, Code::Unauthorized, told)
}

/// User and password of a header's basic credentials.
fn login(header: &str) -> Option<(String, Secret)> {
    let (scheme, rest) = header.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let text = String::from_utf8(STANDARD.decode(rest.trim()).ok()?).ok()?;
    let (user, password) = text.split_once(':')?;
    Some((user.to_owned(), Secret::new(password)))
}

/// Whether a client of this machine asks for it as `localhost`, which is what no page and no proxy of somebody else's can have
/// it called. By its address this machine's clients are asked for a login, without which they would not show the one that
/// they have.
fn is_from_here(head: &Parts) -> bool {
    let peer = head.extensions.get::<ConnectInfo<SocketAddr>>().map(|peer| peer.0.ip().to_canonical());
    let mut hosts = head.headers.get_all(HOST).iter();
    let (host, another) = (hosts.next().and_then(|host| host.to_str().ok()).unwrap_or_default(), hosts.next());
    peer.is_some_and(|peer| peer.is_loopback())
        && is_localhost(host)
        && another.is_none()
        // a target that is a whole URL says where it goes, whatever the header says
        && head.uri.host().is_none_or(is_localhost)
        && !head.headers.keys().any(|header| FROM_ELSEWHERE.iter().any(|start| header.as_str().starts_with(start)))
}

fn is_localhost(host: &str) -> bool {
    let authority = host.parse::<http::uri::Authority>().ok().filter(|authority| !authority.as_str().contains('@'));
    authority.is_some_and(|authority| authority.host().eq_ignore_ascii_case("localhost"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINE: &str = "0b2b2c3a-6a5e-4c5b-9a57-0d4f5f7b1c11";
    const ANOTHER: &str = "7c1f5f44-2d9e-4e0a-8a7e-5a2f0a9d3e22";

    #[test]
    fn what_lies_below_an_id_is_its_organizations() {
        let member = RepositoryAccess::Member { project: MINE.to_owned(), push: true };
        let reader = RepositoryAccess::Member { project: MINE.to_owned(), push: false };
        for (name, pull, push) in [
            (format!("{MINE}/app"), true, true),
            (format!("{MINE}/team/app"), true, true),
            (MINE.to_owned(), true, false),
            // no id
            (format!("{MINE}0/app"), true, false),
            (format!("{ANOTHER}/app"), false, false),
            (ANOTHER.to_owned(), false, false),
            // a word
            (ANOTHER.replace('-', ""), true, false),
            ("daytona/app".to_owned(), true, false),
            (format!("daytona/{MINE}/app"), true, false),
        ] {
            let repository: RepositoryName = name.parse().unwrap();
            assert_eq!((member.may_pull(&repository), member.may_push(&repository)), (pull, push), "{name}");
            assert_eq!((reader.may_pull(&repository), reader.may_push(&repository)), (pull, false), "{name}");
            assert!(RepositoryAccess::Owner.may_pull(&repository) && RepositoryAccess::Owner.may_push(&repository));
            let shared =
                ["daytona/", &format!("{MINE}0"), &ANOTHER.replace('-', "")].iter().any(|it| name.starts_with(*it));
            assert_eq!(RepositoryAccess::Shared.may_pull(&repository), shared, "{name}");
            assert_eq!(RepositoryAccess::Shared.may_push(&repository), shared, "{name}");
        }
    }

    fn request(peer: &str, headers: &[(&str, &str)]) -> Parts {
        let mut builder = http::Request::builder().extension(ConnectInfo(peer.parse::<SocketAddr>().unwrap()));
        for (name, value) in headers {
            builder = builder.header(*name, *value);
        }
        builder.body(()).unwrap().into_parts().0
    }

    #[test]
    fn only_this_machines_own_clients_are_from_here() {
        for (peer, headers, here) in [
            ("127.0.0.1:1", &[("host", "localhost:35009")][..], true),
            ("127.0.0.1:1", &[("host", "127.0.0.1:35009")], false),
            ("[::1]:1", &[("host", "localhost")], true),
            ("[::1]:1", &[("host", "[::1]:35009")], false),
            ("[::ffff:127.0.0.1]:1", &[("host", "LOCALHOST")], true),
            ("127.0.0.1:1", &[], false),
            ("127.0.0.1:1", &[("host", "registry.example.test")], false),
            ("127.0.0.1:1", &[("host", "localhost.example.test")], false),
            ("127.0.0.1:1", &[("host", "localhost@example.test")], false),
            ("127.0.0.1:1", &[("host", "localhost"), ("host", "localhost")], false),
            ("127.0.0.1:1", &[("host", "localhost"), ("origin", "null")], false),
            ("127.0.0.1:1", &[("host", "localhost"), ("x-forwarded-proto", "https")], false),
            ("127.0.0.1:1", &[("host", "localhost"), ("sec-fetch-site", "cross-site")], false),
            ("127.0.0.1:1", &[("host", "somebody@localhost")], false),
            ("192.0.2.1:1", &[("host", "localhost")], false),
        ] {
            assert_eq!(is_from_here(&request(peer, headers)), here, "{peer} {headers:?}");
        }
        let mut aimed = request("127.0.0.1:1", &[("host", "localhost")]);
        for (target, here) in [("http://localhost:35009/v2/", true), ("http://example.test/v2/", false)] {
            aimed.uri = target.parse().unwrap();
            assert_eq!(is_from_here(&aimed), here, "{target}");
        }
    }

    #[test]
    fn a_password_may_hold_colons() {
        let header = format!("bAsIc {}", STANDARD.encode("user:a:b"));
        let (user, password) = login(&header).unwrap();
        assert_eq!((&*user, password.reveal()), ("user", "a:b"));
        for wrong in ["", "Basic", "Basic !", "Bearer YTpi", "Basic YQ=="] {
            assert!(login(wrong).is_none(), "{wrong}");
        }
    }
}
