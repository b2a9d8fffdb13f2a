//! Who may reach the object storage: its owner, and for an hour at a time whoever may make snapshots or sandboxes (contract,
//! control-plane §8.3, edges §4.1).
//!
//! Temporary credentials are not recorded. Secret key and session token are computed from the access key, so that they hold
//! across restarts and go with the key that asked for them.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use harbor_model::Timestamp;
use harbor_model::identity::{ApiKey, KeyHash};
use harbor_model::ids::OrganizationId;
use harbor_model::secrets::Secret;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use subtle::ConstantTimeEq as _;

use crate::caller::{Grant, Requirement as _};
use crate::error::Kind;
use crate::{Allowed, Control, Error, MakeImages, now, token};

/// How long temporary credentials hold.
const LIFETIME: time::Duration = time::Duration::HOUR;

/// What temporary access keys begin with.
const TEMPORARY: &str = "TEMP";

/// What the object storage is opened with.
#[derive(Clone, Debug)]
pub struct ObjectStorage {
    /// The owner's access key.
    pub owner: String,
    /// The owner's secret key.
    pub owner_secret: Secret,
    /// The bucket for build contexts.
    pub bucket: String,
    /// What temporary credentials are computed with: 32 bytes.
    pub key: [u8; 32],
}

/// Temporary credentials.
#[derive(Clone, Debug)]
pub struct PushAccess {
    /// Names them.
    pub access_key: String,
    /// Signs requests.
    pub secret: Secret,
    /// Goes with every request.
    pub session_token: Secret,
    /// The organization, below whose id they open the bucket.
    pub organization: OrganizationId,
    /// The bucket.
    pub bucket: String,
}

/// What an access key opens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ObjectScope {
    /// Everything.
    Owner,
    /// What lies below the id of an organization in the bucket for build contexts.
    Organization(OrganizationId, String),
}

/// Why an access key opens nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ObjectDenial {
    /// The session token is missing, or belongs to another access key.
    InvalidToken,
    /// Its hour is over, or the key that asked for it is gone.
    Expired,
    /// It could not be found out.
    Unknown,
}

impl Control {
    /// Credentials with which the caller uploads what goes into images, for an hour.
    pub async fn push_access(&self, caller: &Allowed<MakeImages>) -> Result<PushAccess, Error> {
        let storage = &self.config().object_storage;
        let access_key = format!("{TEMPORARY}{}", token::token()?.reveal().to_ascii_uppercase());
        let key = match caller.grant() {
            Grant::Key(key) => URL_SAFE_NO_PAD.encode(storage.masked(&key.hash, &access_key)?),
            Grant::Harbor => String::new(),
        };
        // who removed it would keep everybody from uploading
        if !self.store().has_bucket(storage.bucket.clone()).await? {
            self.store().by(caller.actor()).create_bucket(storage.bucket.clone(), now()).await?;
        }
        let organization = caller.organization();
        let claim = format!("{organization}.{}.{key}", (now() + LIFETIME).unix_timestamp());
        Ok(PushAccess {
            secret: storage.secret(&access_key)?,
            session_token: storage.session_token(&access_key, &claim)?,
            access_key,
            organization,
            bucket: storage.bucket.clone(),
        })
    }

    /// The secret key of an access key; `None`: it cannot be one.
    pub fn object_secret(&self, access_key: &str) -> Option<Secret> {
        let storage = &self.config().object_storage;
        if access_key == storage.owner {
            return Some(storage.owner_secret.clone());
        }
        access_key.starts_with(TEMPORARY).then(|| storage.secret(access_key).ok()).flatten()
    }

    /// What an access key opens whose secret the caller has, together with this session token.
    pub async fn object_scope(&self, access_key: &str, token: Option<&str>) -> Result<ObjectScope, ObjectDenial> {
        let storage = &self.config().object_storage;
        if access_key == storage.owner {
            // the owner's key has no token: who sends one means another key
            return if token.is_none() { Ok(ObjectScope::Owner) } else { Err(ObjectDenial::InvalidToken) };
        }
        let claim = token.and_then(|token| storage.claim(access_key, token)).ok_or(ObjectDenial::InvalidToken)?;
        if claim.expires <= now() {
            return Err(ObjectDenial::Expired);
        }
        if let Some(key) = claim.key {
            let found = self.store().api_key_by_hash(key).await.map_err(|error| {
                tracing::warn!(%error, "not known whether a key of the object storage is there");
                ObjectDenial::Unknown
            })?;
            let good = |key: &ApiKey| {
                let may = |permission| key.permissions.contains(permission);
                key.expires_at.is_none_or(|at| at > now()) && MakeImages::ONE_OF.iter().any(may)
            };
            if !found.is_some_and(|owner| good(&owner.key)) {
                return Err(ObjectDenial::Expired);
            }
        }
        Ok(ObjectScope::Organization(claim.organization, storage.bucket.clone()))
    }
}

