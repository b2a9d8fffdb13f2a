//! The loop over sandboxes: walks each to where it is wanted, step by step.

use std::collections::HashSet;
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::Duration;

use harbor_model::actors::Actor;
use harbor_model::errors::chain;
use harbor_model::ids::{ContainerId, LayerId, SandboxId};
use harbor_model::sandboxes::{CopyPurpose, Desired, FailedAttempt, Outcome, Retry, Sandbox, Seen, Step};
use harbor_runner::{Configuration, EngineError, Link, SandboxSpec, Storing, Woken};
use harbor_store::StoreError;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::Instant;

use crate::Inner;
use crate::listing::WholeEngine;
use crate::queue::{Failures, Lane, Mark, Queue, Stepped};
use crate::work::Work;

/// More steps than any walk needs: a guard against a step that does not change what is seen.
const LONGEST_WALK: usize = 12;

/// Walks sandboxes to where they are wanted.
pub(crate) struct Sandboxes(pub(crate) Arc<Inner>);

/// The lane of a sandbox's next step.
pub(crate) fn lane(sandbox: &Sandbox, step: &Step) -> Lane {
    match step {
        Step::Copy(_) if sandbox.files.copied_unasked() => Lane::Spare,
        Step::Create | Step::Start(_) | Step::Resume(_) | Step::Resize(_) | Step::Configure(_) => Lane::Start,
        Step::Pause(_) | Step::Stop(_) | Step::Doze(_) | Step::Evict | Step::Remove => Lane::End,
        Step::Remake(_) | Step::Copy(_) => Lane::Bulk,
        Step::Settled | Step::Accept(_) => Lane::Look,
    }
}

impl Work for Sandboxes {
    type Key = SandboxId;

    fn queue(&self) -> &Queue<SandboxId> {
        &self.0.sandboxes
    }

    async fn step(&self, id: SandboxId, mark: Mark) -> Stepped {
        match self.0.walk(id, mark.lane).await {
            Ok(Walked { done, onward }) => {
                let again = onward.map(|lane| Mark { failures: mark.failures, ..Mark::now(lane) });
                let done = if done.is_empty() { "nothing to do".to_owned() } else { done };
                Stepped { again, outcome: Ok(done) }
            }
            Err(trouble) => {
                let reason = trouble.reason();
                Stepped { again: self.0.after_trouble(id, mark, &trouble).await, outcome: Err(reason) }
            }
        }
    }
}

/// How far a walk went.
struct Walked {
    /// The steps taken.
    done: String,
    /// The lane that the next step belongs to, if there is one.
    onward: Option<Lane>,
}

/// Why a walk stopped before it was done.
enum Trouble {
    Engine(&'static str, EngineError),
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
            Self::Engine(step, error) => format!("{step}: {}", chain(error)),
            Self::Store(error) => chain(error),
            Self::Endless => "its steps lead nowhere; this is a fault of harbor's".to_owned(),
        }
    }

    /// What it means for further attempts.
    fn kind(&self) -> FailedAttempt {
        match self {
            Self::Engine(_, error) if error.transient() => FailedAttempt::Transient,
            Self::Engine(
                _,
                EngineError::ImageMissing { .. } | EngineError::Incomplete | EngineError::Astray { .. },
            ) => FailedAttempt::Permanent,
            Self::Engine(..) => FailedAttempt::Unlikely,
            Self::Store(_) => FailedAttempt::Unrecorded,
            Self::Endless => FailedAttempt::Permanent,
        }
    }
}

impl Inner {
    /// Takes steps of `lane` until intent and observation agree, or the next step belongs to another lane. In the lane
    /// of looks it looks at the engine first.
    async fn walk(&self, id: SandboxId, lane: Lane) -> Result<Walked, Trouble> {
        let mut done: Vec<&str> = Vec::new();
        let Some(mut sandbox) = self.store.sandbox(id).await? else {
            // the stock's, or made by a call that an earlier run of harbor died in
            if lane == Lane::Look && !self.store.infra_stock().await?.iter().any(|(spare, _)| *spare == id) {
                self.listing.mark(WholeEngine, Mark::now(Lane::Bulk));
            }
            return Ok(Walked { done: "no sandbox".to_owned(), onward: None });
        };
        if lane == Lane::Look && sandbox.seen != Seen::Removed {
            sandbox = self.look(&sandbox).await?;
            done.push("look");
        }
        for _ in 0..LONGEST_WALK {
            let step = sandbox.next_step();
            let needed = self::lane(&sandbox, &step);
            if step == Step::Settled && sandbox.unstored() && self.may_store(id) {
                let store = |row: &mut Sandbox| row.want_stored(LayerId::random());
                sandbox = self.store.by(Actor::Harbor).change_sandbox(id, self.now(), store).await?.0;
                continue;
            }
            if step == Step::Settled || (needed != lane && needed != Lane::Look) {
                let onward = (step != Step::Settled).then_some(needed);
                return Ok(Walked { done: done.join(", "), onward });
            }
            let started = Instant::now();
            sandbox = self.take(&step, &sandbox).await?;
            done.push(step.name());
            tracing::info!(sandbox = %id, step = step.name(), elapsed = ?started.elapsed(), "step taken");
        }
        Err(Trouble::Endless)
    }

