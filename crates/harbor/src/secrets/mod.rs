//! Secrets of an installation: generated at first start, overridden by configuration.
//!
//! Guarantees: each lies in a file of its own below `keys/`, 0600, written whole or not at all, so that a crash at
//! any point is made good by the next start; none is ever replaced by itself. Nothing here is logged.
//! Leaves out: hashing (the password is hashed where it is checked) and tokens of sandboxes (those are in the database,
//! encrypted).

pub(crate) mod authority;
pub(crate) mod files;

use std::path::Path;

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use harbor_model::hex;
use harbor_model::ids::InstanceId;
use harbor_model::secrets::Secret;
use rcgen::{KeyPair, PKCS_ED25519};
use ssh_key::private::{Ed25519Keypair, Ed25519PrivateKey, KeypairData};
use ssh_key::public::Ed25519PublicKey;
use ssh_key::{LineEnding, PrivateKey};

use crate::config::Config;
use crate::config::directories::Directories;
use authority::Authority;

/// Everything secret that the services need.
#[derive(Clone, Debug)]
pub(crate) struct Secrets {
    /// Id of this installation, kept apart from the database.
    pub(crate) instance: InstanceId,
    /// The admin API key in force.
    pub(crate) admin_api_key: Secret,
    /// The one user's password in force.
    pub(crate) admin_password: Secret,
    /// Signs cookies: 32 bytes.
    pub(crate) cookie_key: [u8; 32],
    /// Signs preview tokens: 32 bytes.
    pub(crate) preview_key: [u8; 32],
    /// What temporary credentials of the object storage are computed with: 32 bytes.
    pub(crate) object_storage_key: [u8; 32],
    /// Encrypts the secrets in the database, together with its salt.
    pub(crate) encryption_key: Secret,
    /// Salt to the encryption key.
    pub(crate) encryption_salt: Secret,
    /// Secret key of the S3 endpoint's owner.
    pub(crate) minio_root_password: Secret,
    /// Host key of the SSH gateway: an OpenSSH private key (PEM).
    pub(crate) ssh_host_key: Secret,
    /// The local certificate authority and the certificate of this host.
    pub(crate) authority: Authority,
    /// Whether this start generated the admin API key.
    pub(crate) first_start: bool,
}

impl Secrets {
    /// Reads what is there, generates what is missing, and lets configured values win.
    pub(crate) fn load_or_generate(config: &Config, directories: &Directories) -> anyhow::Result<Self> {
        let keys = directories.keys();
        let instance = instance(&directories.instance())?;
        let file = |name: &str, generate: fn() -> String| {
            files::read_or_generate::<std::io::Error>(&keys.join(name), || Ok(generate()))
                .with_context(|| format!("cannot keep the secret {}", keys.join(name).display()))
        };
        let daytona = &config.daytona;
        let chosen = |configured: &Option<Secret>, name, generate| -> anyhow::Result<Secret> {
            match configured {
                Some(configured) => Ok(configured.clone()),
                None => Ok(Secret::new(file(name, generate)?.0)),
            }
        };
        let (generated_key, first_start) = file("admin_api_key", api_key)?;
        let ssh_host_key = match &daytona.ssh_host_key {
            Some(configured) => configured_host_key(configured)?,
            None => Secret::new(files::read_or_generate(&keys.join("ssh_host_key"), host_key)?.0),
        };
        Ok(Self {
            instance,
            admin_api_key: daytona.admin_api_key.clone().unwrap_or_else(|| Secret::new(generated_key)),
            admin_password: chosen(&daytona.admin_password, "admin_password", password)?,
            cookie_key: key_bytes(&file("cookie_key", random_hex)?.0)
                .context("keys/cookie_key is damaged: delete it")?,
            preview_key: key_bytes(&file("preview_key", random_hex)?.0)
                .context("keys/preview_key is damaged: delete it")?,
            object_storage_key: key_bytes(&file("object_storage_key", random_hex)?.0)
                .context("keys/object_storage_key is damaged: delete it")?,
            encryption_key: chosen(&daytona.encryption_key, "encryption_key", random_hex)?,
            encryption_salt: chosen(&daytona.encryption_salt, "encryption_salt", random_hex)?,
            minio_root_password: chosen(&daytona.minio_root_password, "minio_root_password", password)?,
            ssh_host_key,
            authority: Authority::load_or_generate(&keys, instance, &config.certified_names())?,
            first_start,
        })
    }
}

