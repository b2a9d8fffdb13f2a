//! What may be asked of a sandbox in which state (contract, control-plane §5.5): one table, and why it refuses.
//!
//! `operations.json` beside this file is the table as data, for whoever offers the operations to people; a test keeps
//! it true and writes it anew with `UPDATE_EXPECT=1`.

use std::fmt;

use super::{Beginning, Sandbox, SandboxState, Seen, Step};
use crate::Timestamp;
use crate::ids::SandboxId;

/// A change that has not come to its end by then no longer holds up a delete. Longer than any that works: what processes get
/// to end by themselves, and what a busy engine takes.
const CHANGE_DEADLINE: time::Duration = time::Duration::minutes(1);

/// Something that a person or program asks of one sandbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operation {
    /// Run it.
    Start,
    /// End its processes; its files stay.
    Stop,
    /// Freeze its processes.
    Pause,
    /// Give it other limits.
    Resize,
    /// Store its files and remove its containers.
    Archive,
    /// Store its files.
    Backup,
    /// Make another sandbox of its files.
    Fork,
    /// Make a snapshot of its files.
    Snapshot,
    /// Try again what it failed at.
    Recover,
    /// Remove it, files and all.
    Delete,
    /// Replace its labels, or the times at which it is stopped or deleted by itself.
    Change,
    /// Connect to a port inside it.
    Enter,
}

impl Operation {
    /// Every operation.
    pub const ALL: &[Self] = &[
        Self::Start,
        Self::Stop,
        Self::Pause,
        Self::Resize,
        Self::Archive,
        Self::Backup,
        Self::Fork,
        Self::Snapshot,
        Self::Recover,
        Self::Delete,
        Self::Change,
        Self::Enter,
    ];

    /// A word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Stop => "stop",
            Self::Pause => "pause",
            Self::Resize => "resize",
            Self::Archive => "archive",
            Self::Backup => "back up",
            Self::Fork => "fork",
            Self::Snapshot => "make a snapshot of",
            Self::Recover => "recover",
            Self::Delete => "delete",
            Self::Change => "change",
            Self::Enter => "enter",
        }
    }
}

/// What the state says to an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// It is done.
    Allowed,
    /// It is already as asked for; nothing changes, and nothing is refused.
    Already,
    /// A change is under way; ask again when that is done.
    Busy,
    /// This state does not allow it.
    Refused,
    /// There is no such sandbox any more.
    Gone,
}

impl Verdict {
    /// A word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Allowed => "allowed",
            Self::Already => "already",
            Self::Busy => "busy",
            Self::Refused => "refused",
            Self::Gone => "gone",
        }
    }
}

