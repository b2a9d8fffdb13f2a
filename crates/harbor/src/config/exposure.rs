//! Who can connect, and with what: an address that others can reach needs keys and passwords that others cannot have.
//!
//! Guarantees: such an address is refused with a value that anybody can read in public documents, and with a key or
//! password weaker than stated here (design D9). On loopback both are honoured: documents use them there.

use std::collections::BTreeSet;

use anyhow::bail;
use harbor_model::secrets::Secret;

use super::{Bind, Config};

/// Fewer different characters than this are a pattern, however long the text is.
const DIFFERENT: usize = 6;

/// A secret that others could try.
struct Tried<'a> {
    key: &'static str,
    configured: Option<&'a Secret>,
    /// Values that public documents print.
    published: &'static [&'static str],
    /// The least number of characters; 0: nobody can try it over the network.
    shortest: usize,
}

fn tried(config: &Config) -> [Tried<'_>; 5] {
    fn secret<'a>(
        key: &'static str,
        configured: Option<&'a Secret>,
        published: &'static [&'static str],
        shortest: usize,
    ) -> Tried<'a> {
        Tried { key, configured, published, shortest }
    }
    let daytona = &config.daytona;
    [
        secret("daytona.admin_api_key", daytona.admin_api_key.as_ref(), &["harbor-daytona-admin-key"], 16),
        secret("daytona.admin_password", daytona.admin_password.as_ref(), &["password"], 12),
        secret("daytona.encryption_key", daytona.encryption_key.as_ref(), &["supersecretkey"], 0),
        secret("daytona.encryption_salt", daytona.encryption_salt.as_ref(), &["supersecretsalt"], 0),
        secret("daytona.minio_root_password", daytona.minio_root_password.as_ref(), &["minioadmin"], 12),
    ]
}

/// Refuses an address that others can reach together with a published or weak secret.
pub(crate) fn check(config: &Config) -> anyhow::Result<()> {
    if config.bind.is_loopback() {
        return Ok(());
    }
    for Tried { key, configured, published, shortest } in tried(config) {
        let Some(text) = configured.map(Secret::reveal) else { continue };
        let different = text.chars().collect::<BTreeSet<_>>().len();
        let weakness = if published.contains(&text) {
            "is a published value".to_owned()
        } else if shortest > 0 && (text.chars().count() < shortest || different < DIFFERENT) {
            format!("is too weak (at least {shortest} characters, {DIFFERENT} of them different)")
        } else {
            continue;
        };
        bail!(
            "{key} {weakness} and bind is an address that others can reach: \
             run `harbor config set {key} \"\"` for a generated one"
        );
    }
    Ok(())
}

/// Who can connect, in words.
pub(crate) fn audience(bind: Bind) -> String {
    match bind {
        bind if bind.is_loopback() => "this machine only".to_owned(),
        Bind::Address(address) if address.is_unspecified() => {
            "everybody who reaches this machine on any of its addresses, without encryption".to_owned()
        }
        Bind::Address(address) => format!("everybody who reaches {address}, without encryption"),
        Bind::Localhost => "this machine only".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::load::{Given, load};
    use super::*;

    fn config(bind: &str, key: &str, value: &str) -> Config {
        let environment = BTreeMap::from([
            ("HARBOR_DATA_DIR".to_owned(), "/nonexistent".to_owned()),
            ("HARBOR_BIND".to_owned(), bind.to_owned()),
            (super::super::keys::find(key).unwrap().env(), value.to_owned()),
        ]);
        load(&Given { environment, ..Given::default() }).unwrap().config
    }

    #[track_caller]
    fn check_for_loopback_alone(key: &str, value: &str, why: &str) {
        for bind in ["localhost", "127.0.0.1", "::1"] {
            check(&config(bind, key, value)).unwrap();
        }
        for bind in ["0.0.0.0", "::", "192.0.2.7"] {
            let refusal = check(&config(bind, key, value)).unwrap_err().to_string();
            assert!(
                refusal.contains(key) && refusal.contains(why) && refusal.contains("harbor config set"),
                "{refusal}"
            );
            assert!(value.len() < 8 || key.contains(value) || !refusal.contains(value), "{refusal}");
        }
    }

    #[test]
    fn published_secrets_are_for_loopback() {
        for Tried { key, published, .. } in tried(&config("localhost", "bind", "localhost")) {
            for value in published {
                check_for_loopback_alone(key, value, "published");
            }
            check(&config("0.0.0.0", key, "of-my-own-making")).unwrap();
        }
    }

    #[test]
    fn weak_secrets_are_for_loopback() {
        check_for_loopback_alone("daytona.admin_api_key", "x", "at least 16 characters");
        check_for_loopback_alone("daytona.admin_api_key", "fifteen-letters", "too weak");
        check_for_loopback_alone("daytona.admin_api_key", "ababababababababababab", "6 of them different");
        check_for_loopback_alone("daytona.admin_password", "hunter2", "at least 12 characters");
        check_for_loopback_alone("daytona.minio_root_password", "short", "too weak");
    }

    #[test]
    fn it_is_said_who_can_connect() {
        let audience = |bind: &str| audience(bind.parse().unwrap());
        for bind in ["localhost", "127.0.0.1", "::1"] {
            assert_eq!(audience(bind), "this machine only");
        }
        for bind in ["0.0.0.0", "::"] {
            assert!(audience(bind).contains("any of its addresses"), "{bind}");
        }
        assert!(audience("192.0.2.7").contains("192.0.2.7"));
    }
}
