//! Organizations: making them, and what their members see of them (contract, control-plane §9.3).

use harbor_model::Timestamp;
use harbor_model::ids::OrganizationId;
use harbor_model::names::DisplayName;
use harbor_model::organizations::{MemberRole, Organization, User};
use harbor_model::resources::Resources;
use harbor_model::snapshots::SnapshotState;
use harbor_model::volumes::VolumeState;

use crate::caller::forbidden;
use crate::error::Kind;
use crate::{Caller, Control, Error, OwnOrganization, now};

/// Name of every user's own organization.
pub(crate) const PERSONAL: &str = "Personal";

/// The most organizations that one user makes (contract, edges §8.3).
const MOST_MADE: usize = 10;

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

/// What an organization takes of this installation.
#[derive(Clone, Copy, Debug)]
pub struct Usage {
    /// Its sandboxes, all together.
    pub sandboxes: Resources,
    /// Its own snapshots that can be used or are being made.
    pub snapshots: usize,
    /// Its volumes.
    pub volumes: usize,
}

impl Control {
    /// What the organization that the call is about takes now.
    pub async fn usage(&self, caller: &OwnOrganization) -> Result<Usage, Error> {
        let id = caller.organization();
        let rows = self.store().sandboxes_of(id)?;
        let sandboxes = rows.iter().map(|row| row.usage()).fold(Resources::NONE, Resources::and);
        let own = self.store().snapshots(id).await?.into_iter();
        let counted = |state| match state {
            SnapshotState::Pending
            | SnapshotState::Pulling
            | SnapshotState::Building
            | SnapshotState::Snapshotting
            | SnapshotState::Active => true,
            SnapshotState::Inactive | SnapshotState::Error | SnapshotState::BuildFailed => false,
        };
        let snapshots = own.filter(|one| one.organization == id && !one.general && counted(one.state)).count();
        let volumes = self.store().volumes(id).await?.into_iter();
        let volumes = volumes.filter(|one| one.state == VolumeState::Ready).count();
        Ok(Usage { sandboxes, snapshots, volumes })
    }

    /// The organizations that the caller's user belongs to.
    pub async fn organizations(&self, caller: &Caller) -> Result<Vec<Organization>, Error> {
        let all = self.store().organizations_of(caller.user.id.clone()).await?;
        Ok(all.into_iter().map(|(organization, _)| organization).collect())
    }

    /// Makes an organization, which the caller's user owns. 403 when it has made ten already.
    pub async fn create_organization(&self, caller: &Caller, name: DisplayName) -> Result<Organization, Error> {
        let all = self.organizations(caller).await?;
        let made = all.iter().filter(|one| !one.personal && one.created_by == caller.user.id).count();
        if made >= MOST_MADE {
            return Err(forbidden(format!("nobody makes more than {MOST_MADE} organizations")));
        }
        let organization = self.new_organization(&caller.user, name, false);
        self.store().by(caller.actor()).insert_organization(organization.clone()).await?;
        Ok(organization)
    }

    /// An organization of `user`, not recorded yet.
    pub(crate) fn new_organization(&self, user: &User, name: DisplayName, personal: bool) -> Organization {
        let created_at = now();
        Organization {
            id: OrganizationId::random(),
            name,
            created_by: user.id.clone(),
            personal,
            default_region: self.config().region.clone(),
            created_at,
            updated_at: created_at,
        }
    }

    /// When this installation was set up: when its first user got an organization.
    pub async fn installed_at(&self) -> Result<Timestamp, Error> {
        let all = self.store().organizations_of(self.config().administrator.clone()).await?;
        let first = all.first().map(|(organization, _)| organization.created_at);
        first.ok_or_else(|| Error::new(Kind::Internal, "the first user has no organization"))
    }

    /// The organization that the call is about.
    pub async fn organization(&self, caller: &OwnOrganization) -> Result<Organization, Error> {
        let id = caller.organization;
        let all = self.organizations(caller).await?;
        let found = all.into_iter().find(|organization| organization.id == id);
        found.ok_or_else(|| Error::not_found(format!("Organization {id} not found")))
    }

    /// The members of the organization that the call is about.
    pub async fn members(&self, caller: &OwnOrganization) -> Result<Vec<Member>, Error> {
        let all = self.store().members_of(caller.organization).await?;
        Ok(all.into_iter().map(|(user, role, joined_at)| Member { user, role, joined_at }).collect())
    }
}
