//! Credentials, and the user whom this installation begins with (contract, control-plane §2).

use harbor_model::actors::Actor;
use harbor_model::identity::{ApiKey, KeyEnds, KeyHash, Permission};
use harbor_model::ids::{OrganizationId, UserId};
use harbor_model::names::DisplayName;
use harbor_model::organizations::User;
use harbor_store::KeyOwner;
use sha2::{Digest, Sha256};
use tokio::sync::watch;

use crate::error::Kind;
use crate::key_watch::KeyWatch;
use crate::{Caller, Control, Error, now};

/// Seconds between two refreshes of a key's `lastUsedAt`.
const LAST_USED_PRECISION: time::Duration = time::Duration::seconds(10);

/// What is kept of a key's text.
pub fn hash_key(key: &str) -> KeyHash {
    KeyHash(Sha256::digest(key.as_bytes()).into())
}

impl Control {
    /// Who `bearer` speaks for, noting that its key was used. Unknown, expired and malformed ones are refused alike.
    ///
    /// A time of use that cannot be written, as on a full disk, refuses nobody.
    pub async fn authenticate(&self, bearer: &str) -> Result<Caller, Error> {
        let (owner, deletions) = self.look_up(bearer).await?;
        let (key, now) = (&owner.key, now());
        if key.last_used_at.is_none_or(|at| now - at >= LAST_USED_PRECISION)
            && let Err(error) = self.store().by(Actor::Harbor).touch_api_key(key.hash, now).await
        {
            tracing::warn!(key = %key.name, %error, "last use of a key not written");
        }
        let watch = KeyWatch::new(&owner.key, deletions);
        Ok(Caller::with_key(owner.user, owner.role, owner.key, watch))
    }

    /// The organization that `bearer` opens, for harbor's own look whether it still does: no use of the key is noted.
    pub async fn still_opens(&self, bearer: &str) -> Result<OrganizationId, Error> {
        Ok(self.look_up(bearer).await?.0.key.organization)
    }

    async fn look_up(&self, bearer: &str) -> Result<(KeyOwner, watch::Receiver<()>), Error> {
        let deletions = self.inner.deletions.listen();
        let found = self.store().api_key_by_hash(hash_key(bearer)).await?;
        let good = found.filter(|found| found.key.expires_at.is_none_or(|at| at > now()));
        let owner = good.ok_or_else(|| Error::new(Kind::Unauthenticated, "Invalid credentials"))?;
        Ok((owner, deletions))
    }

    /// The first user, its organization and its key, as the configuration has them (design D9).
    pub(crate) async fn ensure_administrator(&self) -> Result<(), Error> {
        let config = self.config();
        let name = |text: &str| {
            text.parse::<DisplayName>()
                .map_err(|error| Error::invalid(format!("the administrator's name '{text}' {error}")))
        };
        let created_at = now();
        let user = User {
            id: config.administrator.clone(),
            name: name(&config.administrator_name)?,
            email: config.administrator_email.clone(),
            administrator: true,
            created_at,
        };
        let personal = self.personal_organization(&user)?;
        let key_name = name(config.administrator.as_str())?;
        let personal = self.store().by(Actor::Harbor).ensure_user(user.clone(), personal).await?;
        self.ensure_administrator_key(personal.id, user.id, key_name).await
    }

    async fn ensure_administrator_key(
        &self,
        organization: OrganizationId,
        user: UserId,
        name: DisplayName,
    ) -> Result<(), Error> {
        let text = self.config().administrator_key.reveal();
        let hash = hash_key(text);
        let known = self.store().api_key(organization, user.clone(), name.as_str().to_owned()).await?;
        if known.is_some_and(|known| known.hash == hash && known.permissions == Permission::ALL) {
            return Ok(());
        }
        let key = ApiKey {
            organization,
            user,
            name,
            hash,
            ends: KeyEnds::of(text),
            permissions: Permission::ALL.to_vec(),
            created_at: now(),
            last_used_at: None,
            expires_at: None,
            parent: None,
        };
        Ok(self.store().by(Actor::Harbor).replace_api_key(key).await?)
    }
}
