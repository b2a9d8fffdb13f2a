//! The table of configuration keys: the one place where a key is named. What values look like is in [`super::kinds`].
//!
//! It drives reading, `harbor config`, the flags of `harbor up` and the reference in `configuration.md`. The names
//! with `daytona.` are those of the Harbor service (contract, edges §10.2): keys of components that no longer exist
//! are accepted and answered, and say what replaced them.

use super::kinds::ValueKind;

/// One configuration key.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ConfigKey {
    /// Dotted name, as in `config.toml` and `harbor config get`.
    pub(crate) name: &'static str,
    /// What a value looks like.
    pub(crate) kind: ValueKind,
    /// What holds when nobody says otherwise.
    pub(crate) default: DefaultValue,
    /// Whether it still does something.
    pub(crate) standing: Standing,
    /// One sentence for people.
    pub(crate) meaning: &'static str,
}

/// What holds when nobody says otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DefaultValue {
    /// This value.
    Is(&'static str),
    /// Nothing.
    Unset,
    /// Generated at first start, in the file of this name below `keys/`.
    Generated(&'static str),
    /// The data directory of whoever runs harbor.
    DataDirectory,
}

/// Whether a key still does something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// harbor acts on it.
    Used,
    /// It is kept and answered, and does nothing until this part of harbor is built.
    Awaited(&'static str),
    /// It is kept and answered, with this note about what replaced it.
    Replaced(&'static str),
}

impl ConfigKey {
    /// The environment variable of this key.
    pub(crate) fn env(&self) -> String {
        format!("HARBOR_{}", self.name.replace('.', "_").to_uppercase())
    }

    /// The flag of `harbor up`, without dashes; keys that do nothing and secrets (visible to every user of the
    /// machine in the process list) have none.
    pub(crate) fn flag(&self) -> Option<String> {
        let offered = self.standing == Standing::Used && !self.is_secret();
        offered.then(|| self.name.trim_start_matches("daytona.").replace(['.', '_'], "-"))
    }

    /// Whether its value is hidden in lists.
    pub(crate) fn is_secret(&self) -> bool {
        self.kind.is_secret()
    }
}

/// The key that `text` names: dotted, with underscores throughout, or as environment variable.
pub(crate) fn find(text: &str) -> Option<&'static ConfigKey> {
    let plain = |name: &str| name.to_ascii_lowercase().replace(['.', '-'], "_");
    let asked = plain(text);
    let asked = asked.strip_prefix("harbor_").unwrap_or(&asked);
    KEYS.iter().find(|key| plain(key.name) == asked)
}

/// The key that somebody who wrote `text` probably meant.
pub(crate) fn similar(text: &str) -> Option<&'static ConfigKey> {
    let near = |key: &ConfigKey| {
        let whole = strsim::jaro_winkler(text, key.name);
        let tail = |name: &str| name.rsplit('.').next().map(str::to_owned).unwrap_or_default();
        whole.max(strsim::jaro_winkler(&tail(text), &tail(key.name)) - 0.05)
    };
    KEYS.iter()
        .map(|key| (near(key), key))
        .filter(|(score, _)| *score > 0.85)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|found| found.1)
}

const fn used(name: &'static str, kind: ValueKind, default: DefaultValue, meaning: &'static str) -> ConfigKey {
    ConfigKey { name, kind, default, standing: Standing::Used, meaning }
}

const fn awaited(
    name: &'static str,
    kind: ValueKind,
    default: DefaultValue,
    part: &'static str,
    meaning: &'static str,
) -> ConfigKey {
    ConfigKey { name, kind, default, standing: Standing::Awaited(part), meaning }
}

const fn replaced(name: &'static str, kind: ValueKind, default: &'static str, by: &'static str) -> ConfigKey {
    let default = if default.is_empty() { DefaultValue::Unset } else { DefaultValue::Is(default) };
    ConfigKey { name, kind, default, standing: Standing::Replaced(by), meaning: "accepted, without effect" }
}

const fn image(name: &'static str, default: &'static str) -> ConfigKey {
    replaced(name, ValueKind::Text, default, "harbor is one program: no component has an image of its own")
}

const SSH: &str = "the SSH gateway";

const PAGE: &str = "its page is part of the dashboard, on daytona.host_port";
const ONE_PROCESS: &str = "harbor is one process: its parts need no key to talk to each other";
const DATABASE: &str = "there is no PostgreSQL: the database is a file in the data directory";
const GATEWAY_KEY: &str = "the SSH gateway reaches sandboxes without a key pair";

