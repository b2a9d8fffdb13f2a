//! The contract's one word for where a sandbox stands (contract, control-plane §5.2).

use super::{Desired, Sandbox, Seen};

/// The state that clients read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
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
    /// On its way out.
    Destroying,
    /// Gone.
    Destroyed,
    /// Failed; its reason says why.
    Error,
}

impl State {
    /// Every state.
    pub const ALL: &[Self] = &[
        Self::Creating,
        Self::Starting,
        Self::Started,
        Self::Stopping,
        Self::Stopped,
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
            Self::Destroying => "destroying",
            Self::Destroyed => "destroyed",
            Self::Error => "error",
        }
    }

    /// Whether a change is under way; other changes are refused with 409 until it is done.
    pub const fn moving(self) -> bool {
        match self {
            Self::Creating | Self::Starting | Self::Stopping | Self::Destroying => true,
            Self::Started | Self::Stopped | Self::Destroyed | Self::Error => false,
        }
    }
}

impl Sandbox {
    /// Where it stands.
    pub fn state(&self) -> State {
        let starting = if self.started_once { State::Starting } else { State::Creating };
        match (self.desired, &self.seen) {
            (_, Seen::Removed) => State::Destroyed,
            (Desired::Destroyed, _) => State::Destroying,
            _ if self.failure.is_some() => State::Error,
            (_, Seen::Lost) => State::Error,
            (Desired::Started, Seen::Running { configured: true, .. }) => State::Started,
            (Desired::Started, Seen::Exited { asked: false, .. }) => State::Stopped,
            (Desired::Started, Seen::Absent | Seen::Made { .. } | Seen::Running { .. } | Seen::Exited { .. }) => {
                starting
            }
            (Desired::Stopped, Seen::Running { .. }) => State::Stopping,
            (Desired::Stopped, Seen::Absent | Seen::Made { .. } | Seen::Exited { .. }) => State::Stopped,
        }
    }
}