/// What `harbor config get` prints for a generated secret; `None`: nothing was generated yet.
pub(crate) fn generated(directories: &Directories, file: &str) -> anyhow::Result<Option<String>> {
    let path = directories.keys().join(file);
    let text = files::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(text.map(|text| if file == "ssh_host_key" { STANDARD.encode(text + "\n") } else { text }))
}

/// The id of this installation, if it has started once.
pub(crate) fn existing_instance(directories: &Directories) -> Option<InstanceId> {
    files::read(&directories.instance()).ok().flatten()?.parse().ok()
}

fn instance(path: &Path) -> anyhow::Result<InstanceId> {
    let (text, _) = files::read_or_generate::<std::io::Error>(path, || Ok(format!("{}\n", InstanceId::random())))
        .with_context(|| format!("cannot keep {}", path.display()))?;
    text.trim().parse().with_context(|| format!("{} does not hold a UUID: restore it from a backup", path.display()))
}

/// Digits of the key follow `dtn_`, as clients expect it (contract, control-plane, API keys).
fn api_key() -> String {
    format!("dtn_{}", random_hex())
}

fn random_hex() -> String {
    hex(&rand::random::<[u8; 32]>())
}

fn key_bytes(text: &str) -> anyhow::Result<[u8; 32]> {
    anyhow::ensure!(text.len() == 64 && text.is_ascii(), "not 64 hexadecimal digits");
    let mut bytes = [0; 32];
    for (at, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[2 * at..2 * at + 2], 16)?;
    }
    Ok(bytes)
}

/// 20 characters out of 32 that are not mistaken for each other: 100 bits.
fn password() -> String {
    const LETTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
    rand::random::<[u8; 20]>().iter().map(|byte| char::from(LETTERS[usize::from(byte % 32)])).collect()
}

/// What precedes the 32 bytes of the private key in PKCS#8 version 2 (RFC 8410, section 7; RFC 5958, section 2).
const ED25519_PKCS8: [u8; 14] = [2, 1, 1, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];

/// A new Ed25519 key in OpenSSH's format. Generated by the library that makes the certificates, so that no second
/// implementation of the curve is built for it.
fn host_key() -> anyhow::Result<String> {
    let pair = KeyPair::generate_for(&PKCS_ED25519).context("cannot generate an SSH host key")?;
    let pkcs8 = pair.serialized_der();
    let private = pkcs8.get(2..).and_then(|inner| inner.strip_prefix(&ED25519_PKCS8)).and_then(<[u8]>::first_chunk);
    let public = pair.public_key_raw().try_into().context("a generated SSH host key has no Ed25519 public key")?;
    let pair = Ed25519Keypair {
        public: Ed25519PublicKey(public),
        private: Ed25519PrivateKey::from_bytes(private.context("a generated SSH host key is no Ed25519 key")?),
    };
    let key = PrivateKey::new(KeypairData::from(pair), "harbor").context("cannot make an SSH host key")?;
    Ok(key.to_openssh(LineEnding::LF).context("cannot write an SSH host key")?.to_string())
}

