//! Keys and passwords that anybody can read in public documents.
//!
//! They are honoured on loopback, where documents use them; an address that others can reach is refused with them
//! (design D9).

use anyhow::bail;

use super::Config;

/// Published values, by key.
const PUBLISHED: &[(&str, &[&str])] = &[
    ("daytona.admin_api_key", &["harbor-daytona-admin-key"]),
    ("daytona.admin_password", &["password"]),
    ("daytona.encryption_key", &["supersecretkey"]),
    ("daytona.encryption_salt", &["supersecretsalt"]),
    ("daytona.minio_root_password", &["minioadmin"]),
];

/// Refuses an address that others can reach together with a published secret.
pub(crate) fn check(config: &Config) -> anyhow::Result<()> {
    if config.bind.is_loopback() {
        return Ok(());
    }
    let daytona = &config.daytona;
    let configured = [
        ("daytona.admin_api_key", &daytona.admin_api_key),
        ("daytona.admin_password", &daytona.admin_password),
        ("daytona.encryption_key", &daytona.encryption_key),
        ("daytona.encryption_salt", &daytona.encryption_salt),
        ("daytona.minio_root_password", &daytona.minio_root_password),
    ];
    for (key, value) in configured {
        let published = PUBLISHED.iter().find(|(name, _)| *name == key).map_or(&[][..], |(_, values)| *values);
        if value.as_ref().is_some_and(|value| published.contains(&value.reveal())) {
            bail!(
                "{key} is a published value and bind is an address that others can reach: \
                 run `harbor config set {key} \"\"` for a generated one"
            );
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::load::{Said, load};
    use super::*;

    fn verdict(bind: &str, key: &str, value: &str) -> anyhow::Result<()> {
        let environment = BTreeMap::from([
            ("HARBOR_DATA_DIR".to_owned(), "/nonexistent".to_owned()),
            ("HARBOR_BIND".to_owned(), bind.to_owned()),
            (key.to_owned(), value.to_owned()),
        ]);
        check(&load(&Said { environment, ..Said::default() }).unwrap().config)
    }

    #[test]
    fn published_secrets_are_for_loopback() {
        for (key, values) in PUBLISHED {
            let variable = super::super::keys::find(key).unwrap().env();
            for value in *values {
                verdict("localhost", &variable, value).unwrap();
                verdict("127.0.0.1", &variable, value).unwrap();
                for bind in ["0.0.0.0", "::", "192.0.2.7"] {
                    let refusal = verdict(bind, &variable, value).unwrap_err().to_string();
                    assert!(refusal.contains(key) && refusal.contains("harbor config set"), "{refusal}");
                }
            }
            verdict("0.0.0.0", &variable, "of-my-own-making").unwrap();
        }
    }
}
