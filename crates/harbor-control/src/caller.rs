//! Who calls, and what the caller may do (contract, control-plane §2).
//!
//! What a call needs stands in one place: in the signature of what is called. A method that needs a permission takes an
//! [`Allowed`], one that is about an organization takes an [`OwnOrganization`]; only [`Caller::allow`] and
//! [`Caller::within`] make them, so a call without the check does not compile.

use std::collections::BTreeSet;
use std::marker::PhantomData;
use std::ops::Deref;

use harbor_model::actors::Actor;
use harbor_model::identity::{ApiKey, Permission};
use harbor_model::ids::OrganizationId;
use harbor_model::organizations::{MemberRole, User};

use crate::Error;
use crate::error::Kind;
use crate::key_watch::KeyWatch;

/// By what a caller acts.
#[derive(Clone, Debug)]
pub enum Grant {
    /// By an API key, which was shown.
    Key(Box<ApiKey>),
    /// By harbor itself: its administrator acts for the user.
    Harbor,
}

/// A user who acts within one organization, by a grant that was found to be good.
#[derive(Clone, Debug)]
pub struct Caller {
    pub(crate) user: User,
    pub(crate) organization: OrganizationId,
    pub(crate) role: MemberRole,
    pub(crate) grant: Grant,
    /// The key, where the grant is one.
    pub(crate) watch: Option<KeyWatch>,
    /// What the grant allows, found out once.
    permissions: BTreeSet<Permission>,
}

impl Caller {
    /// Who shows `key`, which is watched from now on.
    pub(crate) fn with_key(user: User, role: MemberRole, key: ApiKey, watch: KeyWatch) -> Self {
        let permissions = key.permissions.iter().copied().collect();
        Self {
            user,
            organization: key.organization,
            role,
            grant: Grant::Key(Box::new(key)),
            watch: Some(watch),
            permissions,
        }
    }

    /// Whom harbor itself lets act.
    pub(crate) fn by_harbor(user: User, organization: OrganizationId, role: MemberRole) -> Self {
        let permissions = Permission::ALL.iter().copied().collect();
        Self { user, organization, role, grant: Grant::Harbor, watch: None, permissions }
    }

    /// The user.
    pub fn user(&self) -> &User {
        &self.user
    }

    /// The organization that the call is about.
    pub fn organization(&self) -> OrganizationId {
        self.organization
    }

    /// By what the caller acts.
    pub fn grant(&self) -> &Grant {
        &self.grant
    }

    /// Whom a change is recorded of that the caller makes.
    pub(crate) fn actor(&self) -> Actor {
        let user = self.user.id.clone();
        match &self.grant {
            Grant::Key(key) => Actor::Key { user, key: key.name.clone() },
            Grant::Harbor => Actor::User(user),
        }
    }

    /// Whether the caller may do what `R` stands for; 403 otherwise.
    pub fn allow<R: Requirement>(self) -> Result<Allowed<R>, Error> {
        let missing: Vec<&str> =
            R::PERMISSIONS.iter().filter(|permission| !self.may(**permission)).map(|one| one.word()).collect();
        if R::ADMINISTRATOR && !self.user.administrator {
            return Err(forbidden("only the administrator of this installation may do this"));
        }
        if !R::ONE_OF.is_empty() && !R::ONE_OF.iter().any(|permission| self.may(*permission)) {
            let words: Vec<&str> = R::ONE_OF.iter().map(|one| one.word()).collect();
            return Err(forbidden(format!("this needs the permission {}", words.join(" or "))));
        }
        if !missing.is_empty() {
            return Err(forbidden(format!("this needs the permission {}", missing.join(" and "))));
        }
        Ok(Allowed { caller: self, requirement: PhantomData })
    }

    /// Whether `organization` is the one that the caller acts within; 403 otherwise (contract, control-plane §2.3).
    pub fn within(self, organization: OrganizationId) -> Result<OwnOrganization, Error> {
        if self.organization == organization {
            return Ok(OwnOrganization(self));
        }
        let message = "Invalid authentication context: this key belongs to another organization";
        Err(Error::new(Kind::Forbidden, message))
    }

    /// Whether the caller's grant allows `permission`.
    pub(crate) fn may(&self, permission: Permission) -> bool {
        self.permissions.contains(&permission)
    }

    /// The first of `permissions` that the caller's grant does not allow.
    pub(crate) fn lacks(&self, permissions: &[Permission]) -> Option<Permission> {
        permissions.iter().copied().find(|permission| !self.may(*permission))
    }
}

