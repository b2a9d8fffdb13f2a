//! What each loop does and did last, for the owner of this installation.

use std::time::Duration;

use harbor_model::Timestamp;

/// What one loop does, and did last.
#[derive(Clone, Debug)]
pub struct LoopReport {
    /// What it looks after, for example `sandboxes`.
    pub name: &'static str,
    /// Keys that wait for room.
    pub due: usize,
    /// Keys that are looked at later.
    pub later: usize,
    /// Keys that are worked on, the longest first.
    pub under_way: Vec<UnderWay>,
    /// Steps taken since harbor started.
    pub steps: u64,
    /// Steps of these that failed.
    pub failures: u64,
    /// The newest step.
    pub last: Option<LastStep>,
    /// The newest step that failed.
    pub last_failure: Option<LastStep>,
}

/// A key that is worked on.
#[derive(Clone, Debug)]
pub struct UnderWay {
    /// The key, for example a sandbox's id.
    pub key: String,
    /// Which kind of step it is.
    pub lane: &'static str,
    /// For how long.
    pub lasts: Duration,
}

/// A step that has ended.
#[derive(Clone, Debug)]
pub struct LastStep {
    /// The key, for example a sandbox's id.
    pub key: String,
    /// When it ended.
    pub at: Timestamp,
    /// How long it took.
    pub took: Duration,
    /// What was done, or why it failed; for people, without secrets.
    pub outcome: String,
}
