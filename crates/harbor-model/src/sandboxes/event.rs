//! What a change of a sandbox means to those who listen (contract, control-plane §15.3).

use super::{Desired, Sandbox, SandboxState};

/// Something that happened to a sandbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SandboxEvent {
    /// It was made, and stands in this state.
    Created(SandboxState),
    /// Something else is wanted of it.
    DesiredStateUpdated {
        /// What was wanted.
        old: Desired,
        /// What is wanted.
        new: Desired,
    },
    /// It stands elsewhere.
    StateUpdated {
        /// Where it stood.
        old: SandboxState,
        /// Where it stands.
        new: SandboxState,
    },
}

impl SandboxEvent {
    /// The contract's name of the event.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Created(_) => "sandbox.created",
            Self::DesiredStateUpdated { .. } => "sandbox.desired-state.updated",
            Self::StateUpdated { .. } => "sandbox.state.updated",
        }
    }

    /// The contract's words for what was and what is.
    pub const fn words(self) -> (Option<&'static str>, &'static str) {
        match self {
            Self::Created(state) => (None, state.word()),
            Self::DesiredStateUpdated { old, new } => (Some(old.word()), new.word()),
            Self::StateUpdated { old, new } => (Some(old.word()), new.word()),
        }
    }
}

/// The events that a change from `before` to `after` makes, in the order in which they are told. For those who listen
/// a sandbox begins when it has an owner.
pub fn events(before: Option<&Sandbox>, after: &Sandbox) -> Vec<SandboxEvent> {
    if after.warm_pool.is_some() {
        return Vec::new();
    }
    let Some(before) = before.filter(|before| before.warm_pool.is_none()) else {
        return vec![SandboxEvent::Created(after.state())];
    };
    let desired = (before.desired != after.desired)
        .then_some(SandboxEvent::DesiredStateUpdated { old: before.desired, new: after.desired });
    let state = (before.state() != after.state())
        .then(|| SandboxEvent::StateUpdated { old: before.state(), new: after.state() });
    desired.into_iter().chain(state).collect()
}
