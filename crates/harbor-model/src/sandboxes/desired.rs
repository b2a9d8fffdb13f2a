//! What the owner of a sandbox wants of it, and the changes by which that is said.

use super::{CopyPurpose, Sandbox, SandboxState, Seen};
use crate::Timestamp;
use crate::resources::Resources;
use crate::secrets::Secret;

/// What the owner of a sandbox wants of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Desired {
    /// It should run.
    Started,
    /// Its processes should end; its files stay.
    Stopped,
    /// Its processes should be frozen, and stay as they are.
    Paused,
    /// Its files should be stored, and nothing of it be on the engine.
    Archived,
    /// It should be gone, files and all.
    Destroyed,
}

impl Desired {
    /// The contract's word (contract, control-plane §5.2).
    pub const fn word(self) -> &'static str {
        match self {
            Self::Started => "started",
            Self::Stopped => "stopped",
            Self::Paused => "paused",
            Self::Archived => "archived",
            Self::Destroyed => "destroyed",
        }
    }

    /// The intent with this word.
    pub fn from_word(word: &str) -> Option<Self> {
        let all = [Self::Started, Self::Stopped, Self::Paused, Self::Archived, Self::Destroyed];
        all.into_iter().find(|desired| desired.word() == word)
    }
}

impl Sandbox {
    /// Wants it started; `preview_token` opens its previews from then on, unless it is only frozen (contract,
    /// control-plane §5.1).
    pub fn want_started(&mut self, preview_token: Secret, at: Timestamp) {
        self.desired = Desired::Started;
        let of_no_use = [CopyPurpose::Archive, CopyPurpose::Stopped];
        if self.files.copying.as_ref().is_some_and(|copying| of_no_use.contains(&copying.purpose)) {
            self.files.copying = None;
        }
        if !matches!(self.seen, Seen::Frozen { .. }) {
            self.preview_token = preview_token;
        }
        self.note = None;
        self.last_activity_at = at;
    }

    /// Wants it stopped; an ephemeral one is wanted gone instead (contract, control-plane §5.3).
    ///
    /// With `force`, its processes get no time to end by themselves.
    pub fn want_stopped(&mut self, force: bool, at: Timestamp) {
        if self.settings.ephemeral() {
            self.want_destroyed(at);
        } else {
            self.desired = Desired::Stopped;
            self.last_activity_at = at;
        }
        self.force = force;
    }

    /// Wants its processes frozen.
    pub fn want_paused(&mut self, at: Timestamp) {
        self.desired = Desired::Paused;
        self.note = None;
        self.last_activity_at = at;
    }

    /// Wants it to be allowed `resources`.
    pub fn want_resized(&mut self, resources: Resources) {
        if self.seen == Seen::Absent {
            self.resources = resources;
        } else {
            self.resize_to = Some(resources);
        }
    }

    /// Wants it gone, files and all. Its name is free from then on. An archived one is gone at once: the engine has nothing
    /// of it.
    pub fn want_destroyed(&mut self, at: Timestamp) {
        if self.state() == SandboxState::Archived && self.seen == (Seen::Archived { evicted: true }) {
            self.seen = Seen::Removed;
        }
        self.desired = Desired::Destroyed;
        self.name = self.name.destroyed(at);
    }

    /// Whether it lives for its owner: it is in lists, and nobody else in its organization may have its name. One that
    /// is wanted gone is only found by its id, until it is gone.
    pub const fn live(&self) -> bool {
        match self.desired {
            Desired::Started | Desired::Stopped | Desired::Paused | Desired::Archived => !self.removed(),
            Desired::Destroyed => false,
        }
    }

    /// Forgets what opened it and what its processes were told: nobody needs that once it is gone.
    pub fn forget_secrets(&mut self) {
        self.origin.env.clear();
        self.preview_token = Secret::new("");
        self.toolbox_token = Secret::new("");
    }

    /// Whether nothing is left of it but its row.
    pub const fn removed(&self) -> bool {
        matches!(self.seen, Seen::Removed)
    }
}
