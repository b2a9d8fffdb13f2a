//! What time brings about in sandboxes: stops and deletes (contract, control-plane §5.6, §5.13).
//!
//! The loop sleeps until the earliest is due. Uses of a sandbox wake nobody: who wakes reads the row and goes on
//! sleeping. A clock that is set, either way, brings nothing about: what was noted by the old clock is moved with it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use harbor_model::actors::Actor;
use harbor_model::errors::chain;
use harbor_model::ids::SandboxId;
use harbor_model::sandboxes::{Sandbox, Timed};
use harbor_store::StoreError;

use crate::Inner;
use crate::queue::{Lane, Mark, Queue, Stepped};
use crate::work::Work;

/// How often the clock is looked at: uses noted meanwhile by a clock that was just set are told from those before.
const CLOCK_INTERVAL: Duration = Duration::from_secs(10);

/// The pause after a step that failed.
const RETRY: Duration = Duration::from_secs(10);

/// What a timer is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum TimerKey {
    /// The clock itself.
    Clock,
    /// What is due in this sandbox.
    Sandbox(SandboxId),
}

impl fmt::Display for TimerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Clock => f.write_str("clock"),
            Self::Sandbox(id) => id.fmt(f),
        }
    }
}

/// Brings about what is due.
pub(crate) struct Timers(pub(crate) Arc<Inner>);

impl Work for Timers {
    type Key = TimerKey;

    fn queue(&self) -> &Queue<TimerKey> {
        &self.0.timers
    }

    async fn step(&self, key: TimerKey, _: Mark) -> Stepped {
        let (outcome, again) = match key {
            TimerKey::Clock => (self.0.follow_clock().await, Some(Mark::after(CLOCK_INTERVAL, Lane::Look))),
            TimerKey::Sandbox(id) => match self.0.let_time_pass(id).await {
                Ok((done, again)) => (Ok(done), again),
                Err(error) => (Err(error), Some(Mark::after(RETRY, Lane::Look))),
            },
        };
        if let Err(error) = &outcome {
            tracing::warn!(timer = %key, error = chain(error), "what is due was not looked at");
        }
        Stepped { again, outcome: outcome.map_err(|error| chain(&error)) }
    }
}

impl Inner {
    /// Looks again at this sandbox when something is due in it.
    pub(crate) fn set_timer(&self, sandbox: &Sandbox) {
        if let Some(mark) = self.timer(sandbox) {
            self.timers.mark(TimerKey::Sandbox(sandbox.id), mark);
        }
    }

    fn timer(&self, sandbox: &Sandbox) -> Option<Mark> {
        let left = sandbox.due()?.at - self.now();
        // to the next millisecond, as the rows are; what has passed is due at once
        let left = Duration::try_from(left).map_or(Duration::ZERO, |left| left + Duration::from_millis(1));
        Some(Mark::after(left.min(Duration::from_hours(24)), Lane::Look))
    }

    /// Wants what is due in a sandbox, if anything is, and answers what was done, and when to look again.
    async fn let_time_pass(&self, id: SandboxId) -> Result<(String, Option<Mark>), StoreError> {
        self.follow_clock().await?;
        let now = self.now();
        let Some(row) = self.store.sandbox(id).await? else { return Ok(("it is gone".to_owned(), None)) };
        if row.due().is_none_or(|due| due.at > now) {
            return Ok(("nothing is due".to_owned(), self.timer(&row)));
        }
        let store = self.store.by(Actor::Harbor);
        let (row, done) = store.change_sandbox(id, now, move |row| row.let_time_pass(now)).await?;
        let word = match done {
            None => "nothing is due",
            Some(Timed::Stop) => "stop wanted",
            Some(Timed::Pause) => "pause wanted",
            Some(Timed::Archive) => "archive wanted",
            Some(Timed::Delete) => "delete wanted",
        };
        if done.is_some() {
            tracing::info!(sandbox = %id, note = row.note, "{word}, as it was due");
        }
        Ok((word.to_owned(), self.timer(&row)))
    }

    /// Moves what was noted by a clock that has been set since.
    async fn follow_clock(&self) -> Result<String, StoreError> {
        let Some(jump) = self.clock_watch.look(&*self.config.clock) else {
            return Ok("the clock was not set".to_owned());
        };
        tracing::warn!(by = %jump.by, "the clock was set; times at which sandboxes are stopped or deleted move with it");
        let moved = self.store.by(Actor::Harbor).move_times(jump.by, jump.since, self.now()).await;
        if moved.is_err() {
            self.clock_watch.undo(jump);
        }
        let moved = moved?;
        Ok(format!("the clock was set by {}: {moved} sandboxes follow", jump.by))
    }
}
