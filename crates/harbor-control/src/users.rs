//! Users: making them, and acting for them (contract, control-plane §9.2).

use harbor_model::ids::{OrganizationId, UserId};
use harbor_model::names::DisplayName;
use harbor_model::organizations::{Organization, User};
use harbor_store::StoreError;

use crate::error::Kind;
use crate::organizations::PERSONAL;
use crate::{Administer, Allowed, Caller, Control, Error, now};

/// What a new user shall be.
#[derive(Clone, Debug)]
pub struct NewUser {
    /// Its id, unlike every other's.
    pub id: UserId,
    /// Its name.
    pub name: DisplayName,
    /// Its e-mail address, unlike every other's.
    pub email: String,
    /// Whether it may administer this installation.
    pub administrator: bool,
}

impl Control {
    /// Makes a user with a personal organization, which is answered too. 409 when id or e-mail address is taken.
    pub async fn create_user(
        &self,
        administrator: &Allowed<Administer>,
        new: NewUser,
    ) -> Result<(User, Organization), Error> {
        let actor = administrator.actor();
        let NewUser { id, name, email, administrator } = new;
        let user = User { id, name, email, administrator, created_at: now() };
        let personal = self.personal_organization(&user)?;
        self.store().by(actor).insert_user(user.clone(), personal.clone()).await.map_err(|error| match error {
            StoreError::NameTaken => {
                Error::conflict(format!("User {} or the e-mail address {} already exists", user.id, user.email))
            }
            other => other.into(),
        })?;
        Ok((user, personal))
    }

    /// `user` within `organization`, for whom the administrator acts: to make its first key, for example. 404 when it
    /// is no member there.
    pub async fn acting_for(
        &self,
        _administrator: &Allowed<Administer>,
        user: &UserId,
        organization: OrganizationId,
    ) -> Result<Caller, Error> {
        let members = self.store().members_of(organization).await?;
        let member = members.into_iter().find(|(member, ..)| member.id == *user);
        let (user, role, _) =
            member.ok_or_else(|| Error::not_found(format!("User {user} of organization {organization} not found")))?;
        Ok(Caller::by_harbor(user, organization, role))
    }

    /// The id of the organization in which harbor acts of its own accord: the first user's personal one.
    pub(crate) async fn own_organization(&self) -> Result<OrganizationId, Error> {
        let all = self.store().organizations_of(self.config().administrator.clone()).await?;
        let personal = all.into_iter().find(|(organization, _)| organization.personal);
        let missing = || Error::new(Kind::Internal, "the administrator has no organization");
        personal.map(|(organization, _)| organization.id).ok_or_else(missing)
    }

    /// A personal organization for `user`, not recorded yet.
    pub(crate) fn personal_organization(&self, user: &User) -> Result<Organization, Error> {
        let name = PERSONAL.parse().map_err(|error| Error::new(Kind::Internal, format!("{PERSONAL}: {error}")))?;
        Ok(self.new_organization(user, name, true))
    }
}