use self::DefaultValue::{DataDirectory, Generated, Is, Unset};

/// Every key there is.
pub(crate) const KEYS: &[ConfigKey] = &[
    used("data_dir", ValueKind::DataDirectory, DataDirectory, "Directory with everything of this installation."),
    used(
        "docker_host",
        ValueKind::Engine,
        Unset,
        "Docker engine: unix:///path or tcp://host:port. Unset: DOCKER_HOST, else the usual socket.",
    ),
    used(
        "runtime",
        ValueKind::Text,
        Unset,
        "OCI runtime of sandboxes, as registered with the engine. Unset: the engine's default.",
    ),
    used("bind", ValueKind::Bind, Is("localhost"), "Address to listen on. localhost is 127.0.0.1 and ::1."),
    used(
        "allow_lan",
        ValueKind::Switch,
        Is("false"),
        "Whether sandboxes may reach the host's local network. Without effect until there are network policies: they can.",
    ),
    used(
        "grace_seconds",
        ValueKind::Count(0, 3600),
        Is("10"),
        "How long running requests get when harbor is asked to stop.",
    ),
    used(
        "infra.stock",
        ValueKind::Count(0, 64),
        Is("2"),
        "Network containers kept ready, so that a new sandbox starts faster; more after bursts.",
    ),
    used(
        "warm_pool.size",
        ValueKind::Count(0, 100),
        Is("1"),
        "Started sandboxes of the default snapshot kept ready; more after bursts. None where memory is below 4 GiB.",
    ),
    used(
        "stopped.asleep",
        ValueKind::Count(0, 1000),
        Is("20"),
        "Stopped sandboxes that sleep, about 10 MB each: they wake in milliseconds, and a prune leaves them alone.",
    ),
    used(
        "capacity.cpu_overcommit",
        ValueKind::Count(1, 1000),
        Is("64"),
        "How often each processor may be promised to sandboxes that run. What is beyond is refused.",
    ),
    used(
        "capacity.memory_overcommit",
        ValueKind::Count(1, 1000),
        Is("8"),
        "How often each GiB of memory may be promised to sandboxes that run. 1: each can use all of its own at any time.",
    ),
    used(
        "capacity.disk_overcommit",
        ValueKind::Count(1, 1000),
        Is("16"),
        "How often each GiB of the engine's disk may be promised to sandboxes that run or are stopped.",
    ),
    used(
        "build.host_authorities",
        ValueKind::Switch,
        Is("true"),
        "Give this machine's added certificate authorities to the images that are built for users.",
    ),
    used(
        "compat.strict",
        ValueKind::Switch,
        Is("false"),
        "Refuse what the reference server refuses, such as a size beside a snapshot.",
    ),
    used(
        "public_url.api",
        ValueKind::HttpUrl,
        Unset,
        "How clients reach API and dashboard, where it differs from the address listened on.",
    ),
    used("public_url.proxy", ValueKind::HttpUrl, Unset, "How clients reach previews and toolboxes."),
    awaited("public_url.ssh", ValueKind::SshUrl, Unset, SSH, "How clients reach the SSH gateway, as ssh://host:port."),
    used("public_url.s3", ValueKind::HttpUrl, Unset, "How clients reach the S3 endpoint."),
    used(
        "public_url.registry",
        ValueKind::HttpOrigin,
        Unset,
        "How Docker engines, also that of the sandboxes, reach the registry: scheme, host and port; not localhost.",
    ),
    used(
        "registry.open_here",
        ValueKind::Switch,
        Is("true"),
        "Let this machine's own clients push and pull shared images at localhost without a login. false: behind a proxy here.",
    ),
    used(
        "log.level",
        ValueKind::LogLevel,
        Is("info"),
        "Least important level that is logged, or directives such as info,harbor_gateway=debug.",
    ),
    used(
        "log.format",
        ValueKind::Choice(&["text", "json"]),
        Is("text"),
        "What --foreground writes; log files are always JSON.",
    ),
    used("daytona.host_port", ValueKind::Port, Is("35000"), "API, dashboard and event stream."),
    used("daytona.proxy_host_port", ValueKind::Port, Is("35001"), "Preview and toolbox proxy."),
    awaited("daytona.ssh_host_port", ValueKind::Port, Is("35003"), SSH, "SSH gateway."),
    used("daytona.registry_host_port", ValueKind::Port, Is("35009"), "Registry of images, with and without TLS."),
    used("daytona.minio_host_port", ValueKind::Port, Is("35011"), "S3 endpoint, with and without TLS."),
    used("daytona.admin_email", ValueKind::Email, Is("dev@daytona.io"), "E-mail address of the one user."),
    used("daytona.admin_api_key", ValueKind::Token, Generated("admin_api_key"), "API key of the one user."),
    used(
        "daytona.admin_password",
        ValueKind::Secret,
        Generated("admin_password"),
        "Dashboard password of the one user.",
    ),
    used(
        "daytona.default_snapshot",
        ValueKind::Image,
        Is("daytonaio/sandbox:v0.185.0-amd64"),
        "Name of the default snapshot and of its image.",
    ),
    used(
        "daytona.encryption_key",
        ValueKind::Secret,
        Generated("encryption_key"),
        "Encrypts tokens, signing keys and environments of sandboxes in the database. With another one harbor does not start.",
    ),
    used(
        "daytona.encryption_salt",
        ValueKind::Secret,
        Generated("encryption_salt"),
        "Salt to the encryption key, with which it must stay.",
    ),
    used("daytona.minio_root_user", ValueKind::Text, Is("minioadmin"), "Access key id of the S3 endpoint's owner."),
    used(
        "daytona.minio_root_password",
        ValueKind::Secret,
        Generated("minio_root_password"),
        "Secret key of the S3 endpoint's owner.",
    ),
    used("daytona.minio_bucket", ValueKind::Bucket, Is("daytona"), "Bucket for build contexts."),
    used(
        "daytona.ssh_host_key",
        ValueKind::HostKey,
        Generated("ssh_host_key"),
        "Host key of the SSH gateway: base64 of an OpenSSH private key. Setting it to \"\" makes a new one.",
    ),
    used(
        "daytona.workspace",
        ValueKind::Path,
        Unset,
        "Directory with db/ and minio/ in place of the data directory's own.",
    ),
    replaced(
        "daytona.runner_host_port",
        ValueKind::Port,
        "35002",
        "the runner is part of harbor, on daytona.host_port",
    ),
    replaced(
        "daytona.dex_host_port",
        ValueKind::Port,
        "35006",
        "the identity provider is part of harbor, on daytona.host_port",
    ),
    replaced("daytona.db_host_port", ValueKind::Port, "35007", DATABASE),
    replaced("daytona.pgadmin_host_port", ValueKind::Port, "35008", DATABASE),
    replaced("daytona.registry_ui_host_port", ValueKind::Port, "35010", PAGE),
    replaced("daytona.minio_console_host_port", ValueKind::Port, "35012", PAGE),
    replaced("daytona.jaeger_host_port", ValueKind::Port, "35013", PAGE),
    replaced("daytona.maildev_host_port", ValueKind::Port, "35014", PAGE),
    replaced("daytona.db_user", ValueKind::Text, "user", DATABASE),
    replaced("daytona.db_password", ValueKind::Text, "pass", DATABASE),
    replaced("daytona.db_name", ValueKind::Text, "daytona", DATABASE),
    replaced("daytona.proxy_api_key", ValueKind::Secret, "super_secret_key", ONE_PROCESS),
    replaced("daytona.runner_api_key", ValueKind::Secret, "secret_api_token", ONE_PROCESS),
    replaced("daytona.ssh_api_key", ValueKind::Secret, "ssh_secret_api_token", ONE_PROCESS),
    replaced("daytona.otel_collector_api_key", ValueKind::Secret, "otel_collector_api_key", ONE_PROCESS),
    replaced("daytona.ssh_gateway_private_key", ValueKind::Secret, "", GATEWAY_KEY),
    replaced("daytona.ssh_gateway_public_key", ValueKind::Text, "", GATEWAY_KEY),
    image("daytona.image", "daytonaio/daytona-api"),
    image("daytona.version", "latest"),
    image("daytona.proxy_image", "daytonaio/daytona-proxy"),
    image("daytona.proxy_version", "latest"),
    image("daytona.runner_image", "daytonaio/daytona-runner"),
    image("daytona.runner_version", "latest"),
    image("daytona.ssh_image", "daytonaio/daytona-ssh-gateway"),
    image("daytona.ssh_version", "latest"),
    image("daytona.dex_image", "dexidp/dex"),
    image("daytona.dex_version", "v2.42.0"),
    image("daytona.db_image", "postgres"),
    image("daytona.db_version", "18"),
    image("daytona.pgadmin_image", "dpage/pgadmin4"),
    image("daytona.pgadmin_version", "9.2.0"),
    image("daytona.registry_image", "registry"),
    image("daytona.registry_version", "2.8.2"),
    image("daytona.registry_ui_image", "joxit/docker-registry-ui"),
    image("daytona.registry_ui_version", "main"),
    image("daytona.redis_image", "redis"),
    image("daytona.redis_version", "latest"),
    image("daytona.minio_image", "minio/minio"),
    image("daytona.minio_version", "latest"),
    image("daytona.jaeger_image", "jaegertracing/all-in-one"),
    image("daytona.jaeger_version", "1.67.0"),
    image("daytona.otel_image", "otel/opentelemetry-collector-contrib"),
    image("daytona.otel_version", "0.138.0"),
    image("daytona.maildev_image", "maildev/maildev"),
    image("daytona.maildev_version", "latest"),
    replaced("container.prefix", ValueKind::Text, "harbor", "components are shown by their plain names"),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_variables_and_flags_are_unique() {
        let count = |of: Vec<String>| (of.len(), of.into_iter().collect::<BTreeSet<_>>().len());
        for (all, different) in [
            count(KEYS.iter().map(|key| key.name.to_owned()).collect()),
            count(KEYS.iter().map(ConfigKey::env).collect()),
            count(KEYS.iter().filter_map(ConfigKey::flag).collect()),
        ] {
            assert_eq!(all, different);
        }
    }

    #[test]
    fn every_default_is_a_value_of_its_kind() {
        for key in KEYS {
            if let DefaultValue::Is(text) = key.default {
                key.kind.parse(text).unwrap_or_else(|error| panic!("{} must be {error}", key.name));
            }
        }
    }

    #[test]
    fn a_key_is_found_by_every_name_it_has() {
        for text in ["daytona.host_port", "daytona_host_port", "HARBOR_DAYTONA_HOST_PORT", "daytona.host-port"] {
            assert_eq!(find(text).map(|key| key.name), Some("daytona.host_port"), "{text}");
        }
        assert!(find("daytona.hostport").is_none());
        assert_eq!(similar("daytona.hostport").map(|key| key.name), Some("daytona.host_port"));
        assert!(similar("zzz").is_none());
    }

    /// Names and defaults are those that the Harbor documents print (contract, edges §10.2).
    #[test]
    fn the_documented_keys_are_there() {
        for (env, default) in [
            ("HARBOR_DAYTONA_HOST_PORT", "35000"),
            ("HARBOR_DAYTONA_PROXY_HOST_PORT", "35001"),
            ("HARBOR_DAYTONA_RUNNER_HOST_PORT", "35002"),
            ("HARBOR_DAYTONA_SSH_HOST_PORT", "35003"),
            ("HARBOR_DAYTONA_DEX_HOST_PORT", "35006"),
            ("HARBOR_DAYTONA_DB_HOST_PORT", "35007"),
            ("HARBOR_DAYTONA_PGADMIN_HOST_PORT", "35008"),
            ("HARBOR_DAYTONA_REGISTRY_HOST_PORT", "35009"),
            ("HARBOR_DAYTONA_REGISTRY_UI_HOST_PORT", "35010"),
            ("HARBOR_DAYTONA_MINIO_HOST_PORT", "35011"),
            ("HARBOR_DAYTONA_MINIO_CONSOLE_HOST_PORT", "35012"),
            ("HARBOR_DAYTONA_JAEGER_HOST_PORT", "35013"),
            ("HARBOR_DAYTONA_MAILDEV_HOST_PORT", "35014"),
            ("HARBOR_DAYTONA_IMAGE", "daytonaio/daytona-api"),
            ("HARBOR_DAYTONA_SSH_IMAGE", "daytonaio/daytona-ssh-gateway"),
            ("HARBOR_DAYTONA_DB_USER", "user"),
            ("HARBOR_DAYTONA_DB_PASSWORD", "pass"),
            ("HARBOR_DAYTONA_DB_NAME", "daytona"),
            ("HARBOR_DAYTONA_DEFAULT_SNAPSHOT", "daytonaio/sandbox:v0.185.0-amd64"),
            ("HARBOR_CONTAINER_PREFIX", "harbor"),
        ] {
            let key = find(env).unwrap_or_else(|| panic!("{env} is missing"));
            assert_eq!((key.env().as_str(), key.default), (env, DefaultValue::Is(default)));
        }
        for env in [
            "ENCRYPTION_KEY",
            "ENCRYPTION_SALT",
            "ADMIN_API_KEY",
            "SSH_GATEWAY_PRIVATE_KEY",
            "SSH_HOST_KEY",
            "WORKSPACE",
        ] {
            assert!(find(&format!("HARBOR_DAYTONA_{env}")).is_some(), "{env}");
        }
    }
}
