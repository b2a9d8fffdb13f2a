//! What the values of keys look like: one parser for `harbor config set`, `config.toml`, the environment and flags.
//!
//! Guarantees: what a start would refuse for its form is refused here, so `harbor config set` never accepts a value that
//! breaks the next start; a refusal says what the value must be and never echoes it, since it may be a secret in the
//! wrong key.
//! Leaves out: what only the machine can say: whether a port is free, an address is this machine's, or the engine knows
//! a runtime.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use figment::value::Value;

use super::Bind;

/// What a value looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ValueKind {
    /// One line of text.
    Text,
    /// Any text that must not be shown unasked.
    Secret,
    /// Printable ASCII without blanks, as an `Authorization` header carries it, that must not be shown unasked.
    Token,
    /// An unencrypted OpenSSH private key in base64, that must not be shown unasked.
    HostKey,
    /// A file system path.
    Path,
    /// The path of the data directory, which the engine must be able to mount.
    DataDirectory,
    /// `http` or `https`, a host, perhaps a port and a path.
    HttpUrl,
    /// The same without a path.
    HttpOrigin,
    /// `ssh`, a host, perhaps a port.
    SshUrl,
    /// Address of a container engine.
    Engine,
    /// An e-mail address.
    Email,
    /// Reference of a container image.
    Image,
    /// Name of an S3 bucket.
    Bucket,
    /// A log level, or levels by target.
    LogLevel,
    /// A TCP port; 0 lets the system choose another one at each start.
    Port,
    /// A whole number between two bounds, both included.
    Count(u32, u32),
    /// On or off.
    Switch,
    /// `localhost` or an IP address.
    Bind,
    /// One of these words.
    Choice(&'static [&'static str]),
}

/// Levels of log lines, the most important first.
pub(crate) const LEVELS: [&str; 5] = ["error", "warn", "info", "debug", "trace"];

impl ValueKind {
    /// `text` as a value of this kind; the error completes the sentence "KEY must be …".
    pub(crate) fn parse(self, text: &str) -> Result<Value, String> {
        let whole = text;
        let text = text.trim();
        let checked = |right: bool, wanted: &str| if right { Ok(Value::from(text)) } else { Err(wanted.to_owned()) };
        match self {
            // what surrounds it is refused rather than dropped: clients would send it
            Self::Token if !whole.is_empty() && whole.bytes().all(|byte| byte.is_ascii_graphic()) => {
                Ok(Value::from(whole))
            }
            Self::Token => Err("printable ASCII without blanks".to_owned()),
            Self::Secret => checked(!text.is_empty(), "some text"),
            Self::HostKey => checked(is_host_key(text), "base64 of an unencrypted OpenSSH private key"),
            Self::Text => checked(is_line(text), "one line of text"),
            Self::Path => checked(is_line(text), "a path"),
            Self::DataDirectory => checked(
                is_line(text) && !text.contains(':'),
                "a path without a colon, which ends a path for the engine",
            ),
            Self::HttpUrl if is_url(text, &["http", "https"], true) => Ok(Value::from(text.trim_end_matches('/'))),
            Self::HttpUrl => Err("an URL such as https://sandboxes.example.org".to_owned()),
            Self::HttpOrigin if is_url(text, &["http", "https"], false) => Ok(Value::from(text.trim_end_matches('/'))),
            Self::HttpOrigin => Err("an URL without a path such as https://sandboxes.example.org:5000".to_owned()),
            Self::SshUrl => checked(is_url(text, &["ssh"], false), "an URL such as ssh://sandboxes.example.org:2222"),
            Self::Engine => checked(is_engine(text), "unix:///path or tcp://host:port"),
            Self::Email => checked(is_email(text), "an e-mail address"),
            Self::Image => checked(is_image(text), "an image's reference such as debian:bookworm"),
            Self::Bucket => checked(
                is_bucket(text),
                "3 to 63 lowercase letters, digits, dots and hyphens, a letter or digit at both ends",
            ),
            Self::LogLevel => checked(
                is_log_level(text),
                "off, error, warn, info, debug or trace, or levels by target such as info,harbor_gateway=debug",
            ),
            Self::Port => text.parse::<u16>().map(Value::from).map_err(|_| "a port number from 0 to 65535".to_owned()),
            Self::Count(low, high) => match text.parse::<u32>() {
                Ok(number) if (low..=high).contains(&number) => Ok(Value::from(number)),
                _ => Err(format!("a whole number from {low} to {high}")),
            },
            Self::Switch => match text.to_ascii_lowercase().as_str() {
                "true" | "on" | "yes" | "1" => Ok(Value::from(true)),
                "false" | "off" | "no" | "0" => Ok(Value::from(false)),
                _ => Err("true or false".to_owned()),
            },
            Self::Bind => checked(text.parse::<Bind>().is_ok(), "localhost or an IP address such as 0.0.0.0"),
            Self::Choice(words) if words.contains(&text) => Ok(Value::from(text)),
            Self::Choice(words) => Err(format!("one of {}", words.join(", "))),
        }
    }

