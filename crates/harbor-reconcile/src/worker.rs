//! One worker: takes an id, walks it to where it is wanted, step by step.

use std::sync::Arc;
use std::time::Duration;

use harbor_model::ids::SandboxId;
use harbor_model::sandboxes::{Desired, Ending, Failure, Sandbox, Seen, Step, next_step, observe};
use harbor_runner::{Configuration, RunnerError, SandboxSpec};
use harbor_store::StoreError;
use tokio::time::Instant;

use crate::dirty::Mark;
use crate::{Inner, chain, now};

/// More steps than any walk needs: a guard against a step that does not change what is seen.
const LONGEST_WALK: usize = 12;

/// The longest pause between two attempts.
const LONGEST_BACKOFF: Duration = Duration::from_secs(15);

/// A start that fails for a reason that trying again does not mend is still tried this often: what was looked at may
/// have changed in between.
const ATTEMPTS: u32 = 3;

/// Works until the set of dirty ids is closed.
pub(crate) async fn work(inner: Arc<Inner>) {
    while let Some((id, mark)) = inner.dirty.next().await {
        let again = match inner.walk(id, mark.look).await {
            Ok(()) => None,
            Err(trouble) => inner.after_trouble(id, mark, trouble).await,
        };
        inner.dirty.done(id, again);
    }
}

/// Why a walk stopped before it was done.
enum Trouble {
    Runner(&'static str, RunnerError),
    Store(StoreError),
    Endless,
}

impl From<StoreError> for Trouble {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl Inner {
    /// Takes steps until intent and observation agree.
    async fn walk(&self, id: SandboxId, look: bool) -> Result<(), Trouble> {
        let Some(mut sandbox) = self.store.sandbox(id).await? else {
            // the stock's, or made by a call that an earlier run of harbor died in
            if look && !self.store.infra_stock().await?.iter().any(|(spare, _)| *spare == id) {
                self.relist.notify_one();
            }
            return Ok(());
        };
        if look && sandbox.seen != Seen::Removed {
            sandbox = self.look(&sandbox).await?;
        }
        for _ in 0..LONGEST_WALK {
            if sandbox.failure.is_some() && sandbox.desired != Desired::Destroyed {
                return Ok(());
            }
            let step = next_step(sandbox.desired, &sandbox.seen);
            if step == Step::Settled {
                return Ok(());
            }
            let started = Instant::now();
            sandbox = self.take(&step, &sandbox).await?;
            tracing::info!(sandbox = %id, step = step.name(), elapsed = ?started.elapsed(), "step taken");
        }
        Err(Trouble::Endless)
    }

    /// Asks the engine what is there and records it. An ending is accepted in the same change: nobody reads it without
    /// its reason, and no start that is asked for in between is lost.
    async fn look(&self, sandbox: &Sandbox) -> Result<Sandbox, Trouble> {
        let found = self.runner.find(&sandbox.id).await.map_err(|error| Trouble::Runner("look", error))?;
        let after = self
            .record(sandbox.id, move |row| {
                row.seen = observe(row.desired, &row.seen, &found);
                accept_ending(row);
            })
            .await?;
        if after.state() != sandbox.state() {
            tracing::info!(sandbox = %after.id, state = after.state().word(), note = after.note, "changed on the engine");
        }
        Ok(after)
    }

    /// Takes one step and records what came of it.
    async fn take(&self, step: &Step, sandbox: &Sandbox) -> Result<Sandbox, Trouble> {
        let id = sandbox.id;
        let failed = |error| Trouble::Runner(step.name(), error);
        match step {
            Step::Settled => Ok(sandbox.clone()),
            Step::Create => {
                let container = self.runner.create(&spec(sandbox)).await.map_err(failed)?;
                self.record(id, |row| row.seen = Seen::Made { container }).await
            }
            Step::Remake(old) => {
                let container = self.runner.remake(&spec(sandbox), old).await.map_err(failed)?;
                self.record(id, |row| row.seen = Seen::Made { container }).await
            }
            Step::Start(container) => {
                let boot = self.runner.start(&id, container).await.map_err(failed)?;
                let container = container.clone();
                let seen = Seen::Running { container, boot, configured: false, connected: true };
                self.record(id, |row| row.seen = seen).await
            }
            Step::Configure(container) => {
                let configured =
                    self.runner.configure(&id, container, &configuration(sandbox)).await.map_err(failed)?;
                self.record(id, move |row| {
                    if let Seen::Running { configured, .. } = &mut row.seen {
                        *configured = true;
                    }
                    row.toolbox_version = Some(configured.version);
                    row.started_once = true;
                    row.last_activity_at = harbor_model::to_millisecond(now());
                })
                .await
            }
            Step::Stop(container) => {
                let grace = if sandbox.force { Duration::ZERO } else { self.config.stop_grace };
                self.runner.stop(&id, container, grace).await.map_err(failed)?;
                self.look(sandbox).await
            }
            Step::Remove => {
                self.runner.remove(&id).await.map_err(failed)?;
                self.record(id, |row| row.seen = Seen::Removed).await
            }
            Step::Accept(_) => self.record(id, accept_ending).await,
        }
    }