    /// Asks the engine what is there and records it.
    async fn look(&self, sandbox: &Sandbox) -> Result<Sandbox, Trouble> {
        let found = self.engine.find(&sandbox.id).await.map_err(|error| Trouble::Engine("look", error))?;
        let after = self.record(sandbox.id, Outcome::Found(found)).await?;
        if after.state() != sandbox.state() {
            tracing::info!(sandbox = %after.id, state = after.state().word(), note = after.note, "changed on the engine");
        }
        Ok(after)
    }

    /// Takes one step and records what came of it.
    async fn take(&self, step: &Step, sandbox: &Sandbox) -> Result<Sandbox, Trouble> {
        let id = sandbox.id;
        let failed = |error| Trouble::Engine(step.name(), error);
        let outcome = match step {
            Step::Settled => return Ok(sandbox.clone()),
            Step::Create => {
                let spec = self.spec(sandbox).await?;
                tokio::select! {
                    made = self.engine.create(&spec) => Outcome::Made(made.map_err(failed)?),
                    deleted = self.overtaken(sandbox), if spec.filling.is_some() => return deleted,
                }
            }
            Step::Copy(container) => {
                let Some(copying) = &sandbox.files.copying else { return Ok(sandbox.clone()) };
                let (storing, go_on) = (storing(copying.purpose), sandbox.desired == Desired::Started);
                let saved = tokio::select! {
                    saved = self.engine.save(&id, container, &copying.layer, storing, go_on) => saved,
                    overtaken = self.overtaken(sandbox) => return overtaken,
                };
                if saved.is_ok() {
                    self.not_stored().remove(&id);
                } else if sandbox.files.copied_unasked() {
                    self.not_stored().insert(id);
                }
                Outcome::Copied(saved.map_err(failed)?)
            }
            Step::Remake(old) => {
                let spec = self.spec(sandbox).await?;
                tokio::select! {
                    made = self.engine.remake(&spec, old) => Outcome::Made(made.map_err(failed)?),
                    deleted = self.overtaken(sandbox) => return deleted,
                }
            }
            Step::Start(container) | Step::Resume(container) => {
                if let Some(woken) = self.wake(sandbox, container).await? {
                    return Ok(woken);
                }
                Outcome::Started(container.clone(), self.engine.start(&id, container).await.map_err(failed)?)
            }
            Step::Configure(container) => {
                let configured = self.engine.configure(&id, container, &configuration(sandbox)).await;
                let version = configured.map_err(failed)?.version;
                Outcome::Configured { version, at: harbor_model::to_millisecond(self.now()) }
            }
            Step::Pause(container) => {
                self.engine.pause(&id, container).await.map_err(failed)?;
                return self.look(sandbox).await;
            }
            Step::Resize(container) => {
                let to = sandbox.resize_to.unwrap_or(sandbox.resources);
                self.engine.resize(&id, container, to).await.map_err(failed)?;
                Outcome::Resized
            }
            Step::Stop(container) => {
                let grace = if sandbox.force { Duration::ZERO } else { self.config.stop_grace };
                if self.may_sleep(sandbox) && self.put_to_sleep(sandbox, container, grace).await {
                    return self.record(id, Outcome::Slept).await;
                }
                self.engine.stop(&id, container, grace).await.map_err(failed)?;
                return self.look(sandbox).await;
            }
            Step::Doze(container) => self.doze(sandbox, container).await.map_err(failed)?,
            Step::Evict => {
                self.engine.remove(&id).await.map_err(failed)?;
                Outcome::Evicted
            }
            Step::Remove => {
                self.engine.remove(&id).await.map_err(failed)?;
                self.not_stored().remove(&id);
                Outcome::Removed
            }
            Step::Accept(_) => Outcome::Accepted,
        };
        self.record(id, outcome).await
    }

    /// Lets one that sleeps or is paused go on, and configures it, in one step, if the engine can.
    async fn wake(&self, sandbox: &Sandbox, container: &ContainerId) -> Result<Option<Sandbox>, Trouble> {
        let (Seen::Asleep { boot, .. } | Seen::Frozen { boot, .. }) = &sandbox.seen else { return Ok(None) };
        let woken = self.engine.wake(&sandbox.id, container, &configuration(sandbox)).await;
        let Some(Woken { configured, engine_answered }) = woken.map_err(|error| Trouble::Engine("wake", error))? else {
            return Ok(None);
        };
        let version = configured.version;
        let (started, at) =
            (Outcome::Started(container.clone(), boot.clone()), harbor_model::to_millisecond(self.now()));
        let record = move |row: &mut Sandbox| {
            row.record(started);
            row.record(Outcome::Configured { version, at });
        };
        let woken = self.store.by(Actor::Harbor).change_sandbox(sandbox.id, self.now(), record).await;
        // whoever wanted it started knows, while nothing else is done with it
        engine_answered.await;
        Ok(Some(woken?.0))
    }

