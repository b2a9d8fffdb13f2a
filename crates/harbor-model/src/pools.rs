//! Warm pools: sandboxes that are started before anybody asks for them (design D3).
//!
//! A member is a sandbox like any other, whose owner is nobody yet; who is given one becomes its owner in the change
//! that records what was asked for.

use crate::Timestamp;
use crate::ids::{OrganizationId, RegionId, SnapshotId, WarmPoolId};

/// How many sandboxes of one kind are kept ready, and for whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WarmPool {
    /// Its id.
    pub id: WarmPoolId,
    /// Whose it is; [`OrganizationId::NOBODY`]: this installation's, for everybody.
    pub organization: OrganizationId,
    /// What its members are made of.
    pub snapshot: SnapshotId,
    /// The region that it is for.
    pub target: RegionId,
    /// How many are kept ready; demand may raise it for a while.
    pub size: u32,
    /// Why the newest member could not be started.
    pub error: Option<String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}