/// What a state says to an operation, whatever the sandbox.
pub const fn verdict(operation: Operation, state: SandboxState) -> Verdict {
    use {Operation as O, SandboxState as S, Verdict as V};
    match (operation, state) {
        (O::Start, S::Started) => V::Already,
        // a start that is asked for while it is being archived calls that off
        (O::Start, S::Stopped | S::Paused | S::Archiving | S::Archived) => V::Allowed,
        (O::Start, S::Error | S::BuildFailed) => V::Refused,

        (O::Stop, S::Started | S::Paused) => V::Allowed,
        (O::Stop, S::Stopped | S::Archived | S::Error | S::BuildFailed) => V::Refused,

        (O::Pause, S::Started) => V::Allowed,
        (
            O::Pause,
            S::PendingBuild
            | S::BuildingSnapshot
            | S::BuildFailed
            | S::Creating
            | S::Starting
            | S::Stopping
            | S::Resizing
            | S::Snapshotting
            | S::Forking
            | S::Pausing
            | S::Resuming
            | S::Archiving
            | S::Archived
            | S::Restoring
            | S::Stopped
            | S::Paused
            | S::Destroying
            | S::Error,
        ) => V::Refused,

        (O::Resize, S::Started | S::Stopped) => V::Allowed,
        (O::Resize, S::Paused | S::Archived | S::Error | S::BuildFailed) => V::Refused,

        (O::Delete, S::Started | S::Stopped | S::Paused | S::Archiving | S::Archived | S::Error) => V::Allowed,
        // a build may take an hour
        (O::Delete, S::PendingBuild | S::BuildingSnapshot | S::BuildFailed) => V::Allowed,
        // who cleans up twice has what it wants
        (O::Delete, S::Destroying) => V::Already,

        (O::Change, S::Destroying) => V::Busy,
        (
            O::Change,
            S::PendingBuild
            | S::BuildingSnapshot
            | S::BuildFailed
            | S::Creating
            | S::Starting
            | S::Stopping
            | S::Resizing
            | S::Snapshotting
            | S::Forking
            | S::Pausing
            | S::Resuming
            | S::Archiving
            | S::Archived
            | S::Restoring
            | S::Started
            | S::Stopped
            | S::Paused
            | S::Error,
        ) => V::Allowed,

        // while it is changed or copied its processes go on, if it runs
        (O::Enter, S::Started | S::Resizing | S::Snapshotting | S::Forking) => V::Allowed,
        (
            O::Enter,
            S::PendingBuild
            | S::BuildingSnapshot
            | S::BuildFailed
            | S::Creating
            | S::Starting
            | S::Stopping
            | S::Pausing
            | S::Resuming
            | S::Archiving
            | S::Archived
            | S::Restoring
            | S::Stopped
            | S::Paused
            | S::Destroying
            | S::Error,
        ) => V::Refused,

        (O::Start | O::Stop | O::Resize, S::Destroying) => V::Busy,
        (O::Stop | O::Resize, S::Archiving) => V::Busy,
        (O::Start | O::Stop | O::Resize, S::PendingBuild | S::BuildingSnapshot) => V::Busy,
        (
            O::Start | O::Stop | O::Resize | O::Delete,
            S::Creating
            | S::Starting
            | S::Stopping
            | S::Resizing
            | S::Snapshotting
            | S::Forking
            | S::Pausing
            | S::Resuming
            | S::Restoring,
        ) => V::Busy,

        (O::Archive | O::Backup | O::Fork | O::Snapshot | O::Recover, state) => verdict_of_copies(operation, state),

        (O::Start | O::Stop | O::Pause | O::Resize | O::Delete | O::Change | O::Enter, S::Destroyed) => V::Gone,
    }
}

/// What a state says to an operation that copies files, or to a recovery.
const fn verdict_of_copies(operation: Operation, state: SandboxState) -> Verdict {
    use {Operation as O, SandboxState as S, Verdict as V};
    match (operation, state) {
        (O::Recover, S::Error) => V::Allowed,
        (_, S::Destroyed) => V::Gone,
        (O::Recover, _) | (_, S::Error | S::BuildFailed) => V::Refused,

        (O::Archive, S::Stopped) => V::Allowed,
        (O::Archive, S::Started | S::Paused | S::Archived) => V::Refused,

        // its files are stored, or about to be
        (O::Backup, S::Archived | S::Archiving) => V::Already,
        (O::Backup, S::Started | S::Stopped | S::Paused) => V::Allowed,

        (O::Fork, S::Started | S::Stopped | S::Paused) => V::Allowed,
        (O::Fork, S::Archived) => V::Refused,

        // of a snapshot, and what is no such operation
        (_, S::Started | S::Stopped) => V::Allowed,
        (_, S::Paused | S::Archived) => V::Refused,

        (
            _,
            S::PendingBuild
            | S::BuildingSnapshot
            | S::Creating
            | S::Starting
            | S::Stopping
            | S::Resizing
            | S::Snapshotting
            | S::Forking
            | S::Pausing
            | S::Resuming
            | S::Archiving
            | S::Restoring
            | S::Destroying,
        ) => V::Busy,
    }
}

/// Whether an operation makes a copy of the sandbox's files.
const fn copies(operation: Operation) -> bool {
    matches!(operation, Operation::Archive | Operation::Backup | Operation::Fork | Operation::Snapshot)
}

/// Whether an operation on this sandbox would change something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// It would.
    Change,
    /// It is already as asked for.
    Already,
}

