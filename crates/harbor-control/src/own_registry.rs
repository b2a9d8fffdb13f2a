//! Who may do what in harbor's own registry of images: whoever has an API key, and for an hour at a time whoever may make
//! snapshots or sandboxes (contract, control-plane §8.2, edges §5.3).

use harbor_model::Timestamp;
use harbor_model::ids::OrganizationId;
use harbor_model::secrets::Secret;

use crate::caller::Grant;
use crate::error::Kind;
use crate::temporary::{Temporary, TemporaryDenial};
use crate::{Administer, Allowed, Control, Error, MakeImages};

/// What names of temporary logins of users begin with.
const PUSHES: &str = "PUSH";

/// What names of logins begin with by which harbor pulls.
const PULLS: &str = "PULL";

/// A login to the registry that holds for an hour.
#[derive(Clone, Debug)]
pub struct RegistryLogin {
    /// Who logs in.
    pub username: String,
    /// With what.
    pub secret: Secret,
    /// The organization, with whose id the names of its repositories begin.
    pub organization: OrganizationId,
    /// Until when it holds.
    pub expires_at: Timestamp,
}

/// What a login to the registry opens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RegistryScope {
    /// Everything.
    Owner,
    /// What is an organization's, and what is everybody's to pull.
    Organization {
        /// The organization.
        id: OrganizationId,
        /// Whether its repositories may be pushed to.
        push: bool,
    },
}

/// Why a login to the registry opens nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RegistryDenial {
    /// There is no such login, or its time is over.
    Invalid,
    /// It could not be found out.
    Unknown,
}

impl Control {
    /// A login with which the caller pushes images, for an hour.
    pub fn registry_login(&self, caller: &Allowed<MakeImages>) -> Result<RegistryLogin, Error> {
        self.login_for(PUSHES, caller.organization(), caller.grant())
    }

    /// A login with which harbor pulls for an organization what its snapshots and sandboxes are made of.
    pub fn own_registry_login(&self, organization: OrganizationId) -> Result<RegistryLogin, Error> {
        self.login_for(PULLS, organization, &Grant::Harbor)
    }

    fn login_for(&self, kind: &str, organization: OrganizationId, grant: &Grant) -> Result<RegistryLogin, Error> {
        let Temporary { name, token, expires_at } = self.temporary(kind, organization, grant)?;
        Ok(RegistryLogin { username: name, secret: token, organization, expires_at })
    }

    /// What this login opens: a temporary one, or any user with an API key as the password.
    pub async fn registry_scope(&self, user: &str, password: &Secret) -> Result<RegistryScope, RegistryDenial> {
        for (kind, push) in [(PUSHES, true), (PULLS, false)] {
            match self.temporary_for(kind, user, Some(password.reveal())).await {
                Ok(id) => return Ok(RegistryScope::Organization { id, push }),
                Err(TemporaryDenial::Unknown) => return Err(RegistryDenial::Unknown),
                Err(TemporaryDenial::Expired) => return Err(RegistryDenial::Invalid),
                // a user may be called anything
                Err(TemporaryDenial::InvalidToken) => {}
            }
        }
        let caller = self.authenticate(password.reveal()).await.map_err(|error| match error.kind() {
            Kind::Unauthenticated => RegistryDenial::Invalid,
            _ => RegistryDenial::Unknown,
        })?;
        if caller.clone().allow::<Administer>().is_ok() {
            return Ok(RegistryScope::Owner);
        }
        let id = caller.organization();
        Ok(RegistryScope::Organization { id, push: caller.allow::<MakeImages>().is_ok() })
    }
}
