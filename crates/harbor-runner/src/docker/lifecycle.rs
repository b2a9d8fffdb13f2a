//! Starts and stops a sandbox's containers.

use std::pin::pin;
use std::time::Duration;

use futures_util::{FutureExt, TryFutureExt as _};
use harbor_model::ids::{ContainerId, SandboxId};
use harbor_model::resources::Resources;
use harbor_model::sandboxes::Boot;
use harbor_protocol::toolbox;

use crate::docker::handle::DockerEngine;
use crate::docker::known::Run;
use crate::docker::naming::{self, Role};
use crate::docker::objects::client::SLOW;
use crate::docker::spec;
use crate::error::EngineError;
use crate::sandbox::{Configuration, Woken};

/// What the engine says when it is to start a container that somebody paused.
pub(crate) const FROZEN: &str = "cannot start a paused container";

/// What the engine says when it is to run something in a container that is paused, or was until just now.
const PAUSED: &str = "is paused";

/// How often a container is told to go on before it is put to sleep, and the pause between: 2 s together.
const THAWS: u32 = 21;
const THAW_PAUSE: Duration = Duration::from_millis(100);

/// How much longer than the grace what puts a container to sleep may take: it gives up by itself before.
const SLEEP: Duration = Duration::from_secs(20);

/// How often a container that is being put to sleep is looked at, since nothing in one ends that somebody pauses meanwhile.
const LOOK: Duration = Duration::from_secs(1);

impl DockerEngine {
    /// Starts the infra container if it does not run, then the sandbox container. Idempotent.
    ///
    /// A sandbox whose infra container is gone is [`EngineError::InfraGone`]: see [`DockerEngine::remake`].
    pub async fn start(&self, id: &SandboxId, container: &ContainerId) -> Result<Boot, EngineError> {
        self.known().outdate(id);
        let known = self.known().get(id);
        if known.frozen && known.infra_runs && self.client().unpause_container(container.as_str()).await.is_ok() {
            self.known().note(id, |entry| entry.frozen = false);
            return self.boot(id, container).await;
        }
        let prepared = self.prepare_parts(id, container).await?;
        if !known.infra_runs {
            self.start_known_infra(id, container).await?;
        }
        match self.start_sandbox(id, container).await {
            Err(Refusal::InfraStopped(_)) => {
                self.known().note(id, |entry| entry.infra_runs = false);
                self.start_known_infra(id, container).await?;
                self.start_sandbox(id, container).await.map_err(Refusal::into_error)?;
            }
            Err(Refusal::Frozen(_)) => self.thaw(container.as_str()).await?,
            Err(Refusal::ToolboxMissing(_)) => {
                self.deliver().await?;
                self.start_sandbox(id, container).await.map_err(Refusal::into_error)?;
            }
            outcome => outcome.map_err(Refusal::into_error)?,
        }
        let boot = self.boot(id, container).await?;
        if prepared {
            let run = Run { container: container.clone(), began: boot.0.clone() };
            self.known().note(id, |entry| entry.prepared = Some(run));
        }
        Ok(boot)
    }

    /// Lets a sandbox that sleeps or is frozen go on, and configures its toolbox at the same time: what a frozen one is told waits for
    /// it, so that the engine's answer is not waited for first. `None` where it is not known to be frozen.
    pub async fn wake(
        &self,
        id: &SandboxId,
        container: &ContainerId,
        configuration: &Configuration,
    ) -> Result<Option<Woken>, EngineError> {
        let known = self.known().get(id);
        if !(known.frozen && known.infra_runs) {
            return Ok(None);
        }
        // what is mounted is looked at once it goes on
        if known.checked.is_none() && !self.facts(id, container).await?.mounts.is_empty() {
            return Ok(None);
        }
        self.known().outdate(id);
        let (engine, sandbox, container_id) = (self.clone(), *id, container.clone());
        let mut unpaused = async move {
            let unpaused = engine.client().unpause_container(container_id.as_str()).await;
            engine.known().note(&sandbox, |entry| entry.frozen = false);
            unpaused.is_ok()
        }
        .boxed();
        let told = self.configure(id, container, configuration);
        tokio::pin!(told);
        tokio::select! {
            // its toolbox answers, so it goes on, whatever the engine says of it afterwards
            configured = &mut told => match configured {
                Ok(configured) => Ok(Some(Woken { configured, engine_answered: unpaused.map(drop).boxed() })),
                Err(error) => {
                    unpaused.await;
                    Err(error)
                }
            },
            goes_on = &mut unpaused => {
                if !goes_on {
                    return Ok(None);
                }
                Ok(Some(Woken { configured: told.await?, engine_answered: std::future::ready(()).boxed() }))
            }
        }
    }

