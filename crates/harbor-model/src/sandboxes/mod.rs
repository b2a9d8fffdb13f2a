//! Sandboxes: what was asked for, what was seen, and the one step between them (design D1).
//!
//! A lifecycle is [`Desired`], [`Seen`] and pure functions: [`Sandbox::next_step`] names what to do,
//! [`Sandbox::record`] takes what came of it, [`FailedAttempt::retry`] what a failure means, [`allowed`] what may be
//! asked, [`Sandbox::due`] what time brings about, [`events`] what a change means to others. The state that clients read is derived by [`Sandbox::state`] and
//! never stored.

mod claim;
mod desired;
mod due;
mod event;
mod files;
mod link;
mod operation;
mod retry;
mod seen;
mod state;
mod step;
mod usage;

use std::collections::BTreeMap;

pub use desired::Desired;
pub use due::{Due, Timed};
pub use event::{SandboxEvent, events};
pub use files::{Backup, Beginning, CopyPurpose, Copying, EndedCopy, Files};
pub use operation::{Effect, Operation, Refusal, Verdict, WhyNot, allowed, verdict};
pub use retry::{FailedAttempt, Retry};
pub use seen::{Boot, Found, FoundSandbox, Seen};
pub use state::SandboxState;
pub use step::{Ending, Outcome, Step};
pub use usage::Tally;

use crate::Timestamp;
use crate::ids::{OrganizationId, RegionId, SandboxId, VolumeId, WarmPoolId};
use crate::images::Recipe;
use crate::names::DisplayName;
use crate::resources::Resources;
use crate::secrets::Secret;
use crate::volumes::Mount;

/// A sandbox, as stored.
#[derive(Clone, Debug, PartialEq)]
pub struct Sandbox {
    /// Its id.
    pub id: SandboxId,
    /// The tenant that owns it.
    pub organization: OrganizationId,
    /// Its name, unique among the organization's live sandboxes.
    pub name: DisplayName,
    /// What it is made of.
    pub origin: Origin,
    /// What it may use.
    pub resources: Resources,
    /// What it is to be allowed instead.
    pub resize_to: Option<Resources>,
    /// Its files, apart from its container.
    pub files: Files,
    /// What its owner may change about it.
    pub settings: Settings,
    /// Opens its previews and its toolbox from outside; new at every start (contract, control-plane §5.11).
    pub preview_token: Secret,
    /// Opens its toolbox for harbor; never leaves harbor.
    pub toolbox_token: Secret,
    /// What its owner wants of it.
    pub desired: Desired,
    /// Whether the stop that is wanted gives processes no time to end by themselves.
    pub force: bool,
    /// What was last seen of it.
    pub seen: Seen,
    /// Why it is in `error`; nothing is tried while this stands.
    pub failure: Option<Failure>,
    /// Why it stopped, when it was not asked to.
    pub note: Option<String>,
    /// Version of the toolbox that runs in it.
    pub toolbox_version: Option<String>,
    /// Whether it has ever been started.
    pub started_once: bool,
    /// Counts writes to this row: who writes must have read the newest.
    pub generation: Generation,
    /// When it was made.
    pub created_at: Timestamp,
    /// When its row last changed.
    pub updated_at: Timestamp,
    /// When it was last used, or last changed its state (contract, control-plane §5.8).
    pub last_activity_at: Timestamp,
    /// The sandbox that it shares a private network with, and is deleted with (contract, control-plane §5.10).
    pub linked: Option<SandboxId>,
    /// The warm pool in which it waits for an owner.
    pub warm_pool: Option<WarmPoolId>,
    /// When it is deleted, whatever state it is in (contract, control-plane §5.13).
    pub destroy_at: Option<Timestamp>,
}

/// What a sandbox is made of; fixed for its life, once its image is built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The name of its snapshot.
    pub snapshot: String,
    /// What the engine knows its image by: a reference or an id.
    pub image: String,
    /// How its image is built, if it was made with a Dockerfile.
    pub build: Option<Recipe>,
    /// What runs as entrypoint instead of the image's own.
    pub entrypoint: Option<Vec<String>>,
    /// The user named at creation: told to processes, not applied (contract, toolbox §4.3).
    pub user: String,
    /// The caller's environment variables.
    pub env: BTreeMap<String, String>,
    /// The volumes in it.
    pub mounts: Vec<Mount>,
    /// The target as the caller wrote it, echoed (design §3a); the region otherwise.
    pub target: RegionId,
}

/// What the owner of a sandbox may change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Free pairs of text, returned untouched.
    pub labels: BTreeMap<String, String>,
    /// Whether its previews need no token.
    pub public: bool,
    /// Minutes without use until it is stopped; 0: never.
    pub auto_stop_minutes: u32,
    /// Minutes without use until it is paused, if it is not to be stopped; 0: never.
    pub auto_pause_minutes: u32,
    /// Minutes stopped until it is archived.
    pub auto_archive_minutes: u32,
    /// Minutes stopped until it is deleted; 0: at once, `None`: never.
    pub auto_delete_minutes: Option<u32>,
    /// What it may reach.
    pub network: Network,
}

impl Settings {
    /// Stopping it deletes it (contract, control-plane §5.1).
    pub fn ephemeral(&self) -> bool {
        self.auto_delete_minutes == Some(0)
    }
}

/// What a sandbox may reach (contract, control-plane §5.7).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Network {
    /// Nothing leaves it.
    pub block_all: bool,
    /// IPv4 networks it may reach, comma separated, as given.
    pub allow_networks: Option<String>,
    /// Domains it may reach, comma separated, as given.
    pub allow_domains: Option<String>,
}

impl Network {
    /// Whether anything is restricted.
    pub fn restricted(&self) -> bool {
        self.block_all || self.allow_networks.is_some() || self.allow_domains.is_some()
    }
}

/// Why a sandbox is in `error`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What failed, why, and what to do; for people.
    pub reason: String,
    /// Whether `recover` may help.
    pub recoverable: bool,
}

impl Sandbox {
    /// Whether this volume is in it.
    pub fn has_volume(&self, id: VolumeId) -> bool {
        self.origin.mounts.iter().any(|mount| mount.volume == id)
    }

    /// Notes that it has become this from `before` at `at`: a change of its state counts as use.
    pub fn note_change(&mut self, before: &Self, at: Timestamp) {
        self.generation = before.generation.next();
        self.updated_at = at;
        if self.state() != before.state() {
            self.last_activity_at = self.last_activity_at.max(at);
        }
    }
}

/// How often a row was written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Generation(pub i64);

impl Generation {
    /// The generation after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}
