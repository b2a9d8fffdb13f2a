//! The contract's one word for where a sandbox stands (contract, control-plane §5.2).

use super::{Beginning, CopyPurpose, Desired, Sandbox, Seen};

/// The state that clients read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SandboxState {
    /// Its image is to be built.
    PendingBuild,
    /// Its image is being built.
    BuildingSnapshot,
    /// On its way to its first start.
    Creating,
    /// On its way to a later start.
    Starting,
    /// Runs.
    Started,
    /// On its way to a stop.
    Stopping,
    /// Its processes have ended, its files are there.
    Stopped,
    /// It gets other limits, while it runs or is stopped.
    Resizing,
    /// Its files are copied for a snapshot.
    Snapshotting,
    /// Its files are copied for another sandbox.
    Forking,
    /// On its way to be frozen.
    Pausing,
    /// Its processes are frozen.
    Paused,
    /// On its way to let them go on.
    Resuming,
    /// Its files are being stored.
    Archiving,
    /// Its files are stored, and the engine holds nothing of it.
    Archived,
    /// On its way from there to a start.
    Restoring,
    /// On its way out.
    Destroying,
    /// Gone.
    Destroyed,
    /// Failed; its reason says why.
    Error,
    /// Its image could not be built; its reason says why.
    BuildFailed,
}

impl SandboxState {
    /// Whether what it is on its way to takes a moment, if it works; copies may take long.
    pub const fn is_quick(self) -> bool {
        matches!(
            self,
            Self::Creating
                | Self::Starting
                | Self::Stopping
                | Self::Pausing
                | Self::Resuming
                | Self::Resizing
                | Self::Restoring
        )
    }

    /// Every state.
    pub const ALL: &[Self] = &[
        Self::PendingBuild,
        Self::BuildingSnapshot,
        Self::Creating,
        Self::Starting,
        Self::Started,
        Self::Stopping,
        Self::Stopped,
        Self::Resizing,
        Self::Snapshotting,
        Self::Forking,
        Self::Pausing,
        Self::Paused,
        Self::Resuming,
        Self::Archiving,
        Self::Archived,
        Self::Restoring,
        Self::Destroying,
        Self::Destroyed,
        Self::Error,
        Self::BuildFailed,
    ];

    /// The contract's word.
    pub const fn word(self) -> &'static str {
        match self {
            Self::PendingBuild => "pending_build",
            Self::BuildingSnapshot => "building_snapshot",
            Self::Creating => "creating",
            Self::Starting => "starting",
            Self::Started => "started",
            Self::Stopping => "stopping",
            Self::Stopped => "stopped",
            Self::Resizing => "resizing",
            Self::Snapshotting => "snapshotting",
            Self::Forking => "forking",
            Self::Pausing => "pausing",
            Self::Paused => "paused",
            Self::Resuming => "resuming",
            Self::Archiving => "archiving",
            Self::Archived => "archived",
            Self::Restoring => "restoring",
            Self::Destroying => "destroying",
            Self::Destroyed => "destroyed",
            Self::Error => "error",
            Self::BuildFailed => "build_failed",
        }
    }
}

impl Sandbox {
    /// Whether what was begun in it when it was `started`, as in `entered`, can go on. While it is being stopped its
    /// toolbox ends that, in words; after any other departure from `started` nobody in it does.
    pub fn goes_on_since(&self, entered: &Self) -> bool {
        match self.state() {
            SandboxState::Started
            | SandboxState::Resizing
            | SandboxState::Snapshotting
            | SandboxState::Forking
            | SandboxState::Stopping => {
                // one that slept in between is the same run of its container, with another token
                self.seen.boot() == entered.seen.boot() && self.preview_token == entered.preview_token
            }
            SandboxState::PendingBuild
            | SandboxState::BuildingSnapshot
            | SandboxState::BuildFailed
            | SandboxState::Creating
            | SandboxState::Starting
            | SandboxState::Stopped
            | SandboxState::Pausing
            | SandboxState::Paused
            | SandboxState::Resuming
            | SandboxState::Archiving
            | SandboxState::Archived
            | SandboxState::Restoring
            | SandboxState::Destroying
            | SandboxState::Destroyed
            | SandboxState::Error => false,
        }
    }

    /// Where it stands.
    pub fn state(&self) -> SandboxState {
        use SandboxState as S;
        let copied_for = self.files.copying.as_ref().map(|copying| copying.purpose);
        match (self.state_but_for_changes(), copied_for) {
            (S::Started | S::Stopped, _) if self.resize_to.is_some() => S::Resizing,
            (S::Started | S::Stopped | S::Paused, Some(CopyPurpose::Fork(_))) => S::Forking,
            (S::Started | S::Stopped | S::Paused, Some(CopyPurpose::Snapshot(_))) => S::Snapshotting,
            (state, _) => state,
        }
    }

    fn state_but_for_changes(&self) -> SandboxState {
        let starting = if self.started_once { SandboxState::Starting } else { SandboxState::Creating };
        match (self.desired, &self.seen) {
            (_, Seen::Removed) => SandboxState::Destroyed,
            (Desired::Destroyed, _) => SandboxState::Destroying,
            _ if self.failure.is_some() => match self.files.beginning {
                Beginning::Unbuilt { .. } => SandboxState::BuildFailed,
                _ => SandboxState::Error,
            },
            (_, Seen::Lost) => SandboxState::Error,
            (Desired::Started, Seen::Archived { .. }) if self.started_once => SandboxState::Restoring,
            (Desired::Started, Seen::Archived { .. }) => SandboxState::Creating,
            (Desired::Stopped | Desired::Paused | Desired::Archived, Seen::Archived { .. }) => SandboxState::Archived,
            (
                Desired::Archived,
                Seen::Absent
                | Seen::Made { .. }
                | Seen::Running { .. }
                | Seen::Frozen { .. }
                | Seen::Asleep { .. }
                | Seen::Exited { .. },
            ) => SandboxState::Archiving,
            (Desired::Started, Seen::Absent) if self.awaits_image() => match self.files.beginning {
                Beginning::Unbuilt { begun: true } => SandboxState::BuildingSnapshot,
                _ => SandboxState::PendingBuild,
            },
            (Desired::Started, Seen::Running { configured: true, .. }) => SandboxState::Started,
            (Desired::Started, Seen::Exited { asked: false, .. }) => SandboxState::Stopped,
            (Desired::Started, Seen::Frozen { asked: true, .. }) => SandboxState::Resuming,
            (Desired::Started, Seen::Frozen { asked: false, .. }) => SandboxState::Paused,
            (
                Desired::Started,
                Seen::Absent | Seen::Made { .. } | Seen::Running { .. } | Seen::Asleep { .. } | Seen::Exited { .. },
            ) => starting,
            (Desired::Paused, Seen::Running { .. }) => SandboxState::Pausing,
            (Desired::Paused, Seen::Frozen { .. }) => SandboxState::Paused,
            (Desired::Paused, Seen::Absent | Seen::Made { .. } | Seen::Asleep { .. } | Seen::Exited { .. }) => {
                SandboxState::Stopped
            }
            (Desired::Stopped, Seen::Running { .. } | Seen::Frozen { .. }) => SandboxState::Stopping,
            (Desired::Stopped, Seen::Absent | Seen::Made { .. } | Seen::Asleep { .. } | Seen::Exited { .. }) => {
                SandboxState::Stopped
            }
        }
    }
}
