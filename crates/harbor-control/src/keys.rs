//! API keys (contract, control-plane §9.1).

use harbor_model::Timestamp;
use harbor_model::identity::{ApiKey, KeyEnds, Permission};
use harbor_model::ids::UserId;
use harbor_model::names::DisplayName;
use harbor_model::organizations::MemberRole;
use harbor_model::secrets::Secret;
use harbor_store::StoreError;

use crate::caller::forbidden;
use crate::identity::hash_key;
use crate::{Caller, Control, Error, Grant, now, token};

/// What a new key shall be.
#[derive(Clone, Debug)]
pub struct NewKey {
    /// Its name, unique per organization and user.
    pub name: DisplayName,
    /// What it allows.
    pub permissions: Vec<Permission>,
    /// From when on it opens nothing; in the past: from the start. `None`: as long as its parent, or for ever.
    pub expires_at: Option<Timestamp>,
}

/// A key just made, with the text that is shown this once.
#[derive(Clone, Debug)]
pub struct IssuedKey {
    /// The key.
    pub key: ApiKey,
    /// Its text.
    pub value: Secret,
}

impl Control {
    /// Makes a key for the caller. One that a key makes allows nothing that its parent does not, lives no longer, and
    /// goes when its parent is deleted. It expires with its parent where no other time is asked for.
    pub async fn create_key(&self, caller: &Caller, new: NewKey) -> Result<IssuedKey, Error> {
        if let Some(missing) = caller.lacks(&new.permissions) {
            return Err(forbidden(format!("a key cannot give the permission {missing}, which yours lacks")));
        }
        let parent = match &caller.grant {
            Grant::Key(parent) => Some(parent),
            Grant::Harbor => None,
        };
        let expires_at = lifetime(parent.and_then(|parent| parent.expires_at), new.expires_at)?;
        let value = token::api_key()?;
        let key = ApiKey {
            organization: caller.organization,
            user: caller.user.id.clone(),
            name: new.name,
            hash: hash_key(value.reveal()),
            ends: KeyEnds::of(value.reveal()),
            permissions: new.permissions,
            created_at: now(),
            last_used_at: None,
            expires_at,
            parent: parent.map(|parent| parent.hash),
        };
        self.store().by(caller.actor()).insert_api_key(key.clone()).await.map_err(|error| match error {
            StoreError::NameTaken => Error::conflict(format!("API key with name {} already exists", key.name)),
            other => other.into(),
        })?;
        Ok(IssuedKey { key, value })
    }

    /// The keys that the caller may see: an owner all of the organization, a member its own.
    pub async fn keys(&self, caller: &Caller) -> Result<Vec<ApiKey>, Error> {
        let user = (caller.role == MemberRole::Member).then(|| caller.user.id.clone());
        Ok(self.store().api_keys(caller.organization, user).await?)
    }

    /// The caller's own key of this name.
    pub async fn key(&self, caller: &Caller, name: &str) -> Result<ApiKey, Error> {
        let found = self.store().api_key(caller.organization, caller.user.id.clone(), name.to_owned()).await?;
        found.ok_or_else(|| Error::not_found(format!("API key {name} not found")))
    }

    /// Deletes a key with all that it made: one's own, or as an owner anybody's. They open nothing from then on. No key
    /// deletes one that allows more than itself.
    pub async fn delete_key(&self, caller: &Caller, user: Option<UserId>, name: &str) -> Result<(), Error> {
        let user = user.unwrap_or_else(|| caller.user.id.clone());
        if user != caller.user.id && caller.role != MemberRole::Owner {
            return Err(forbidden("only an owner deletes the keys of others"));
        }
        let not_found = || Error::not_found(format!("API key {name} not found"));
        let found = self.store().api_key(caller.organization, user.clone(), name.to_owned()).await?;
        let key = found.ok_or_else(not_found)?;
        if let Some(missing) = caller.lacks(&key.permissions) {
            return Err(forbidden(format!("the key {name} has the permission {missing}, which yours lacks")));
        }
        if self.store().by(caller.actor()).delete_api_key(caller.organization, user, name.to_owned()).await? {
            self.inner.deletions.tell();
            return Ok(());
        }
        Err(not_found())
    }
}

/// When a key ends that shall end at `asked` and whose parent ends at `parent`.
fn lifetime(parent: Option<Timestamp>, asked: Option<Timestamp>) -> Result<Option<Timestamp>, Error> {
    match (parent, asked) {
        (Some(parent), Some(asked)) if asked > parent => {
            Err(forbidden(format!("a key cannot outlive yours, which expires at {parent}")))
        }
        (parent, asked) => Ok(asked.or(parent)),
    }
}