    /// Whether values are hidden in lists.
    pub(crate) fn is_secret(self) -> bool {
        matches!(self, Self::Secret | Self::Token | Self::HostKey)
    }

    /// What a value is called in help texts.
    pub(crate) fn placeholder(self) -> &'static str {
        match self {
            Self::Text | Self::Email | Self::Bucket => "TEXT",
            Self::Secret | Self::Token | Self::HostKey => "SECRET",
            Self::Path | Self::DataDirectory => "PATH",
            Self::HttpUrl | Self::HttpOrigin | Self::SshUrl => "URL",
            Self::Engine | Self::Bind => "ADDRESS",
            Self::Image => "IMAGE",
            Self::LogLevel => "LEVEL",
            Self::Port => "PORT",
            Self::Count(..) => "NUMBER",
            Self::Switch => "true|false",
            Self::Choice(_) => "WORD",
        }
    }
}

fn is_line(text: &str) -> bool {
    !text.is_empty() && !text.chars().any(char::is_control)
}

fn is_url(text: &str, schemes: &[&str], may_have_path: bool) -> bool {
    let Ok(url) = text.parse::<http::Uri>() else { return false };
    let Some(authority) = url.authority() else { return false };
    let path = url.path().trim_end_matches('/');
    url.scheme_str().is_some_and(|scheme| schemes.contains(&scheme))
        && !authority.host().is_empty()
        && !authority.as_str().contains('@')
        && has_valid_port(authority)
        && url.query().is_none()
        && (may_have_path || path.is_empty())
}

/// No port, or one that a client can connect to.
fn has_valid_port(authority: &http::uri::Authority) -> bool {
    let after_host = authority.as_str().strip_prefix(authority.host()).unwrap_or_default();
    after_host.is_empty() || authority.port_u16().is_some_and(|port| port > 0)
}

fn is_engine(text: &str) -> bool {
    match text.strip_prefix("unix://") {
        Some(path) => path.starts_with('/') && is_line(path),
        None => is_url(text, &["tcp", "http"], false),
    }
}

fn is_email(text: &str) -> bool {
    let has_no_blank = !text.chars().any(|character| character.is_whitespace() || character.is_control());
    has_no_blank
        && matches!(text.split_once('@'), Some((name, host)) if !name.is_empty() && !host.is_empty() && !host.contains('@'))
}

/// Loosely: the engine knows the rest.
fn is_image(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-/:@".contains(&byte);
    text.bytes().all(allowed) && text.starts_with(|first: char| first.is_ascii_alphanumeric())
}

fn is_bucket(text: &str) -> bool {
    let end = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-".contains(&byte);
    (3..=63).contains(&text.len())
        && text.bytes().all(allowed)
        && end(text.bytes().next())
        && end(text.bytes().next_back())
}

/// A lone word that is no level would be read as a target, and silence everything else.
fn is_log_level(text: &str) -> bool {
    let is_level = |word: &str| word == "off" || LEVELS.contains(&word);
    let directive = |text: &str| match text.trim().split_once('=') {
        Some((target, level)) => is_target(target) && is_level(&level.to_ascii_lowercase()),
        None => is_level(&text.trim().to_ascii_lowercase()),
    };
    text.split(',').all(directive) && tracing_subscriber::EnvFilter::try_new(text).is_ok()
}

fn is_target(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_:".contains(&byte))
}

