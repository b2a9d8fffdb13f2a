//! What sandboxes are made from: an image plus defaults.

use crate::Timestamp;
use crate::ids::{OrganizationId, SandboxId, SnapshotId};
use crate::images::{ImageState, Recipe, WantedImage, is_digest};
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
    /// The id that the engine gives the image of one that was asked for, once it is there: under its reference there may be
    /// another one later.
    pub image_id: Option<String>,
    /// How its image is built, if it is.
    pub build: Option<Recipe>,
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

/// Whether a snapshot may be called so: letters, digits, `_`, `.`, `-` and `:` in parts between single slashes, with a digest
/// at the end if there is one (contract, control-plane §6.2).
pub fn check_name(name: &str) -> Result<(), String> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-:".contains(&byte);
    let (path, digest) = name.split_once('@').map_or((name, None), |(path, digest)| (path, Some(digest)));
    let good = path.split('/').all(|part| !part.is_empty() && part.bytes().all(allowed));
    if name.len() > LONGEST_NAME {
        return Err(format!("Invalid snapshot name: it has more than {LONGEST_NAME} bytes"));
    }
    if !good || !digest.is_none_or(is_digest) {
        let rule = "May contain letters, digits, dots, colons, dashes and underscores, between single slashes";
        return Err(format!("Invalid snapshot name format. {rule}"));
    }
    Ok(())
}

/// The longest name of a snapshot, in bytes.
const LONGEST_NAME: usize = 255;

impl Snapshot {
    /// What a sandbox of it is made of: a reference or an id.
    pub fn base(&self) -> &str {
        self.image_id.as_deref().unwrap_or(&self.image)
    }

    /// Whether it waits for its image.
    pub fn awaits_image(&self) -> bool {
        use SnapshotState as S;
        !self.general && matches!(self.state, S::Pending | S::Pulling | S::Building)
    }

    /// Follows the image that it waits for.
    pub fn follow(&mut self, image: &WantedImage, at: Timestamp) {
        if !self.awaits_image() {
            return;
        }
        let built = self.build.is_some();
        let state = match image.state {
            ImageState::Pending => SnapshotState::Pending,
            ImageState::UnderWay if built => SnapshotState::Building,
            ImageState::UnderWay => SnapshotState::Pulling,
            ImageState::Ready => SnapshotState::Active,
            ImageState::Failed if built => SnapshotState::BuildFailed,
            ImageState::Failed => SnapshotState::Error,
        };
        if state == self.state {
            return;
        }
        (self.state, self.updated_at) = (state, at);
        self.error.clone_from(&image.error);
        if state == SnapshotState::Active {
            self.last_used_at = Some(at);
            (self.image_id, self.size_bytes) = (image.engine_id.clone(), image.size_bytes);
        }
    }

    /// Its image is not on the engine any more: it waits for it again. One that holds a sandbox's files, or is general, stays.
    pub fn lose_image(&mut self, at: Timestamp) {
        if self.state == SnapshotState::Active && self.layer.is_none() && !self.general {
            (self.state, self.updated_at) = (SnapshotState::Pending, at);
        }
    }

    /// Puts it aside: no sandbox is made of it, and its image is kept no longer. What is put aside stays so.
    pub fn deactivate(&mut self, at: Timestamp) -> Result<(), String> {
        match self.state {
            SnapshotState::Inactive => {}
            SnapshotState::Active => (self.state, self.updated_at) = (SnapshotState::Inactive, at),
            state => return Err(format!("it is {}, not active", state.word())),
        }
        Ok(())
    }

    /// Lets it be used again, once its image is there: one that was made of a sandbox at once.
    pub fn activate(&mut self, at: Timestamp) -> Result<(), String> {
        match self.state {
            SnapshotState::Inactive => {}
            SnapshotState::Active => return Err("is already active".to_owned()),
            state => return Err(format!("cannot be activated - it is in {} state", state.word())),
        }
        self.state = if self.layer.is_some() { SnapshotState::Active } else { SnapshotState::Pending };
        self.updated_at = at;
        Ok(())
    }

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
    /// Its image is being fetched.
    Pulling,
    /// Its image is being built.
    Building,
    /// A sandbox's files are being copied for it.
    Snapshotting,
    /// Usable.
    Active,
    /// Put aside.
    Inactive,
    /// Failed.
    Error,
    /// The build of its image failed.
    BuildFailed,
}

impl SnapshotState {
    /// Every state.
    pub const ALL: &[Self] = &[
        Self::Pending,
        Self::Pulling,
        Self::Building,
        Self::Snapshotting,
        Self::Active,
        Self::Inactive,
        Self::Error,
        Self::BuildFailed,
    ];

    /// The contract's word.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Pulling => "pulling",
            Self::Building => "building",
            Self::Snapshotting => "snapshotting",
            Self::Active => "active",
            Self::Inactive => "inactive",
            Self::Error => "error",
            Self::BuildFailed => "build_failed",
        }
    }

    /// The state with this word.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|state| state.word() == word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_paths() {
        let digest = format!("a@sha256:{}", "0".repeat(64));
        for name in ["a", "a/b:1", "A.b-c_d", "registry.example:5000/org/img:1", &digest] {
            assert_eq!(check_name(name), Ok(()), "{name}");
        }
        let long = "a".repeat(256);
        for name in ["", "/", "a/", "/a", "a//b", "a b", "ü", "<b>", "a@b", "a@sha256:00", "a\n", &long] {
            assert!(check_name(name).is_err(), "{name}");
        }
    }
}
