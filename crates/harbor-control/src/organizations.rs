//! Organizations as their members see them.

use harbor_model::Timestamp;
use harbor_model::ids::OrganizationId;
use harbor_model::organizations::{MemberRole, Organization, User};

use crate::error::Kind;
use crate::identity::Caller;
use crate::{Control, Error};

/// A member of an organization.
#[derive(Clone, Debug)]
pub struct Member {
    /// Who.
    pub user: User,
    /// As what.
    pub role: MemberRole,
    /// Since when.
    pub joined_at: Timestamp,
}

impl Control {
    /// The organizations that the caller's user belongs to.
    pub async fn organizations(&self, caller: &Caller) -> Result<Vec<Organization>, Error> {
        let all = self.store().organizations_of(caller.user.id.clone()).await?;
        Ok(all.into_iter().map(|(organization, _)| organization).collect())
    }

    /// When this installation was set up: when its first user got an organization.
    pub async fn installed_at(&self) -> Result<Timestamp, Error> {
        let all = self.store().organizations_of(self.config().administrator.clone()).await?;
        let first = all.first().map(|(organization, _)| organization.created_at);
        first.ok_or_else(|| Error::new(Kind::Internal, "the first user has no organization"))
    }

    /// One organization; the caller must act within it (contract, control-plane §2.3).
    pub async fn organization(&self, caller: &Caller, id: OrganizationId) -> Result<Organization, Error> {
        caller.require_organization(id)?;
        let all = self.organizations(caller).await?;
        let found = all.into_iter().find(|organization| organization.id == id);
        found.ok_or_else(|| Error::not_found(format!("Organization {id} not found")))
    }

    /// The organization's members; the caller must act within it.
    pub async fn members(&self, caller: &Caller, id: OrganizationId) -> Result<Vec<Member>, Error> {
        caller.require_organization(id)?;
        let all = self.store().members_of(id).await?;
        Ok(all.into_iter().map(|(user, role, joined_at)| Member { user, role, joined_at }).collect())
    }
}
