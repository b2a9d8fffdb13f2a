//! Configuration: one documented table of keys, four places a value may come from, one typed result.
//!
//! A flag wins over the environment, that over `config.toml`, that over the default (contract, edges §10.1 and
//! §10.2). [`keys`] holds the table that everything else is driven by, [`kinds`] the one parser; [`load`] merges and types; [`file`] edits
//! `config.toml` without touching its comments; [`directories`] says where things lie.
//!
//! Leaves out: secrets that harbor makes itself (see `secrets`).

pub(crate) mod directories;
pub(crate) mod engine;
pub(crate) mod exposure;
pub(crate) mod file;
pub(crate) mod keep;
pub(crate) mod keys;
pub(crate) mod kinds;
pub(crate) mod load;
pub(crate) mod reference;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;
use std::time::Duration;

use harbor_model::secrets::Secret;
use serde::{Deserialize, Deserializer};

/// Everything that can be configured, typed. Field names are the dotted keys of [`keys::KEYS`].
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    /// Where everything of this installation lies; absolute.
    pub(crate) data_dir: PathBuf,
    /// Engine to use, as `unix:///path`, `tcp://host:port` or `http://…`; `None`: `DOCKER_HOST`, else the usual socket.
    pub(crate) docker_host: Option<String>,
    /// OCI runtime of sandboxes by the name registered with the engine; `None`: the engine's default.
    pub(crate) runtime: Option<String>,
    /// The address that services listen on.
    pub(crate) bind: Bind,
    /// Whether sandboxes may reach the host's local network.
    pub(crate) allow_lan: bool,
    /// How many seconds running requests get when harbor is asked to stop.
    pub(crate) grace_seconds: u64,
    /// The stock of network containers.
    pub(crate) infra: Infra,
    /// Sandboxes kept ready.
    pub(crate) warm_pool: WarmPool,
    /// The registry of images.
    pub(crate) registry: Registry,
    pub(crate) stopped: Stopped,
    pub(crate) capacity: Capacity,
    pub(crate) build: Build,
    /// Sameness with the reference server.
    pub(crate) compat: Compat,
    /// Addresses told to clients, where they differ from the ones listened on.
    #[serde(default)]
    pub(crate) public_url: PublicUrls,
    /// What is logged.
    pub(crate) log: Log,
    /// Keys with the names of the Harbor service.
    pub(crate) daytona: Daytona,
}

impl Config {
    /// How long running requests get when harbor is asked to stop.
    pub(crate) fn grace(&self) -> Duration {
        Duration::from_secs(self.grace_seconds)
    }

    /// Where this installation's files lie.
    pub(crate) fn directories(&self) -> directories::Directories {
        directories::Directories::new(&self.data_dir, self.daytona.workspace.as_deref())
    }

    /// Scheme, host and port of the API as clients should write it, without `/api`. `port` is the one listened on.
    pub(crate) fn api_url(&self, port: u16) -> String {
        self.public_url.api.clone().unwrap_or_else(|| format!("http://{}:{port}", self.bind.client_host()))
    }

    /// Scheme, host and port of the preview and toolbox proxy as clients should write it.
    pub(crate) fn proxy_url(&self, port: u16) -> String {
        self.public_url.proxy.clone().unwrap_or_else(|| format!("http://proxy.{}:{port}", self.bind.client_host()))
    }

    /// The name or address in `public_url.s3`, without brackets and port.
    pub(crate) fn s3_public_host(&self) -> Option<String> {
        host_of(self.public_url.s3.as_deref()?)
    }

    /// Names and addresses by which clients reach what is served with TLS, beside those of the loopback.
    pub(crate) fn certified_names(&self) -> Vec<String> {
        let bucket = &self.daytona.minio_bucket;
        let public = self.s3_public_host();
        let registry = self.public_url.registry.as_deref().and_then(host_of);
        let bound = match self.bind {
            Bind::Address(address) if !address.is_unspecified() && !address.is_loopback() => Some(address.to_string()),
            _ => None,
        };
        let of_bucket =
            public.iter().filter(|name| name.parse::<IpAddr>().is_err()).map(|name| format!("{bucket}.{name}"));
        // some clients take no wildcard for a name of two words
        [format!("{bucket}.localhost")]
            .into_iter()
            .chain(of_bucket)
            .chain(public.clone())
            .chain(registry)
            .chain(bound)
            .collect()
    }

    /// Host and port of the registry as Docker engines should write it. An address: by the name `localhost` it asks nobody for
    /// a login, without which engines do not show theirs.
    pub(crate) fn registry_host(&self, port: u16) -> String {
        let public = self.public_url.registry.as_deref().and_then(|url| url.split_once("://"));
        public.map_or_else(|| format!("{}:{port}", self.bind.client_address()), |(_, host)| host.to_owned())
    }

    /// Scheme, host and port of the S3 endpoint as clients should write it. An address, as some clients put the bucket's name
    /// before the name of a host (contract, edges §4.3).
    pub(crate) fn s3_url(&self, port: u16) -> String {
        self.public_url.s3.clone().unwrap_or_else(|| format!("http://{}:{port}", self.bind.client_address()))
    }
}

/// The name or address in a URL, without brackets and port.
fn host_of(url: &str) -> Option<String> {
    let url: http::Uri = url.parse().ok()?;
    Some(url.host()?.trim_matches(['[', ']']).to_owned())
}

/// `registry.*`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Registry {
    /// Whether this machine's own clients may use what is shared without a login.
    pub(crate) open_here: bool,
}