    async fn record(
        &self,
        id: SandboxId,
        change: impl FnOnce(&mut Sandbox) + Send + 'static,
    ) -> Result<Sandbox, Trouble> {
        Ok(self.store.change_sandbox(id, now(), change).await?.0)
    }

    /// Decides what a failed walk means: another attempt later, or the end of trying.
    async fn after_trouble(&self, id: SandboxId, mark: Mark, trouble: Trouble) -> Option<Mark> {
        let (count, since) = mark.failed.unwrap_or((0, Instant::now()));
        let count = count + 1;
        let reason = match &trouble {
            Trouble::Runner(step, error) => format!("{step}: {}", chain(error)),
            Trouble::Store(error) => chain(error),
            Trouble::Endless => "its steps lead nowhere; this is a fault of harbor's".to_owned(),
        };
        tracing::warn!(sandbox = %id, attempt = count, %reason, "step failed");
        let given_up = match &trouble {
            Trouble::Runner(_, error) if error.transient() => since.elapsed() >= self.config.start_deadline,
            Trouble::Runner(_, RunnerError::ImageMissing { .. } | RunnerError::Incomplete) => true,
            Trouble::Runner(..) => count >= ATTEMPTS,
            Trouble::Store(_) => false,
            Trouble::Endless => true,
        };
        if given_up && self.fail(id, reason).await {
            return None;
        }
        let backoff = Duration::from_millis(100).saturating_mul(1 << count.min(10)).min(LONGEST_BACKOFF);
        Some(Mark { due: Instant::now() + backoff, look: true, failed: Some((count, since)) })
    }

    /// Puts the sandbox in `error`, if a start can fail it: everything else is tried for ever.
    /// Answers whether it now is in `error`.
    async fn fail(&self, id: SandboxId, reason: String) -> bool {
        let failed = self.record(id, move |row| {
            if starting(row.desired, &row.seen) {
                row.failure = Some(Failure { reason, recoverable: false });
            }
        });
        failed.await.is_ok_and(|row| row.failure.is_some() && row.desired == Desired::Started)
    }
}

/// Whether it is on its way up. One that runs as wanted loses nothing while the engine does not answer, and what is to
/// stop or go is never given up.
fn starting(desired: Desired, seen: &Seen) -> bool {
    desired == Desired::Started && next_step(desired, seen) != Step::Settled
}

/// If it ended without being asked, that is what is wanted now, or a failure.
fn accept_ending(row: &mut Sandbox) {
    let Step::Accept(ending) = next_step(row.desired, &row.seen) else { return };
    if row.failure.is_some() {
        return;
    }
    match ending {
        Ending::Stopped => {
            row.desired = Desired::Stopped;
            if let Seen::Exited { asked, .. } = &mut row.seen {
                *asked = true;
            }
            row.note = Some("it ended without being asked to; start it to use it again".to_owned());
        }
        // its processes still run, and are ended as for any stop
        Ending::Disconnected => {
            (row.desired, row.force) = (Desired::Stopped, false);
            row.note = Some("stopped because its network keeper ended; start it to use it again".to_owned());
        }
        Ending::Failed(code) => {
            row.failure = Some(Failure { reason: format!("exited with code {code}"), recoverable: false });
        }
        Ending::Lost => {
            row.failure = Some(Failure {
                reason: "its container was removed by somebody else, and its files with it; delete the sandbox"
                    .to_owned(),
                recoverable: false,
            });
        }
    }
}

fn spec(sandbox: &Sandbox) -> SandboxSpec {
    SandboxSpec {
        id: sandbox.id,
        image: sandbox.origin.image.clone(),
        entrypoint: sandbox.origin.entrypoint.clone().unwrap_or_default(),
        resources: sandbox.resources,
    }
}

/// What the sandbox's processes find in their environment (contract, toolbox §4.2).
fn configuration(sandbox: &Sandbox) -> Configuration {
    let own = [
        ("DAYTONA_SANDBOX_ID", sandbox.id.to_string()),
        ("DAYTONA_SANDBOX_SNAPSHOT", sandbox.origin.snapshot.clone()),
        ("DAYTONA_SANDBOX_USER", sandbox.origin.user.clone()),
    ];
    let mut env: std::collections::BTreeMap<String, String> =
        own.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    env.extend(sandbox.origin.env.clone());
    Configuration { token: sandbox.toolbox_token.clone(), previous: None, env }
}

#[cfg(test)]
mod tests {
    use harbor_model::ids::ContainerId;
    use harbor_model::sandboxes::Boot;

    use super::*;

    fn running(configured: bool) -> Seen {
        Seen::Running { container: ContainerId::new("c"), boot: Boot("1".to_owned()), configured, connected: true }
    }

    #[track_caller]
    fn check(desired: Desired, seen: &Seen, expected: bool) {
        assert_eq!(starting(desired, seen), expected);
    }

    #[test]
    fn only_a_start_under_way_can_fail() {
        check(Desired::Started, &Seen::Absent, true);
        check(Desired::Started, &Seen::Made { container: ContainerId::new("c") }, true);
        check(Desired::Started, &running(false), true);
        check(Desired::Started, &running(true), false);
        check(Desired::Stopped, &running(true), false);
        check(Desired::Destroyed, &running(true), false);
    }
}