    /// What its containers are made of.
    async fn spec(&self, sandbox: &Sandbox) -> Result<SandboxSpec, StoreError> {
        let target = match sandbox.linked {
            Some(target) => self.store.sandbox(target).await?.filter(Sandbox::live),
            None => None,
        };
        Ok(SandboxSpec {
            id: sandbox.id,
            image: sandbox.origin.image.clone(),
            filling: sandbox.filling().cloned(),
            entrypoint: sandbox.origin.entrypoint.clone().unwrap_or_default(),
            resources: sandbox.resources,
            mounts: sandbox.origin.mounts.clone(),
            link: target.map(|target| Link {
                to: target.id,
                names_of_target: target.host_names(),
                names: sandbox.host_names(),
            }),
        })
    }

    /// Whether the files of what does not sleep are stored: nowhere if none shall sleep, and of none that this run of harbor
    /// could not store before.
    fn may_store(&self, id: SandboxId) -> bool {
        self.config.most_asleep > 0 && !self.not_stored().contains(&id)
    }

    fn not_stored(&self) -> MutexGuard<'_, HashSet<SandboxId>> {
        self.not_stored.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a sandbox that is to stop can sleep: it runs as it should, and not too many do already.
    fn may_sleep(&self, sandbox: &Sandbox) -> bool {
        let runs = matches!(sandbox.seen, Seen::Running { connected: true, .. } | Seen::Frozen { connected: true, .. });
        runs && self.store.tally().asleep < self.config.most_asleep
    }

    /// Whether it sleeps now; it is stopped otherwise.
    async fn put_to_sleep(&self, sandbox: &Sandbox, container: &ContainerId, grace: Duration) -> bool {
        match self.engine.sleep(&sandbox.id, container, grace).await {
            Ok(()) => true,
            Err(error) => {
                tracing::info!(sandbox = %sandbox.id, error = chain(&error), "it cannot sleep and is stopped instead");
                false
            }
        }
    }

    /// Puts one to sleep that was ended by somebody else. Nobody waits for it: where it cannot, or too many sleep already, it
    /// stays stopped.
    async fn doze(&self, sandbox: &Sandbox, container: &ContainerId) -> Result<Outcome, EngineError> {
        if self.store.tally().asleep >= self.config.most_asleep {
            return Ok(Outcome::StaysStopped);
        }
        let id = &sandbox.id;
        let slept = async {
            let boot = self.engine.start(id, container).await?;
            self.engine.pause(id, container).await?;
            Ok(Outcome::Dozed(boot))
        };
        match slept.await {
            Err(error) if !EngineError::transient(&error) => {
                tracing::info!(sandbox = %id, error = chain(&error), "it cannot sleep and stays stopped");
                self.engine.stop(id, container, Duration::ZERO).await?;
                Ok(Outcome::StaysStopped)
            }
            outcome => outcome,
        }
    }

    /// Waits until something else is wanted of the sandbox, or another copy of its files: what copies files may take
    /// minutes, and nothing that is wanted waits for it.
    async fn overtaken(&self, sandbox: &Sandbox) -> Result<Sandbox, Trouble> {
        let mut changes = self.store.changes();
        loop {
            if let Some(row) = self.store.sandbox(sandbox.id).await?
                && (row.desired != sandbox.desired || row.files.copying != sandbox.files.copying)
            {
                return Ok(row);
            }
            if matches!(changes.recv().await, Err(RecvError::Closed)) {
                std::future::pending::<()>().await;
            }
        }
    }

    async fn record(&self, id: SandboxId, outcome: Outcome) -> Result<Sandbox, Trouble> {
        Ok(self.store.by(Actor::Harbor).change_sandbox(id, self.now(), |row| row.record(outcome)).await?.0)
    }

    /// Decides what a failed walk means: another attempt later, or the end of trying.
    async fn after_trouble(&self, id: SandboxId, mark: Mark, trouble: &Trouble) -> Option<Mark> {
        let Failures { count, since } = mark.failures.unwrap_or(Failures { count: 0, since: Instant::now() });
        let (count, reason) = (count + 1, trouble.reason());
        tracing::warn!(sandbox = %id, attempt = count, %reason, "step failed");
        let pause = match trouble.kind().retry(count, since.elapsed(), self.config.start_deadline) {
            Retry::After(pause) => pause,
            Retry::GiveUp(pause) => {
                let given_up =
                    self.store.by(Actor::Harbor).change_sandbox(id, self.now(), |row| row.give_up(reason)).await;
                if given_up.is_ok_and(|(_, in_error)| in_error) {
                    return None;
                }
                pause
            }
        };
        Some(Mark { failures: Some(Failures { count, since }), ..Mark::after(pause, Lane::Look) })
    }
}

/// How a copy is stored that is made for this.
const fn storing(purpose: CopyPurpose) -> Storing {
    match purpose {
        CopyPurpose::Fork(_) => Storing::ReadOnce,
        CopyPurpose::Backup | CopyPurpose::Stopped | CopyPurpose::Archive | CopyPurpose::Snapshot(_) => Storing::Kept,
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
