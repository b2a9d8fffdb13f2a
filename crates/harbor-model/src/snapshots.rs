//! What sandboxes are made from: an image plus defaults.

use crate::Timestamp;
use crate::ids::{OrganizationId, SandboxId, SnapshotId};
use crate::layers::Layer;
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
    /// What a sandbox of it begins with, on top of the image.
    pub layer: Option<Layer>,
    /// The sandbox that it was made of.
    pub source: Option<SandboxId>,
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

impl Snapshot {
    /// Takes the copy of a sandbox's files that it waits for, or the reason why there is none.
    pub fn receive(&mut self, outcome: Result<Layer, String>, at: Timestamp) {
        if self.state != SnapshotState::Snapshotting {
            return;
        }
        self.updated_at = at;
        match outcome {
            Ok(layer) => {
                self.state = SnapshotState::Active;
                self.last_used_at = Some(at);
                self.size_bytes = Some(self.size_bytes.unwrap_or(0) + layer.bytes);
                self.layer = Some(layer);
            }
            Err(reason) => (self.state, self.error) = (SnapshotState::Error, Some(reason)),
        }
    }
}

/// Where a snapshot stands (contract, control-plane §6.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SnapshotState {
    /// Accepted; work has not started.
    Pending,
    /// Its image is being fetched or made.
    Pulling,
    /// A sandbox's files are being copied for it.
    Snapshotting,
    /// Usable.
    Active,
    /// Put aside.
    Inactive,
    /// Failed.
    Error,
}

impl SnapshotState {
    /// Every state.
    pub const ALL: &[Self] =
        &[Self::Pending, Self::Pulling, Self::Snapshotting, Self::Active, Self::Inactive, Self::Error];

    /// The contract's word.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Pulling => "pulling",
            Self::Snapshotting => "snapshotting",
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
