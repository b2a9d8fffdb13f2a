//! Whether this installation can do its work, and what it does.

use std::time::Duration;

use harbor_model::Timestamp;
use harbor_model::garbage::Collected;

/// Tells the truth about what a create needs and what harbor is doing. The binary joins it to the crates that know.
#[async_trait::async_trait]
pub trait Readiness: Send + Sync {
    /// Every component that a create needs, for example the engine and the default snapshot; asked for at most five
    /// seconds.
    async fn check(&self) -> Vec<Component>;

    /// What each of harbor's own loops does, and did last.
    fn loops(&self) -> Vec<Loop>;

    /// Lets go of what nobody has needed for `at_least`, or only finds it, and answers what. The error says what failed.
    async fn collect_garbage(&self, at_least: Duration, rehearse: bool) -> Result<Vec<Collected>, String>;
}

/// One thing that a create needs.
#[derive(Clone, Debug)]
pub struct Component {
    /// Its name, for example `engine`.
    pub name: &'static str,
    /// `None`: it is there. Otherwise why not and what to do, for people; holds no secret.
    pub problem: Option<String>,
}

/// What one of harbor's own loops does, and did last.
#[derive(Clone, Debug)]
pub struct Loop {
    /// What it looks after, for example `sandboxes`.
    pub name: &'static str,
    /// Keys that wait for room.
    pub due: usize,
    /// Keys that are looked at later.
    pub later: usize,
    /// Keys that are worked on, in which lane, and for how long.
    pub under_way: Vec<(String, &'static str, Duration)>,
    /// Steps taken since harbor started.
    pub steps: u64,
    /// Steps of these that failed.
    pub failures: u64,
    /// The newest step.
    pub last: Option<LoopOutcome>,
    /// The newest step that failed.
    pub last_failure: Option<LoopOutcome>,
}

/// A step of a loop that has ended.
#[derive(Clone, Debug)]
pub struct LoopOutcome {
    /// The key that it was about.
    pub key: String,
    /// When it ended.
    pub at: Timestamp,
    /// How long it took.
    pub took: Duration,
    /// What was done, or why it failed; for people, without secrets.
    pub outcome: String,
}
