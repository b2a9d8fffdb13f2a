//! Tenants and the people in them.

use crate::Timestamp;
use crate::ids::{OrganizationId, RegionId, UserId};
use crate::names::DisplayName;

/// A tenant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Organization {
    /// Its id.
    pub id: OrganizationId,
    /// Its name; `Personal` for a user's own.
    pub name: DisplayName,
    /// Who made it.
    pub created_by: UserId,
    /// A user's own organization, which cannot be left or deleted.
    pub personal: bool,
    /// Where its sandboxes go when they name no target.
    pub default_region: RegionId,
    /// When it was made.
    pub created_at: Timestamp,
    /// When its row last changed.
    pub updated_at: Timestamp,
}

/// A person, or the administrator harbor starts with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// Its id.
    pub id: UserId,
    /// Its name.
    pub name: DisplayName,
    /// Its e-mail address; the name it logs in with.
    pub email: String,
    /// Whether it may do what only the owner of this installation may.
    pub administrator: bool,
    /// When it was made.
    pub created_at: Timestamp,
}

/// What a member is in an organization.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemberRole {
    /// May do everything.
    Owner,
    /// May do what its roles allow.
    Member,
}
