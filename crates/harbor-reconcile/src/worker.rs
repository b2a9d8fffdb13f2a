//! One worker: takes an id, walks it to where it is wanted, step by step.

use std::sync::Arc;
use std::time::Duration;

use harbor_model::ids::SandboxId;
use harbor_model::sandboxes::{FailedAttempt, Outcome, Retry, Sandbox, Seen, Step};
use harbor_runner::{Configuration, RunnerError, SandboxSpec};
use harbor_store::StoreError;
use tokio::time::Instant;

use crate::dirty::Mark;
use crate::{Inner, chain, now};

/// More steps than any walk needs: a guard against a step that does not change what is seen.
const LONGEST_WALK: usize = 12;

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

impl Trouble {
    /// What failed and why, for people.
    fn reason(&self) -> String {
        match self {
            Self::Runner(step, error) => format!("{step}: {}", chain(error)),
            Self::Store(error) => chain(error),
            Self::Endless => "its steps lead nowhere; this is a fault of harbor's".to_owned(),
        }
    }

    /// What it means for further attempts.
    fn kind(&self) -> FailedAttempt {
        match self {
            Self::Runner(_, error) if error.transient() => FailedAttempt::Transient,
            Self::Runner(_, RunnerError::ImageMissing { .. } | RunnerError::Incomplete) => FailedAttempt::Permanent,
            Self::Runner(..) => FailedAttempt::Unlikely,
            Self::Store(_) => FailedAttempt::Unrecorded,
            Self::Endless => FailedAttempt::Permanent,
        }
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
            let step = sandbox.next_step();
            if step == Step::Settled {
                return Ok(());
            }
            let started = Instant::now();
            sandbox = self.take(&step, &sandbox).await?;
            tracing::info!(sandbox = %id, step = step.name(), elapsed = ?started.elapsed(), "step taken");
        }
        Err(Trouble::Endless)
    }

    /// Asks the engine what is there and records it.
    async fn look(&self, sandbox: &Sandbox) -> Result<Sandbox, Trouble> {
        let found = self.runner.find(&sandbox.id).await.map_err(|error| Trouble::Runner("look", error))?;
        let after = self.record(sandbox.id, Outcome::Found(found)).await?;
        if after.state() != sandbox.state() {
            tracing::info!(sandbox = %after.id, state = after.state().word(), note = after.note, "changed on the engine");
        }
        Ok(after)
    }

    /// Takes one step and records what came of it.
    async fn take(&self, step: &Step, sandbox: &Sandbox) -> Result<Sandbox, Trouble> {
        let id = sandbox.id;
        let failed = |error| Trouble::Runner(step.name(), error);
        let outcome = match step {
            Step::Settled => return Ok(sandbox.clone()),
            Step::Create => Outcome::Made(self.runner.create(&spec(sandbox)).await.map_err(failed)?),
            Step::Remake(old) => Outcome::Made(self.runner.remake(&spec(sandbox), old).await.map_err(failed)?),
            Step::Start(container) => {
                Outcome::Started(container.clone(), self.runner.start(&id, container).await.map_err(failed)?)
            }
            Step::Configure(container) => {
                let configured = self.runner.configure(&id, container, &configuration(sandbox)).await;
                let version = configured.map_err(failed)?.version;
                Outcome::Configured { version, at: harbor_model::to_millisecond(now()) }
            }
            Step::Stop(container) => {
                let grace = if sandbox.force { Duration::ZERO } else { self.config.stop_grace };
                self.runner.stop(&id, container, grace).await.map_err(failed)?;
                return self.look(sandbox).await;
            }
            Step::Remove => {
                self.runner.remove(&id).await.map_err(failed)?;
                Outcome::Removed
            }
            Step::Accept(_) => Outcome::Accepted,
        };
        self.record(id, outcome).await
    }

    async fn record(&self, id: SandboxId, outcome: Outcome) -> Result<Sandbox, Trouble> {
        Ok(self.store.change_sandbox(id, now(), |row| row.record(outcome)).await?.0)
    }

    /// Decides what a failed walk means: another attempt later, or the end of trying.
    async fn after_trouble(&self, id: SandboxId, mark: Mark, trouble: Trouble) -> Option<Mark> {
        let (count, since) = mark.failed.unwrap_or((0, Instant::now()));
        let count = count + 1;
        let reason = trouble.reason();
        tracing::warn!(sandbox = %id, attempt = count, %reason, "step failed");
        let pause = match trouble.kind().retry(count, since.elapsed(), self.config.start_deadline) {
            Retry::After(pause) => pause,
            Retry::GiveUp(pause) => {
                let given_up = self.store.change_sandbox(id, now(), |row| row.give_up(reason)).await;
                if given_up.is_ok_and(|(_, in_error)| in_error) {
                    return None;
                }
                pause
            }
        };
        Some(Mark { due: Instant::now() + pause, look: true, failed: Some((count, since)) })
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
