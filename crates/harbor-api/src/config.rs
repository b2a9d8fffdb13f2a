//! What the binary tells the API about this installation.

use harbor_model::ids::InstanceId;
use harbor_model::secrets::Secret;
use harbor_serve::BodyBudget;

/// What the API has to know of this installation.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where clients find things.
    pub urls: Urls,
    /// The contract version that clients are told, with its `v`: `v0.190.0` keeps the oldest supported CLI quiet
    /// (contract, control-plane §1.7).
    pub version: String,
    /// harbor's own version.
    pub harbor_version: String,
    /// This installation; also the id of its one runner.
    pub instance: InstanceId,
    /// Opens `/health/ready` (contract, control-plane §2.2); `None`: nothing does, and only `/harbor/ready` tells.
    pub health_key: Option<Secret>,
    /// Who signs people in.
    pub oidc: Option<Oidc>,
    /// The bytes that bodies may hold while they are read.
    pub bodies: BodyBudget,
}

/// Where clients find things. None ends in a slash.
#[derive(Clone, Debug)]
pub struct Urls {
    /// Base of the API, ending in `/api`.
    pub api: String,
    /// Base of the dashboard, ending in `/dashboard`.
    pub dashboard: String,
    /// Base of toolbox calls, ending in `/toolbox`; a sandbox's id and path follow.
    pub proxy_toolbox: String,
    /// What preview URLs are made of.
    pub preview: PreviewUrls,
    /// The SSH gateway, where there is one.
    pub ssh: Option<SshAddress>,
    /// The S3 endpoint.
    pub s3: S3Urls,
    /// The registry of images as the engines of clients reach it: host and port.
    pub registry: String,
}

/// Where clients find the S3 endpoint.
#[derive(Clone, Debug)]
pub struct S3Urls {
    /// For clients that do not ask the operating system which authorities it trusts.
    pub plain: String,
    /// For those that take nothing but TLS (contract, edges §4.2).
    pub tls: String,
    /// The region that clients sign with.
    pub region: String,
}

/// What preview URLs are made of: `<protocol>://<port>-<sandbox>.<domain>`.
#[derive(Clone, Debug)]
pub struct PreviewUrls {
    /// `http` or `https`.
    pub protocol: String,
    /// Domain with port, for example `proxy.localhost:35001`.
    pub domain: String,
}

impl PreviewUrls {
    /// The URL of `port` (or a placeholder) of a sandbox id or token.
    pub(crate) fn of(&self, port: &str, sandbox: &str) -> String {
        let Self { protocol, domain } = self;
        format!("{protocol}://{port}-{sandbox}.{domain}")
    }
}

/// Where the SSH gateway listens, as clients reach it.
#[derive(Clone, Debug)]
pub struct SshAddress {
    /// Host name or address.
    pub host: String,
    /// Port.
    pub port: u16,
}

impl SshAddress {
    /// The command that opens a shell with this token (contract, control-plane §5.11).
    pub(crate) fn command(&self, token: &str) -> String {
        match self {
            Self { host, port: 22 } => format!("ssh {token}@{host}"),
            Self { host, port } => format!("ssh -p {port} {token}@{host}"),
        }
    }
}

/// An OpenID Connect issuer.
#[derive(Clone, Debug)]
pub struct Oidc {
    /// Its issuer URL.
    pub issuer: String,
    /// The dashboard's client id.
    pub client_id: String,
    /// The audience of its tokens.
    pub audience: String,
}