/// What a session token says.
struct Claim {
    organization: OrganizationId,
    expires: Timestamp,
    /// The API key that asked for it.
    key: Option<KeyHash>,
}

impl ObjectStorage {
    fn secret(&self, access_key: &str) -> Result<Secret, Error> {
        Ok(Secret::new(self.code("secret", access_key, "")?))
    }

    /// The claim, then its code.
    fn session_token(&self, access_key: &str, claim: &str) -> Result<Secret, Error> {
        let code = self.code("token", access_key, claim)?;
        Ok(Secret::new(format!("{}.{code}", URL_SAFE_NO_PAD.encode(claim))))
    }

    /// What a session token claims, if it was given out with this access key.
    fn claim(&self, access_key: &str, token: &str) -> Option<Claim> {
        let (claim, code) = token.split_once('.')?;
        let claim = String::from_utf8(URL_SAFE_NO_PAD.decode(claim).ok()?).ok()?;
        let expected = self.code("token", access_key, &claim).ok()?;
        if !bool::from(expected.as_bytes().ct_eq(code.as_bytes())) {
            return None;
        }
        let mut parts = claim.split('.');
        let organization = parts.next()?.parse().ok()?;
        let expires = Timestamp::from_unix_timestamp(parts.next()?.parse().ok()?).ok()?;
        let key = parts.next().filter(|key| !key.is_empty());
        let unmasked = |key: &str| {
            let masked = URL_SAFE_NO_PAD.decode(key).ok()?.try_into().ok()?;
            Some(KeyHash(self.masked(&KeyHash(masked), access_key).ok()?))
        };
        let key = key.map(|key| unmasked(key).ok_or(())).transpose().ok()?;
        Some(Claim { organization, expires, key })
    }

    /// The hash of an API key as nobody can read it who lacks the installation's key: a key may be a word that can be guessed.
    /// Twice it is the hash again.
    fn masked(&self, hash: &KeyHash, access_key: &str) -> Result<[u8; 32], Error> {
        let mask = self.mac("mask", access_key, "")?;
        Ok(std::array::from_fn(|at| hash.0[at] ^ mask[at]))
    }

    fn code(&self, purpose: &str, access_key: &str, claim: &str) -> Result<String, Error> {
        Ok(URL_SAFE_NO_PAD.encode(self.mac(purpose, access_key, claim)?))
    }

    fn mac(&self, purpose: &str, access_key: &str, claim: &str) -> Result<[u8; 32], Error> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.key)
            .map_err(|_| Error::new(Kind::Internal, "the object storage has no key"))?;
        // no purpose and no claim holds a line end: no two inputs are the same text
        mac.update(format!("{purpose}\n{claim}\n{access_key}").as_bytes());
        Ok(mac.finalize().into_bytes().into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn storage(key: u8) -> ObjectStorage {
        ObjectStorage {
            owner: "owner".to_owned(),
            owner_secret: Secret::new("secret"),
            bucket: "daytona".to_owned(),
            key: [key; 32],
        }
    }

    #[test]
    fn a_token_belongs_to_one_access_key() {
        let organization = OrganizationId::random();
        let masked = storage(1).masked(&KeyHash([0xab; 32]), "TEMPA").unwrap();
        assert_ne!(masked, [0xab; 32]);
        let claim = format!("{organization}.1767225600.{}", URL_SAFE_NO_PAD.encode(masked));
        let token = storage(1).session_token("TEMPA", &claim).unwrap();
        let found = storage(1).claim("TEMPA", token.reveal()).unwrap();
        assert_eq!((found.organization, found.expires.unix_timestamp()), (organization, 1_767_225_600));
        assert_eq!(found.key, Some(KeyHash([0xab; 32])));
        let longer = format!("{}x", token.reveal());
        let other = URL_SAFE_NO_PAD.encode(claim.replace("1767", "9767"));
        let (_, code) = token.reveal().split_once('.').unwrap();
        for (key, access_key, token) in [
            (2, "TEMPA", token.reveal()),
            (1, "TEMPB", token.reveal()),
            (1, "TEMPA", &longer),
            (1, "TEMPA", &format!("{other}.{code}")),
            (1, "TEMPA", code),
            (1, "TEMPA", ""),
        ] {
            assert!(storage(key).claim(access_key, token).is_none(), "{access_key} {token}");
        }
        assert_ne!(storage(1).secret("TEMPA").unwrap(), storage(1).secret("TEMPB").unwrap());
        assert_ne!(storage(1).secret("TEMPA").unwrap(), storage(2).secret("TEMPA").unwrap());
    }
}
