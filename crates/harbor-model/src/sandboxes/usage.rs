//! What sandboxes take of what there is to give (contract, control-plane §9.5), one by one and all together.

use super::{Sandbox, SandboxState, Seen};
use crate::resources::Resources;

impl Sandbox {
    /// What it takes now: everything while it runs or is on its way there, disk while its files are on the engine, nothing
    /// when they are not, and nothing when it failed. One that is to grow takes what it grows to.
    pub fn usage(&self) -> Resources {
        let whole = self.resize_to.map_or(self.resources, |to| to.raised_to(self.resources));
        let disk = Resources { cpu: 0, memory_gib: 0, gpu: 0, ..whole };
        match self.state() {
            SandboxState::PendingBuild
            | SandboxState::BuildingSnapshot
            | SandboxState::Creating
            | SandboxState::Starting
            | SandboxState::Started
            | SandboxState::Stopping
            | SandboxState::Pausing
            | SandboxState::Resuming
            | SandboxState::Restoring => whole,
            SandboxState::Resizing | SandboxState::Snapshotting | SandboxState::Forking => match self.seen {
                Seen::Running { .. } => whole,
                _ => disk,
            },
            SandboxState::Stopped | SandboxState::Paused | SandboxState::Archiving => disk,
            SandboxState::Archived
            | SandboxState::Destroying
            | SandboxState::Destroyed
            | SandboxState::Error
            | SandboxState::BuildFailed => Resources::NONE,
        }
    }
}

/// What all sandboxes take together. Members of warm pools do not count: nobody has asked for them, and who does gets one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// What they were promised.
    pub promised: Resources,
    /// How many are started.
    pub started: u32,
    /// How many sleep, with everything of theirs but a frozen process ended.
    pub asleep: u32,
}

impl Tally {
    /// With one sandbox more.
    #[must_use]
    pub fn with(self, sandbox: &Sandbox) -> Self {
        let Self { promised, started, asleep } = Self::of_one(sandbox);
        Self {
            promised: self.promised.and(promised),
            started: self.started.saturating_add(started),
            asleep: self.asleep.saturating_add(asleep),
        }
    }

    /// With one sandbox less.
    #[must_use]
    pub fn without(self, sandbox: &Sandbox) -> Self {
        let Self { promised, started, asleep } = Self::of_one(sandbox);
        Self {
            promised: self.promised.without(promised),
            started: self.started.saturating_sub(started),
            asleep: self.asleep.saturating_sub(asleep),
        }
    }

    fn of_one(sandbox: &Sandbox) -> Self {
        let asleep = u32::from(matches!(sandbox.seen, Seen::Asleep { .. }));
        if sandbox.warm_pool.is_some() {
            return Self { asleep, ..Self::default() };
        }
        let started = u32::from(sandbox.state() == SandboxState::Started);
        Self { promised: sandbox.usage(), started, asleep }
    }
}