pub(crate) fn forbidden(message: impl std::fmt::Display) -> Error {
    Error::new(Kind::Forbidden, format!("Access denied: {message}"))
}

/// What a caller must be allowed to do before something is done.
pub trait Requirement: Send + Sync + 'static {
    /// The permissions that the caller's grant must give, every one.
    const PERMISSIONS: &'static [Permission];
    /// The permissions of which the caller's grant must give one; empty: none of any.
    const ONE_OF: &'static [Permission] = &[];
    /// Whether only administrators of this installation may do it.
    const ADMINISTRATOR: bool = false;
}

/// Create, change and enter sandboxes.
#[derive(Clone, Copy, Debug)]
pub struct WriteSandboxes;

impl Requirement for WriteSandboxes {
    const PERMISSIONS: &'static [Permission] = &[Permission::WriteSandboxes];
}

/// Delete sandboxes.
#[derive(Clone, Copy, Debug)]
pub struct DeleteSandboxes;

impl Requirement for DeleteSandboxes {
    const PERMISSIONS: &'static [Permission] = &[Permission::DeleteSandboxes];
}

/// Make, activate and deactivate snapshots.
#[derive(Clone, Copy, Debug)]
pub struct WriteSnapshots;

impl Requirement for WriteSnapshots {
    const PERMISSIONS: &'static [Permission] = &[Permission::WriteSnapshots];
}

/// Upload what goes into images of snapshots or sandboxes.
#[derive(Clone, Copy, Debug)]
pub struct MakeImages;

impl Requirement for MakeImages {
    const PERMISSIONS: &'static [Permission] = &[];
    const ONE_OF: &'static [Permission] = &[Permission::WriteSnapshots, Permission::WriteSandboxes];
}

/// Delete snapshots.
#[derive(Clone, Copy, Debug)]
pub struct DeleteSnapshots;

impl Requirement for DeleteSnapshots {
    const PERMISSIONS: &'static [Permission] = &[Permission::DeleteSnapshots];
}

/// Make and change registries.
#[derive(Clone, Copy, Debug)]
pub struct WriteRegistries;

impl Requirement for WriteRegistries {
    const PERMISSIONS: &'static [Permission] = &[Permission::WriteRegistries];
}

/// Forget registries.
#[derive(Clone, Copy, Debug)]
pub struct DeleteRegistries;

impl Requirement for DeleteRegistries {
    const PERMISSIONS: &'static [Permission] = &[Permission::DeleteRegistries];
}

/// See volumes.
#[derive(Clone, Copy, Debug)]
pub struct ReadVolumes;

impl Requirement for ReadVolumes {
    const PERMISSIONS: &'static [Permission] = &[Permission::ReadVolumes];
}

/// Make volumes.
#[derive(Clone, Copy, Debug)]
pub struct WriteVolumes;

impl Requirement for WriteVolumes {
    const PERMISSIONS: &'static [Permission] = &[Permission::WriteVolumes];
}

/// Delete volumes.
#[derive(Clone, Copy, Debug)]
pub struct DeleteVolumes;

impl Requirement for DeleteVolumes {
    const PERMISSIONS: &'static [Permission] = &[Permission::DeleteVolumes];
}

/// See the machine that sandboxes run on, as its owner.
#[derive(Clone, Copy, Debug)]
pub struct ReadMachine;

impl Requirement for ReadMachine {
    const PERMISSIONS: &'static [Permission] = &[Permission::ReadRunners];
    const ADMINISTRATOR: bool = true;
}

/// Administer this installation. A key of an administrator that allows less than everything does not: it was made to
/// be weaker than its user.
#[derive(Clone, Copy, Debug)]
pub struct Administer;

impl Requirement for Administer {
    const PERMISSIONS: &'static [Permission] = Permission::ALL;
    const ADMINISTRATOR: bool = true;
}

/// A caller who may do what `R` stands for.
#[derive(Clone, Debug)]
pub struct Allowed<R> {
    caller: Caller,
    requirement: PhantomData<R>,
}

impl<R> Deref for Allowed<R> {
    type Target = Caller;

    fn deref(&self) -> &Caller {
        &self.caller
    }
}

/// A caller whose own organization a call is about.
#[derive(Clone, Debug)]
pub struct OwnOrganization(Caller);

impl Deref for OwnOrganization {
    type Target = Caller;

    fn deref(&self) -> &Caller {
        &self.0
    }
}