    /// Freezes the sandbox's processes. Idempotent.
    pub async fn pause(&self, id: &SandboxId, container: &ContainerId) -> Result<(), EngineError> {
        self.known().outdate(id);
        let doing = format!("pause container {}", naming::sandbox(id));
        match self.client().pause_container(container.as_str(), &doing).await {
            // a conflict: it is frozen already, or does not run, which the next look tells
            Ok(()) | Err(EngineError::Conflict { .. }) => {}
            Err(error) => return Err(error),
        }
        self.known().note(id, |entry| entry.frozen = true);
        Ok(())
    }

    /// Ends everything in the sandbox but process 1, which begins anew, and freezes that. Idempotent; what does not run is an
    /// error, as is a sandbox whose process 1 cannot.
    pub async fn sleep(&self, id: &SandboxId, container: &ContainerId, grace: Duration) -> Result<(), EngineError> {
        self.known().outdate(id);
        let doing = format!("put container {} to sleep", naming::sandbox(id));
        let seconds = grace.as_millis().div_ceil(1000).to_string();
        let command = [toolbox::BINARY, toolbox::SLEEP, &seconds];
        let limit = grace.saturating_add(SLEEP);
        let run = || {
            self.kept_thawed(
                container,
                self.client().run_as_root(container.as_str(), &command, &doing, limit).map_ok(drop),
            )
        };
        let mut thaws = 0;
        loop {
            match run().await {
                // frozen, by its owner or by an attempt before this one
                Err(error) if thaws < THAWS && error.engine_says().is_some_and(|says| says.contains(PAUSED)) => {
                    if thaws > 0 {
                        tokio::time::sleep(THAW_PAUSE).await;
                    }
                    // refused where the engine takes it for paused only until it has read its own events
                    let _tried_again = self.client().unpause_container(container.as_str()).await;
                    thaws += 1;
                }
                outcome => break outcome?,
            }
        }
        self.client().pause_container(container.as_str(), &doing).await?;
        self.known().note(id, |entry| entry.frozen = true);
        Ok(())
    }

    /// What becomes of a command in a container that goes on again whenever somebody pauses it.
    async fn kept_thawed<T>(&self, container: &ContainerId, command: impl Future<Output = T>) -> T {
        let mut command = pin!(command);
        loop {
            tokio::select! {
                outcome = &mut command => return outcome,
                () = tokio::time::sleep(LOOK) => {}
            }
            let look = async {
                let found = self.client().inspect_container(container.as_str(), "look whether it is paused").await;
                if found.is_ok_and(|found| found.state.is_some_and(|state| state.paused)) {
                    // the next look tells
                    let _tried_again = self.client().unpause_container(container.as_str()).await;
                }
            };
            tokio::select! {
                outcome = &mut command => return outcome,
                () = look => {}
            }
        }
    }

    /// Gives the sandbox other limits, whether it runs or not; 0 leaves one as it is. Idempotent.
    pub async fn resize(&self, id: &SandboxId, container: &ContainerId, to: Resources) -> Result<(), EngineError> {
        let doing = format!("resize container {}", naming::sandbox(id));
        let (cpu, memory) = spec::limits(to, self.host().await?);
        self.client().update_container(container.as_str(), cpu, memory, &doing).await
    }

