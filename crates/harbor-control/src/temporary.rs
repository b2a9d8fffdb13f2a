//! Credentials that hold for an hour: with them clients upload what goes into images, and push images (contract, control-plane
//! §8.2, §8.3).
//!
//! They are not recorded. What proves them is computed from their name, so that they hold across restarts and go with the key
//! that asked for them.

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
use crate::{Control, Error, MakeImages, now, token};

/// How long temporary credentials hold.
const LIFETIME: time::Duration = time::Duration::HOUR;

/// What temporary credentials are computed with.
#[derive(Clone, Copy)]
pub struct TemporaryKey(pub [u8; 32]);

impl std::fmt::Debug for TemporaryKey {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("TemporaryKey")
    }
}

/// Temporary credentials.
pub(crate) struct Temporary {
    pub(crate) name: String,
    /// Says what they are for, and proves it.
    pub(crate) token: Secret,
    pub(crate) expires_at: Timestamp,
}

/// Why temporary credentials open nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TemporaryDenial {
    /// The token is missing, or belongs to other credentials.
    InvalidToken,
    /// Their hour is over, or the key that asked for them is gone.
    Expired,
    /// It could not be found out.
    Unknown,
}

impl Control {
    /// Credentials for an organization, whose names begin with `kind`, by which the names of one purpose differ from those of
    /// another.
    pub(crate) fn temporary(
        &self,
        kind: &str,
        organization: OrganizationId,
        grant: &Grant,
    ) -> Result<Temporary, Error> {
        let keys = self.config().temporary_key;
        let name = format!("{kind}{}", token::token()?.reveal().to_ascii_uppercase());
        let key = match grant {
            Grant::Key(key) => URL_SAFE_NO_PAD.encode(keys.masked(&key.hash, &name)?),
            Grant::Harbor => String::new(),
        };
        let expires_at = now() + LIFETIME;
        let claim = format!("{organization}.{}.{key}", expires_at.unix_timestamp());
        Ok(Temporary { token: keys.token(&name, &claim)?, name, expires_at })
    }

    /// The organization that these credentials of this kind are for.
    pub(crate) async fn temporary_for(
        &self,
        kind: &str,
        name: &str,
        token: Option<&str>,
    ) -> Result<OrganizationId, TemporaryDenial> {
        let token = token.filter(|_| name.starts_with(kind));
        let claim = token.and_then(|token| self.config().temporary_key.claim(name, token));
        let claim = claim.ok_or(TemporaryDenial::InvalidToken)?;
        if claim.expires <= now() {
            return Err(TemporaryDenial::Expired);
        }
        if let Some(key) = claim.key {
            let found = self.store().api_key_by_hash(key).await.map_err(|error| {
                tracing::warn!(%error, "not known whether the key that asked for temporary credentials is there");
                TemporaryDenial::Unknown
            })?;
            let good = |key: &ApiKey| {
                let may = |permission| key.permissions.contains(permission);
                key.expires_at.is_none_or(|at| at > now()) && MakeImages::ONE_OF.iter().any(may)
            };
            if !found.is_some_and(|owner| good(&owner.key)) {
                return Err(TemporaryDenial::Expired);
            }
        }
        Ok(claim.organization)
    }
}

/// What a token says.
struct Claim {
    organization: OrganizationId,
    expires: Timestamp,
    /// The API key that asked for it.
    key: Option<KeyHash>,
}

impl TemporaryKey {
    /// What requests are signed with, by who has the credentials of this name.
    pub(crate) fn secret(self, name: &str) -> Result<Secret, Error> {
        Ok(Secret::new(self.code("secret", name, "")?))
    }

    /// The claim, then its code.
    fn token(self, name: &str, claim: &str) -> Result<Secret, Error> {
        let code = self.code("token", name, claim)?;
        Ok(Secret::new(format!("{}.{code}", URL_SAFE_NO_PAD.encode(claim))))
    }

    /// What a token claims, if it was given out with this name.
    fn claim(self, name: &str, token: &str) -> Option<Claim> {
        let (claim, code) = token.split_once('.')?;
        let claim = String::from_utf8(URL_SAFE_NO_PAD.decode(claim).ok()?).ok()?;
        let expected = self.code("token", name, &claim).ok()?;
        if !bool::from(expected.as_bytes().ct_eq(code.as_bytes())) {
            return None;
        }
        let mut parts = claim.split('.');
        let organization = parts.next()?.parse().ok()?;
        let expires = Timestamp::from_unix_timestamp(parts.next()?.parse().ok()?).ok()?;
        let key = parts.next().filter(|key| !key.is_empty());
        let unmasked = |key: &str| {
            let masked = URL_SAFE_NO_PAD.decode(key).ok()?.try_into().ok()?;
            Some(KeyHash(self.masked(&KeyHash(masked), name).ok()?))
        };
        let key = key.map(|key| unmasked(key).ok_or(())).transpose().ok()?;
        Some(Claim { organization, expires, key })
    }

    /// The hash of an API key as nobody can read it who lacks the installation's key: a key may be a word that can be guessed.
    /// Twice it is the hash again.
    fn masked(self, hash: &KeyHash, name: &str) -> Result<[u8; 32], Error> {
        let mask = self.mac("mask", name, "")?;
        Ok(std::array::from_fn(|at| hash.0[at] ^ mask[at]))
    }

    fn code(self, purpose: &str, name: &str, claim: &str) -> Result<String, Error> {
        Ok(URL_SAFE_NO_PAD.encode(self.mac(purpose, name, claim)?))
    }

    fn mac(self, purpose: &str, name: &str, claim: &str) -> Result<[u8; 32], Error> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0)
            .map_err(|_| Error::new(Kind::Internal, "temporary credentials have no key"))?;
        // no purpose and no claim holds a line end: no two inputs are the same text
        mac.update(format!("{purpose}\n{claim}\n{name}").as_bytes());
        Ok(mac.finalize().into_bytes().into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_belongs_to_one_name() {
        let (keys, others) = (TemporaryKey([1; 32]), TemporaryKey([2; 32]));
        let organization = OrganizationId::random();
        let masked = keys.masked(&KeyHash([0xab; 32]), "TEMPA").unwrap();
        assert_ne!(masked, [0xab; 32]);
        let claim = format!("{organization}.1767225600.{}", URL_SAFE_NO_PAD.encode(masked));
        let token = keys.token("TEMPA", &claim).unwrap();
        let found = keys.claim("TEMPA", token.reveal()).unwrap();
        assert_eq!((found.organization, found.expires.unix_timestamp()), (organization, 1_767_225_600));
        assert_eq!(found.key, Some(KeyHash([0xab; 32])));
        let longer = format!("{}x", token.reveal());
        let other = URL_SAFE_NO_PAD.encode(claim.replace("1767", "9767"));
        let (_, code) = token.reveal().split_once('.').unwrap();
        for (keys, name, token) in [
            (others, "TEMPA", token.reveal()),
            (keys, "TEMPB", token.reveal()),
            (keys, "TEMPA", &longer),
            (keys, "TEMPA", &format!("{other}.{code}")),
            (keys, "TEMPA", code),
            (keys, "TEMPA", ""),
        ] {
            assert!(keys.claim(name, token).is_none(), "{name} {token}");
        }
        assert_ne!(keys.secret("TEMPA").unwrap(), keys.secret("TEMPB").unwrap());
        assert_ne!(keys.secret("TEMPA").unwrap(), others.secret("TEMPA").unwrap());
    }
}