fn configured_host_key(configured: &Secret) -> anyhow::Result<Secret> {
    let remedy = "daytona.ssh_host_key must be base64 of an unencrypted OpenSSH private key: \
                  run `harbor config set daytona.ssh_host_key \"\"` for a generated one";
    let bytes = STANDARD.decode(configured.reveal().split_whitespace().collect::<String>()).context(remedy)?;
    let key = PrivateKey::from_openssh(bytes).context(remedy)?;
    anyhow::ensure!(!key.is_encrypted(), remedy);
    Ok(Secret::new(key.to_openssh(LineEnding::LF).context(remedy)?.to_string()))
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::config::load::{Given, load};

    fn config(data: &Path, more: &[(&str, &str)]) -> Config {
        let mut environment = BTreeMap::from([("HARBOR_DATA_DIR".to_owned(), data.to_str().unwrap().to_owned())]);
        environment.extend(more.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        load(&Given { environment, ..Given::default() }).unwrap().config
    }

    fn start(data: &Path, more: &[(&str, &str)]) -> anyhow::Result<Secrets> {
        let config = config(data, more);
        config.directories().create()?;
        Secrets::load_or_generate(&config, &config.directories())
    }

    fn facts(secrets: &Secrets) -> Vec<String> {
        let Secrets { instance, cookie_key, preview_key, object_storage_key, authority, first_start: _, .. } = secrets;
        let texts = [
            &secrets.admin_api_key,
            &secrets.admin_password,
            &secrets.encryption_key,
            &secrets.encryption_salt,
            &secrets.minio_root_password,
            &secrets.ssh_host_key,
        ];
        let mut facts: Vec<_> = texts.iter().map(|secret| secret.reveal().to_owned()).collect();
        facts.extend([instance.to_string(), hex(cookie_key), hex(preview_key), hex(object_storage_key)]);
        facts.extend([authority.certificate.clone(), authority.leaf_certificates.clone()]);
        facts
    }

    #[test]
    fn a_first_start_makes_secrets_that_stay() {
        let data = tempfile::tempdir().unwrap();
        let first = start(data.path(), &[]).unwrap();
        assert!(first.first_start);
        let key = first.admin_api_key.reveal();
        assert!(key.len() == 68 && key.starts_with("dtn_") && key[4..].bytes().all(|byte| byte.is_ascii_hexdigit()));
        let second = start(data.path(), &[]).unwrap();
        assert!(!second.first_start);
        assert_eq!(facts(&first), facts(&second));
        assert_eq!(facts(&first).iter().collect::<BTreeSet<_>>().len(), facts(&first).len(), "all differ");
        for entry in fs::read_dir(data.path().join("keys")).unwrap() {
            let path = entry.unwrap().path();
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600, "{}", path.display());
        }
    }

    /// A crash between any two files leaves some of them: every such directory is completed, and what is there stays.
    #[test]
    fn a_crash_between_two_files_is_made_good() {
        let whole = tempfile::tempdir().unwrap();
        let before = facts(&start(whole.path(), &[]).unwrap());
        let names: Vec<_> =
            fs::read_dir(whole.path().join("keys")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        for missing in &names {
            let data = tempfile::tempdir().unwrap();
            fs::create_dir(data.path().join("keys")).unwrap();
            fs::copy(whole.path().join("instance"), data.path().join("instance")).unwrap();
            for name in names.iter().filter(|name| *name != missing) {
                fs::copy(whole.path().join("keys").join(name), data.path().join("keys").join(name)).unwrap();
            }
            let after = facts(&start(data.path(), &[]).unwrap());
            let lost: Vec<_> = before.iter().filter(|fact| !after.contains(fact)).collect();
            // a lost authority takes the certificates it signed with it
            let expected = if missing == "authority.pem" { 2 } else { 1 };
            assert_eq!(lost.len(), expected, "without {}", Path::new(missing).display());
        }
    }

    #[test]
    fn configured_secrets_win_and_leave_the_generated_ones_alone() {
        let data = tempfile::tempdir().unwrap();
        let first = start(data.path(), &[]).unwrap();
        let configured = start(data.path(), &[("HARBOR_DAYTONA_ADMIN_API_KEY", "harbor-daytona-admin-key")]).unwrap();
        assert_eq!(configured.admin_api_key.reveal(), "harbor-daytona-admin-key");
        assert_eq!(start(data.path(), &[]).unwrap().admin_api_key, first.admin_api_key);
    }

    #[test]
    fn a_host_keys_public_half_belongs_to_its_private_half() {
        let key = PrivateKey::from_openssh(host_key().unwrap()).unwrap();
        let pair = key.key_data().ed25519().unwrap();
        // version 1 of PKCS#8 holds the private half alone, from which the other one is computed
        let mut pkcs8 = vec![0x30, 0x2e, 2, 1, 0];
        pkcs8.extend_from_slice(&ED25519_PKCS8[3..]);
        pkcs8.extend_from_slice(&pair.private.to_bytes());
        let computed = KeyPair::try_from(pkcs8).unwrap();
        assert_eq!(computed.public_key_raw(), pair.public.0);
        assert_ne!(host_key().unwrap(), host_key().unwrap(), "each is another one");
    }

    #[test]
    fn a_host_key_can_be_carried_over() {
        let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let first = start(here.path(), &[]).unwrap();
        let printed = generated(&config(here.path(), &[]).directories(), "ssh_host_key").unwrap().unwrap();
        let second = start(there.path(), &[("HARBOR_DAYTONA_SSH_HOST_KEY", &printed)]).unwrap();
        let public = |secrets: &Secrets| {
            PrivateKey::from_openssh(secrets.ssh_host_key.reveal()).unwrap().public_key().key_data().clone()
        };
        assert_eq!(public(&first), public(&second));
    }

    #[test]
    fn nothing_secret_is_shown_by_debug() {
        let data = tempfile::tempdir().unwrap();
        let secrets = start(data.path(), &[]).unwrap();
        let shown = format!("{:?}", secrets.authority);
        assert!(!shown.contains("PRIVATE KEY"), "{shown}");
    }
}