/// Whether `operation` may be asked of `sandbox` now.
///
/// Beyond the table, nobody enters one that does not run, and of the copies of its files that somebody asked for one is made
/// at a time. A delete supersedes a start, stop, pause or resize that was asked for longer than a minute ago, and the copying
/// of files that may hold up a start for many minutes.
pub fn allowed(operation: Operation, sandbox: &Sandbox, now: Timestamp) -> Result<Effect, Refusal> {
    let state = sandbox.state();
    // what was asked for was the last use of it: its row may have changed since, and nothing else counts as use
    let overdue = state.is_quick() && now - sandbox.last_activity_at > CHANGE_DEADLINE;
    let copies_files = match sandbox.next_step() {
        Step::Remake(_) => true,
        Step::Create => sandbox.filling().is_some(),
        // one that waits for its parent's files
        Step::Settled => sandbox.files.beginning == Beginning::Awaited && state == SandboxState::Creating,
        _ => false,
    };
    let superseded = overdue || copies_files;
    let runs = matches!(sandbox.seen, Seen::Running { configured: true, .. });
    let copied = sandbox.files.copying.is_some() && !sandbox.files.copied_unasked();
    let why = match verdict(operation, state) {
        Verdict::Allowed if operation == Operation::Enter && !runs => WhyNot::State,
        Verdict::Allowed if operation == Operation::Recover && !sandbox.recoverable() => WhyNot::State,
        Verdict::Allowed if copies(operation) && copied => WhyNot::Busy,
        Verdict::Allowed => return Ok(Effect::Change),
        Verdict::Already => return Ok(Effect::Already),
        Verdict::Busy if superseded && operation == Operation::Delete => return Ok(Effect::Change),
        Verdict::Busy => WhyNot::Busy,
        Verdict::Refused => WhyNot::State,
        Verdict::Gone => WhyNot::Gone,
    };
    let failure = sandbox.failure.as_ref().map(|failure| failure.reason.clone());
    Err(Refusal { why, operation, sandbox: sandbox.id, state, copied, failure })
}

/// Why an operation is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WhyNot {
    /// A change is under way.
    Busy,
    /// The state does not allow it.
    State,
    /// The sandbox is gone.
    Gone,
}

/// An operation that a sandbox's state refuses, with words for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Why.
    pub why: WhyNot,
    operation: Operation,
    sandbox: SandboxId,
    state: SandboxState,
    /// Whether its files are being copied.
    copied: bool,
    failure: Option<String>,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { why, operation, sandbox, state, copied, failure } = self;
        let (what, word) = (operation.word(), state.word());
        match (operation, why) {
            (Operation::Enter, WhyNot::Busy | WhyNot::State) => {
                write!(f, "sandbox {sandbox} is {word}, not started. Is the Sandbox started?")
            }
            (_, WhyNot::Gone) => write!(f, "Sandbox {sandbox} not found"),
            (_, WhyNot::Busy) if *copied => {
                write!(f, "Cannot {what} sandbox {sandbox}: its files are being copied; try again when that is done")
            }
            (_, WhyNot::Busy) => {
                write!(f, "Cannot {what} sandbox {sandbox}: it is {word}; try again when that is done")
            }
            (_, WhyNot::State) => {
                write!(f, "Cannot {what} sandbox {sandbox} in state {word}")?;
                failure.as_ref().map_or(Ok(()), |reason| write!(f, ": {reason}"))
            }
        }
    }
}

impl std::error::Error for Refusal {}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use expect_test::expect_file;

    use super::*;

    #[test]
    fn the_table_as_data_is_the_table() {
        let row = |operation: &Operation| {
            let cells = SandboxState::ALL.iter().map(|state| (state.word(), verdict(*operation, *state).word()));
            (operation.word(), cells.collect::<BTreeMap<_, _>>())
        };
        let table: BTreeMap<_, _> = Operation::ALL.iter().map(row).collect();
        let text = serde_json::to_string_pretty(&table).unwrap() + "\n";
        expect_file!["operations.json"].assert_eq(&text);
    }
}
