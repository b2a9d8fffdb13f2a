//! The contract's one word for where a sandbox stands (contract, control-plane §5.2).

use super::{Desired, Sandbox, Seen};

/// The state that clients read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SandboxState {
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
    /// On its way to be frozen.
    Pausing,
    /// Its processes are frozen.
    Paused,
    /// On its way to let them go on.
    Resuming,
    /// On its way out.
    Destroying,
    /// Gone.
    Destroyed,
    /// Failed; its reason says why.
    Error,
}

impl SandboxState {
    /// Every state.
    pub const ALL: &[Self] = &[
        Self::Creating,
        Self::Starting,
        Self::Started,
        Self::Stopping,
        Self::Stopped,
        Self::Resizing,
        Self::Pausing,
        Self::Paused,
        Self::Resuming,
        Self::Destroying,
        Self::Destroyed,
        Self::Error,
    ];

    /// The contract's word.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Creating => "creating",
            Self::Starting => "starting",
            Self::Started => "started",
            Self::Stopping => "stopping",
            Self::Stopped => "stopped",
            Self::Resizing => "resizing",
            Self::Pausing => "pausing",
            Self::Paused => "paused",
            Self::Resuming => "resuming",
            Self::Destroying => "destroying",
            Self::Destroyed => "destroyed",
            Self::Error => "error",
        }
    }
}

impl Sandbox {
    /// Whether what was begun in it when it was `started`, as in `entered`, can go on. While it is being stopped its
    /// toolbox ends that, in words; after any other departure from `started` nobody in it does.
    pub fn goes_on_since(&self, entered: &Self) -> bool {
        match self.state() {
            SandboxState::Started | SandboxState::Resizing | SandboxState::Stopping => {
                self.seen.boot() == entered.seen.boot()
            }
            SandboxState::Creating
            | SandboxState::Starting
            | SandboxState::Stopped
            | SandboxState::Pausing
            | SandboxState::Paused
            | SandboxState::Resuming
            | SandboxState::Destroying
            | SandboxState::Destroyed
            | SandboxState::Error => false,
        }
    }

    /// Where it stands.
    pub fn state(&self) -> SandboxState {
        match self.state_but_for_size() {
            SandboxState::Started | SandboxState::Stopped if self.resize_to.is_some() => SandboxState::Resizing,
            state => state,
        }
    }

    fn state_but_for_size(&self) -> SandboxState {
        let starting = if self.started_once { SandboxState::Starting } else { SandboxState::Creating };
        match (self.desired, &self.seen) {
            (_, Seen::Removed) => SandboxState::Destroyed,
            (Desired::Destroyed, _) => SandboxState::Destroying,
            _ if self.failure.is_some() => SandboxState::Error,
            (_, Seen::Lost) => SandboxState::Error,
            (Desired::Started, Seen::Running { configured: true, .. }) => SandboxState::Started,
            (Desired::Started, Seen::Exited { asked: false, .. }) => SandboxState::Stopped,
            (Desired::Started, Seen::Frozen { asked: true, .. }) => SandboxState::Resuming,
            (Desired::Started, Seen::Frozen { asked: false, .. }) => SandboxState::Paused,
            (Desired::Started, Seen::Absent | Seen::Made { .. } | Seen::Running { .. } | Seen::Exited { .. }) => {
                starting
            }
            (Desired::Paused, Seen::Running { .. }) => SandboxState::Pausing,
            (Desired::Paused, Seen::Frozen { .. }) => SandboxState::Paused,
            (Desired::Paused, Seen::Absent | Seen::Made { .. } | Seen::Exited { .. }) => SandboxState::Stopped,
            (Desired::Stopped, Seen::Running { .. } | Seen::Frozen { .. }) => SandboxState::Stopping,
            (Desired::Stopped, Seen::Absent | Seen::Made { .. } | Seen::Exited { .. }) => SandboxState::Stopped,
        }
    }
}
