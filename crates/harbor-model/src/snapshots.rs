//! What sandboxes are made from: an image plus defaults.

use crate::Timestamp;
use crate::ids::{OrganizationId, SnapshotId};
use crate::resources::Resources;

/// A snapshot.
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot {
    /// Its id.
    pub id: SnapshotId,
    /// Who owns it; a general one belongs to the administrator's organization.
    pub organization: OrganizationId,
    /// Its name: a path of letters, digits, `_`, `.`, `-` and `:` (contract, control-plane §6.2).
    pub name: String,
    /// Whether every organization may use it.
    pub general: bool,
    /// The image reference that the engine knows.
    pub image: String,
    /// What runs as its entrypoint instead of the image's own.
    pub entrypoint: Option<Vec<String>>,
    /// What a sandbox of it gets.
    pub resources: Resources,
    /// Where it stands.
    pub state: SnapshotState,
    /// Why it failed.
    pub error: Option<String>,
    /// Size of the image in bytes, once measured.
    pub size_bytes: Option<u64>,
    /// When a sandbox was last made from it.
    pub last_used_at: Option<Timestamp>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When its row last changed.
    pub updated_at: Timestamp,
}

/// Where a snapshot stands (contract, control-plane §6.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SnapshotState {
    /// Accepted; work has not started.
    Pending,
    /// Its image is being fetched or made.
    Pulling,
    /// Usable.
    Active,
    /// Put aside.
    Inactive,
    /// Failed.
    Error,
}

impl SnapshotState {
    /// Every state.
    pub const ALL: &[Self] = &[Self::Pending, Self::Pulling, Self::Active, Self::Inactive, Self::Error];

    /// The contract's word.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Pulling => "pulling",
            Self::Active => "active",
            Self::Inactive => "inactive",
            Self::Error => "error",
        }
    }

    /// The state with this word.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|state| state.word() == word)
    }
}
