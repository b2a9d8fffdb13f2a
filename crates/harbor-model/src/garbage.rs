//! What nobody needs any more, how long it is kept, and what letting go of it frees.

use std::sync::Arc;
use std::time::Duration;

use crate::Timestamp;

const DAY: Duration = Duration::from_hours(24);

/// What the object storage and the registry let go of, each kind with what has to go before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unneeded {
    /// Images of the registry that lost their last tag or list.
    RegistryImages,
    /// Blobs of the registry that no image of their repository names.
    RegistryBlobs,
    /// Pushes to the registry that nobody went on with.
    RegistryPushes,
    /// Uploads in parts to the object storage that nobody completed.
    Uploads,
    /// Uploads for images that no image, snapshot or sandbox is made with.
    BuildContexts,
}

impl Unneeded {
    /// All of them, in the order in which they go.
    pub const ALL: [Self; 5] =
        [Self::RegistryImages, Self::RegistryBlobs, Self::RegistryPushes, Self::Uploads, Self::BuildContexts];

    /// How long it is kept while nobody asks for a collection; `None`: until somebody does.
    pub const fn kept(self) -> Option<Duration> {
        match self {
            // somebody may have it by digest, or goes on next week
            Self::RegistryImages | Self::Uploads => Some(DAY.saturating_mul(7)),
            // large images are pushed for hours, their manifests last
            Self::RegistryBlobs | Self::RegistryPushes => Some(DAY),
            Self::BuildContexts => None,
        }
    }
}

/// One collection of what the object storage and the registry let go of.
#[derive(Clone, Debug)]
pub struct Collection {
    /// Only what has been unneeded since before this goes.
    pub before: Timestamp,
    /// The time, which tells what went in this collection from what went in others.
    pub now: Timestamp,
    /// Whether what becomes unneeded by it goes, too; else it is kept from now on.
    pub parts_too: bool,
    /// Ids of uploads and pushes to which something is just coming.
    pub busy: Arc<[String]>,
}

impl Collection {
    /// Since when what becomes unneeded by it is so.
    pub fn unneeded_since(&self) -> Timestamp {
        // a moment before, so that it is in time for the rest of the collection
        if self.parts_too { self.before - time::Duration::MILLISECOND } else { self.now }
    }
}

/// What was let go of at a time, or would be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LetGo {
    /// How many things.
    pub count: u64,
    /// Whether there may be more to let go of.
    pub more: bool,
    /// The blobs that nothing needs any more because of it, where somebody asked.
    pub blobs: Vec<String>,
}

/// A kind of garbage, as people are told of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GarbageKind {
    /// Images that were built for snapshots or sandboxes.
    BuiltImages,
    /// What the object storage and the registry keep.
    Stored(Unneeded),
}

impl GarbageKind {
    /// Its name, of many.
    pub const fn name(self) -> &'static str {
        match self {
            Self::BuiltImages => "built images",
            Self::Stored(Unneeded::RegistryImages) => "registry images",
            Self::Stored(Unneeded::RegistryBlobs) => "registry blobs",
            Self::Stored(Unneeded::RegistryPushes) => "registry pushes",
            Self::Stored(Unneeded::Uploads) => "uploads in parts",
            Self::Stored(Unneeded::BuildContexts) => "build contexts",
        }
    }

    /// Why nobody needs them.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::BuiltImages => "no snapshot and no sandbox is made of them",
            Self::Stored(Unneeded::RegistryImages) => "they have no tag and no list names them",
            Self::Stored(Unneeded::RegistryBlobs) => "no image of their repository names them",
            Self::Stored(Unneeded::RegistryPushes) => "nobody went on with them",
            Self::Stored(Unneeded::Uploads) => "nobody completed them",
            Self::Stored(Unneeded::BuildContexts) => "no image, snapshot or sandbox is made with them",
        }
    }
}

/// What a collection of garbage took of one kind, or would take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Collected {
    /// What.
    pub kind: GarbageKind,
    /// How many.
    pub count: u64,
    /// How many bytes of disk nothing needs any more because of it.
    pub bytes: u64,
    /// Whether there may be more, for another collection.
    pub more: bool,
}