/// By its frame; what is in it is read where it is used.
fn is_host_key(text: &str) -> bool {
    let decode = |text: &str| STANDARD.decode(text.split_whitespace().collect::<String>()).ok();
    let Some(armour) = decode(text).and_then(|bytes| String::from_utf8(bytes).ok()) else { return false };
    let body = armour
        .trim()
        .strip_prefix("-----BEGIN OPENSSH PRIVATE KEY-----")
        .and_then(|rest| rest.strip_suffix("-----END OPENSSH PRIVATE KEY-----"));
    // what follows is the name of the cipher, after its length
    body.and_then(decode).is_some_and(|key| key.starts_with(b"openssh-key-v1\0\0\0\0\x04none"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(kind: ValueKind, right: &[&str], wrong: &[&str]) {
        for text in right {
            assert!(kind.parse(text).is_ok(), "{text:?} is refused: it must be {}", kind.parse(text).unwrap_err());
        }
        for text in wrong {
            assert!(kind.parse(text).is_err(), "{text:?} is accepted");
        }
    }

    #[test]
    fn a_word_that_is_no_level_would_silence_all_logs() {
        check(
            ValueKind::LogLevel,
            &["info", "off", "WARN", "info,harbor_gateway=debug", "harbor_runner::create=trace, error"],
            &["loud", "", "info,", "harbor_gateway", "harbor=loud", "=info", "3.5", "[span]=info", "info;debug"],
        );
    }

    #[test]
    fn addresses_have_a_scheme_that_is_spoken_and_a_host() {
        check(
            ValueKind::HttpUrl,
            &["https://example.org", "http://localhost:35000/", "https://example.org/harbor", "http://[::1]:8080"],
            &[
                "ftp://x",
                "example.org",
                "https://",
                "http:///x",
                "https://a b",
                "https://x?y",
                "https://u:p@x",
                "http://x:99999",
            ],
        );
        check(
            ValueKind::SshUrl,
            &["ssh://example.org:2222", "ssh://example.org"],
            &["example.org", "ssh://", "http://x", "ssh://x/y"],
        );
        check(
            ValueKind::Engine,
            &["unix:///var/run/docker.sock", "tcp://localhost:2375", "http://10.0.0.1:2375"],
            &["foo", "unix://relative", "unix://", "/var/run/docker.sock", "ssh://host", "tcp://", ""],
        );
    }

    #[test]
    fn names_are_what_their_users_take() {
        check(ValueKind::Email, &["dev@daytona.io", "root@localhost"], &["", "dev", "@x", "x@", "a b@c", "a@b@c"]);
        check(
            ValueKind::Image,
            &["debian", "daytonaio/sandbox:v0.185.0-amd64", "localhost:5000/a/b@sha256:00"],
            &["", "a b", "-x", "https://x/y?z", "sand\nbox"],
        );
        check(ValueKind::Bucket, &["daytona", "a.b-c", "123"], &["", "ab", "Daytona", "-ab", "ab-", "a_b"]);
        check(ValueKind::DataDirectory, &["/data", "relative", "~/x"], &["", "/a:b", "/a\nb"]);
        check(ValueKind::Text, &["runsc", "two words"], &["", " ", "two\nlines"]);
    }

    #[test]
    fn a_host_key_is_told_from_other_text() {
        let armoured = |body: &[u8]| {
            let body = STANDARD.encode(body);
            STANDARD.encode(format!("-----BEGIN OPENSSH PRIVATE KEY-----\n{body}\n-----END OPENSSH PRIVATE KEY-----\n"))
        };
        let open = armoured(b"openssh-key-v1\0\0\0\0\x04none\0\0\0\x04nonerest");
        let encrypted = armoured(b"openssh-key-v1\0\0\0\0\x0aaes256-ctrrest");
        check(ValueKind::HostKey, &[&open], &["foo", "bm9uc2Vuc2U=", &encrypted, ""]);
    }

    #[test]
    fn numbers_have_bounds() {
        check(ValueKind::Port, &["0", "35000", "65535"], &["65536", "-1", "http", ""]);
        check(ValueKind::Count(0, 64), &["0", "64"], &["65", "-1", "many", "1.5"]);
    }
}
