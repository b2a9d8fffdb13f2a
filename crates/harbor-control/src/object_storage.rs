//! Who may reach the object storage: its owner, and for an hour at a time whoever may make snapshots or sandboxes (contract,
//! control-plane §8.3, edges §4.1).

use harbor_model::ids::OrganizationId;
use harbor_model::secrets::Secret;

use crate::temporary::{Temporary, TemporaryDenial};
use crate::{Allowed, Control, Error, MakeImages, now};

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

impl Control {
    /// Credentials with which the caller uploads what goes into images, for an hour.
    pub async fn push_access(&self, caller: &Allowed<MakeImages>) -> Result<PushAccess, Error> {
        let bucket = self.config().object_storage.bucket.clone();
        let organization = caller.organization();
        let Temporary { name: access_key, token, .. } = self.temporary(TEMPORARY, organization, caller.grant())?;
        // who removed it would keep everybody from uploading
        if !self.store().has_bucket(bucket.clone()).await? {
            self.store().by(caller.actor()).create_bucket(bucket.clone(), now()).await?;
        }
        let secret = self.config().temporary_key.secret(&access_key)?;
        Ok(PushAccess { access_key, secret, session_token: token, organization, bucket })
    }

    /// The secret key of an access key; `None`: it cannot be one.
    pub fn object_secret(&self, access_key: &str) -> Option<Secret> {
        let storage = &self.config().object_storage;
        if access_key == storage.owner {
            return Some(storage.owner_secret.clone());
        }
        let secret = || self.config().temporary_key.secret(access_key).ok();
        access_key.starts_with(TEMPORARY).then(secret).flatten()
    }

    /// What an access key opens whose secret the caller has, together with this session token.
    pub async fn object_scope(&self, access_key: &str, token: Option<&str>) -> Result<ObjectScope, TemporaryDenial> {
        let storage = &self.config().object_storage;
        if access_key == storage.owner {
            // the owner's key has no token: who sends one means another key
            return if token.is_none() { Ok(ObjectScope::Owner) } else { Err(TemporaryDenial::InvalidToken) };
        }
        let organization = self.temporary_for(TEMPORARY, access_key, token).await?;
        Ok(ObjectScope::Organization(organization, storage.bucket.clone()))
    }
}