/// `infra.*`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Infra {
    /// Network containers kept ready ahead of time (design D4).
    pub(crate) stock: usize,
}

/// `warm_pool.*`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct WarmPool {
    /// Started sandboxes of the default snapshot that nobody has asked for yet (design D3).
    pub(crate) size: u32,
}

/// `stopped.*`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Stopped {
    /// The most stopped sandboxes that sleep (design D15).
    pub(crate) asleep: u32,
}

/// `capacity.*`: how often what the engine's machine has may be promised to sandboxes (design D11).
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(clippy::struct_field_names, reason = "the names of the keys")]
pub(crate) struct Capacity {
    /// Each processor.
    pub(crate) cpu_overcommit: u32,
    /// Each GiB of memory.
    pub(crate) memory_overcommit: u32,
    /// Each GiB of disk.
    pub(crate) disk_overcommit: u32,
}

/// `build.*`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Build {
    /// Whether images that are built for users get the machine's own certificate authorities (design D8).
    pub(crate) host_authorities: bool,
}

/// `compat.*`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Compat {
    /// Refuse what the reference server refuses, where harbor would accept it (design §3a).
    pub(crate) strict: bool,
}

/// `public_url.*`: each without a trailing `/`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PublicUrls {
    /// API and dashboard, without `/api`.
    pub(crate) api: Option<String>,
    /// Preview and toolbox proxy.
    pub(crate) proxy: Option<String>,
    /// The S3 endpoint.
    pub(crate) s3: Option<String>,
    /// The registry.
    pub(crate) registry: Option<String>,
}

/// `log.*`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Log {
    /// A level, or tracing directives such as `info,harbor_gateway=debug`.
    pub(crate) level: String,
    /// What `--foreground` writes to standard error; files are always JSON.
    pub(crate) format: LogFormat,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogFormat {
    /// For people.
    Text,
    /// One JSON object per line.
    Json,
}

/// `daytona.*`: the keys that still mean something.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Daytona {
    /// API, dashboard and event stream.
    pub(crate) host_port: u16,
    /// Preview and toolbox proxy.
    pub(crate) proxy_host_port: u16,
    /// Registry of images.
    pub(crate) registry_host_port: u16,
    /// S3 endpoint.
    pub(crate) minio_host_port: u16,
    /// Access key of the S3 endpoint's owner.
    pub(crate) minio_root_user: String,
    /// Bucket for build contexts.
    pub(crate) minio_bucket: String,
    /// The one user's address.
    pub(crate) admin_email: String,
    /// Admin API key; `None`: the generated one.
    #[serde(default, deserialize_with = "secret")]
    pub(crate) admin_api_key: Option<Secret>,
    /// Password of the one user; `None`: the generated one.
    #[serde(default, deserialize_with = "secret")]
    pub(crate) admin_password: Option<Secret>,
    /// Name of the default snapshot, and of its image.
    pub(crate) default_snapshot: String,
    /// Encrypts secrets at rest; `None`: the generated one.
    #[serde(default, deserialize_with = "secret")]
    pub(crate) encryption_key: Option<Secret>,
    /// Salt to the encryption key; `None`: the generated one.
    #[serde(default, deserialize_with = "secret")]
    pub(crate) encryption_salt: Option<Secret>,
    /// Secret key of the S3 endpoint's owner; `None`: the generated one.
    #[serde(default, deserialize_with = "secret")]
    pub(crate) minio_root_password: Option<Secret>,
    /// Base64 of an OpenSSH private key; `None`: the generated one.
    #[serde(default, deserialize_with = "secret")]
    pub(crate) ssh_host_key: Option<Secret>,
    /// Directory with `db/` and `minio/` in place of the data directory's own; absolute.
    pub(crate) workspace: Option<PathBuf>,
}

/// The address that services listen on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bind {
    /// `127.0.0.1` and `::1`.
    Localhost,
    /// One address.
    Address(IpAddr),
}

impl Bind {
    /// The addresses to bind; the first must work, further ones only where the machine has them.
    pub(crate) fn addresses(self) -> Vec<IpAddr> {
        match self {
            Self::Localhost => vec![IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)],
            Self::Address(address) => vec![address],
        }
    }

    /// Whether only this machine can connect.
    pub(crate) fn is_loopback(self) -> bool {
        match self {
            Self::Localhost => true,
            Self::Address(address) => address.is_loopback(),
        }
    }

    /// The address to write for clients on this machine, as a URL has it.
    pub(crate) fn client_address(self) -> String {
        match self {
            Self::Localhost => Ipv4Addr::LOCALHOST.to_string(),
            Self::Address(address) if address.is_unspecified() => Ipv4Addr::LOCALHOST.to_string(),
            bind @ Self::Address(_) => bind.client_host(),
        }
    }

    /// The host to write in URLs for clients on this machine.
    pub(crate) fn client_host(self) -> String {
        match self {
            Self::Localhost => "localhost".to_owned(),
            Self::Address(address) if address.is_unspecified() => "localhost".to_owned(),
            Self::Address(IpAddr::V6(address)) => format!("[{address}]"),
            Self::Address(IpAddr::V4(address)) => address.to_string(),
        }
    }
}

impl std::str::FromStr for Bind {
    type Err = std::net::AddrParseError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "localhost" { Ok(Self::Localhost) } else { Ok(Self::Address(text.parse()?)) }
    }
}

impl<'de> Deserialize<'de> for Bind {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

fn secret<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Secret>, D::Error> {
    Ok(Option::<String>::deserialize(deserializer)?.map(Secret::new))
}