    /// Lets a container that somebody froze run again.
    pub(crate) async fn thaw(&self, container: &str) -> Result<(), EngineError> {
        match self.client().unpause_container(container).await {
            // a conflict: it runs already
            Ok(()) | Err(EngineError::Conflict { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Starts the infra container that the sandbox container is bound to.
    async fn start_known_infra(&self, id: &SandboxId, container: &ContainerId) -> Result<(), EngineError> {
        let found = self.inspect_own(container.as_str(), id, Role::Sandbox).await?;
        let infra = crate::docker::create::bound_infra(&found).unwrap_or_default().to_owned();
        match self.infra_started(id, &infra).await {
            Err(EngineError::NotFound { source, .. }) => Err(EngineError::InfraGone { sandbox: *id, source }),
            outcome => outcome,
        }
    }

    async fn start_sandbox(&self, id: &SandboxId, container: &ContainerId) -> Result<(), Refusal> {
        let doing = format!("start container {}", naming::sandbox(id));
        let outcome = self.client().start_container(container.as_str(), &doing).await;
        outcome.map_err(|error| Refusal::of(error, id, container))
    }

    /// Which run of process 1 this is.
    async fn boot(&self, id: &SandboxId, container: &ContainerId) -> Result<Boot, EngineError> {
        let doing = format!("inspect container {}", naming::sandbox(id));
        let found = self.client().inspect_container(container.as_str(), &doing).await?;
        let state = found.state.unwrap_or_default();
        if !state.running {
            return Err(EngineError::EndedAtOnce { sandbox: *id, code: state.exit_code.unwrap_or(-1) });
        }
        Ok(Boot(state.started_at.unwrap_or_default()))
    }

    /// Ends the sandbox's processes: SIGTERM, `grace` (whole seconds, rounded up), SIGKILL; then its infra container.
    /// Idempotent; containers that are gone are fine.
    pub async fn stop(&self, id: &SandboxId, container: &ContainerId, grace: Duration) -> Result<(), EngineError> {
        self.known().outdate(id);
        let seconds = i32::try_from(grace.as_millis().div_ceil(1000)).unwrap_or(i32::MAX);
        let doing = format!("stop container {}", naming::sandbox(id));
        let limit = grace.saturating_add(SLOW);
        match self.client().stop_container(container.as_str(), seconds, &doing, limit).await {
            Ok(()) | Err(EngineError::NotFound { .. }) => {}
            Err(error) => return Err(error),
        }
        self.stop_infra(id).await
    }

    /// Ends infra, which has nothing to lose.
    async fn stop_infra(&self, id: &SandboxId) -> Result<(), EngineError> {
        self.known().note(id, |entry| (entry.infra_runs, entry.dialer) = (false, None));
        let infra = match self.inspect_own(&naming::infra(id), id, Role::Infra).await {
            Ok(infra) => infra.id.unwrap_or_default(),
            Err(EngineError::NotFound { .. }) => return Ok(()),
            Err(error) => return Err(error),
        };
        self.kill_infra(id, &infra).await
    }

    /// Ends this infra container of the sandbox; one that does not run is fine.
    pub(crate) async fn kill_infra(&self, id: &SandboxId, infra: &str) -> Result<(), EngineError> {
        match self.client().kill_container(infra, &format!("stop container {}", naming::infra(id))).await {
            // a conflict: it does not run
            Ok(()) | Err(EngineError::NotFound { .. } | EngineError::Conflict { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

/// Why a sandbox container did not start.
enum Refusal {
    /// Its infra container does not run.
    InfraStopped(EngineError),
    /// Somebody froze it.
    Frozen(EngineError),
    /// The toolbox volume has been emptied.
    ToolboxMissing(EngineError),
    /// Anything else.
    Other(EngineError),
}

impl Refusal {
    fn of(error: EngineError, id: &SandboxId, container: &ContainerId) -> Self {
        let Some(message) = error.engine_says() else { return Self::Other(error) };
        if message.contains("non running container") {
            return Self::InfraStopped(error);
        }
        if message.contains(FROZEN) {
            return Self::Frozen(error);
        }
        if message.contains("harbor-toolbox") && message.contains("no such file or directory") {
            return Self::ToolboxMissing(error);
        }
        let other_missing = message.contains("No such container") && !message.contains(container.as_str());
        match error {
            EngineError::NotFound { source, .. }
            | EngineError::Conflict { source, .. }
            | EngineError::Refused { source, .. }
                if other_missing =>
            {
                Self::Other(EngineError::InfraGone { sandbox: *id, source })
            }
            error => Self::Other(error),
        }
    }

    fn into_error(self) -> EngineError {
        match self {
            Self::InfraStopped(error) | Self::Frozen(error) | Self::ToolboxMissing(error) | Self::Other(error) => error,
        }
    }
}
