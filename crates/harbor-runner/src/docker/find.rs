//! What the engine holds of one sandbox, or of all.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::{StreamExt, stream};
use harbor_model::ids::{ContainerId, SandboxId};
use harbor_model::sandboxes::{Boot, Found, FoundSandbox};
use harbor_protocol::infra::SOCKET;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::config::Transport;
use crate::docker::create::{bound_infra, worthless};
use crate::docker::handle::DockerEngine;
use crate::docker::infra::READY;
use crate::docker::naming::{self, Role};
use crate::docker::objects::containers::{Container, ListedContainer, State, Status};
use crate::docker::outline::Outline;
use crate::error::EngineError;
use crate::sandbox::{Held, HeldInfra, Inventory};

/// How many sandboxes are inspected at a time for a listing.
const AT_A_TIME: usize = 16;

/// How long one sandbox may take in a listing: milliseconds, unless the engine hangs over one of its containers.
const LOOK: Duration = Duration::from_secs(5);

/// How long an infra container that has begun to run may be without its socket, many times over.
const STARTING: Duration = Duration::from_millis(500);

impl DockerEngine {
    /// What the engine holds of this sandbox.
    pub async fn find(&self, id: &SandboxId) -> Result<Found, EngineError> {
        Ok(self.held(id).await?.found)
    }

    /// Everything that carries this instance's label. Sandboxes whose containers are as they were when they were last
    /// looked at, and about which nothing was heard since, are not looked at again.
    pub async fn list(&self) -> Result<Inventory, EngineError> {
        let containers = self.containers(&[(naming::INSTANCE, self.instance().to_string())]).await?;
        let mut outlines: BTreeMap<SandboxId, Outline> = BTreeMap::new();
        for found in &containers {
            let Some(id) = sandbox_of(found) else { continue };
            outlines.entry(id).or_default().add(found);
        }
        let looks = stream::iter(outlines).map(|(id, outline)| async move {
            let known = self.known().listed(&id, &outline);
            let reached =
                |held: &Held| held.infra.as_ref().is_none_or(|infra| !infra.running || !self.socket_gone(&id));
            if let Some(held) = known.filter(reached) {
                return (id, Ok((held, false)));
            }
            let (heard, worthless) = (self.known().heard(&id), outline.is_worthless());
            let look = tokio::time::timeout(LOOK, self.held(&id)).await;
            let held = look.unwrap_or_else(|_| {
                Err(EngineError::TooSlow { doing: format!("look at the containers of sandbox {id}"), limit: LOOK })
            });
            if let Ok(held) = &held {
                self.known().note_listed(&id, heard, outline, held);
            }
            // what an attempt left that was given up while the engine was making it is told, so that it is removed
            (id, held.map(|held| (held, worthless)))
        });
        let mut looks = std::pin::pin!(looks.buffer_unordered(AT_A_TIME));
        let mut listing = Inventory::default();
        while let Some((id, held)) = looks.next().await {
            match held {
                Ok((held, worthless)) if worthless || held.found.sandbox.is_some() || held.infra.is_some() => {
                    listing.held.push(held);
                }
                Ok(_) => {}
                Err(error) => listing.unclear.push((id, error)),
            }
        }
        Ok(listing)
    }

    async fn held(&self, id: &SandboxId) -> Result<Held, EngineError> {
        let (sandbox, mut infra) = tokio::try_join!(self.find_own_sandbox(id), self.find_own_infra(id))?;
        if let Some(found) = &mut infra
            && self.lost_its_socket(id, found).await?
        {
            tracing::warn!(sandbox = %id, "somebody removed the socket of its infra container, which is stopped");
            self.stop_unreachable(id, found).await?;
        }
        let found = Found { sandbox: sandbox.and_then(|sandbox| judge(&sandbox, infra.as_ref())) };
        let infra = infra.and_then(|infra| {
            let running = serves(infra.state.as_ref());
            Some(HeldInfra { container: ContainerId::new(infra.id?), running })
        });
        let frozen = matches!(found.sandbox, Some(FoundSandbox::Frozen { .. }));
        self.known().note(id, |entry| {
            entry.frozen = frozen;
            entry.infra_runs = infra.as_ref().is_some_and(|infra| infra.running);
            entry.infra = infra.as_ref().map(|infra| infra.container.as_str().to_owned());
        });
        Ok(Held { sandbox: *id, found, infra })
    }

    /// Whether the directory of infra's socket holds none, on this machine.
    fn socket_gone(&self, id: &SandboxId) -> bool {
        let passing = self.decided_transport() == Some(Transport::Passing);
        passing && matches!(self.socket_directory(id).join(SOCKET).try_exists(), Ok(false))
    }

    /// Whether nobody can reach an infra container: it has run for a while, and its socket, which it makes as soon as it
    /// runs, was removed.
    async fn lost_its_socket(&self, id: &SandboxId, infra: &Container) -> Result<bool, EngineError> {
        let started = infra.state.as_ref().and_then(|state| moment(state.started_at.as_ref()));
        let old = started.is_some_and(|started| (OffsetDateTime::now_utc() - started).abs() > READY);
        if !(old && serves(infra.state.as_ref()) && self.socket_gone(id)) {
            return Ok(false);
        }
        // somebody may be starting it anew just now
        tokio::time::sleep(STARTING).await;
        let name = infra.id.as_deref().unwrap_or_default();
        let again = self.client().find_container(name, &format!("inspect container {name}")).await?;
        Ok(again.is_some_and(|again| again.state == infra.state) && self.socket_gone(id))
    }

    /// Ends an infra container that nobody can reach: it is started anew with its sandbox.
    async fn stop_unreachable(&self, id: &SandboxId, infra: &mut Container) -> Result<(), EngineError> {
        self.doubt_infra(id);
        self.kill_infra(id, infra.id.as_deref().unwrap_or_default()).await?;
        if let Some(state) = &mut infra.state {
            state.running = false;
        }
        Ok(())
    }

    async fn find_own_infra(&self, id: &SandboxId) -> Result<Option<Container>, EngineError> {
        let name = naming::infra(id);
        match self.find_own(&name, id, Role::Infra).await? {
            Some(found) => Ok(Some(found)),
            None => self.find_renamed(&name, id, Role::Infra).await,
        }
    }

    async fn find_own_sandbox(&self, id: &SandboxId) -> Result<Option<Container>, EngineError> {
        if let Some(found) = self.find_own(&naming::sandbox(id), id, Role::Sandbox).await? {
            return Ok(Some(found));
        }
        // harbor may have died while it exchanged containers: see `remake`
        if self.find_own(&naming::predecessor(id), id, Role::Sandbox).await?.is_none() {
            return self.find_renamed(&naming::sandbox(id), id, Role::Sandbox).await;
        }
        self.finish_exchange(id).await?;
        self.find_own(&naming::sandbox(id), id, Role::Sandbox).await
    }

    /// Finds one that somebody has renamed, and gives it its `name` back. One that somebody made of an image with these
    /// labels is none of ours: it is not bound to an infra container, nor infra in our network.
    async fn find_renamed(&self, name: &str, id: &SandboxId, role: Role) -> Result<Option<Container>, EngineError> {
        let labels = naming::sandbox_labels(self.instance(), id, role);
        let labels: Vec<_> = labels.iter().map(|(label, value)| (label.as_str(), value.clone())).collect();
        let listed = self.containers(&labels).await?;
        let renamed = |found: &&ListedContainer| {
            let named = !found.names.is_empty() && !found.names.iter().any(|name| naming::is_given(name, id));
            named && !found.state.is_some_and(Status::is_going)
        };
        let mut renamed = listed.iter().filter(renamed).filter_map(|found| found.id.as_deref());
        let (Some(container), None) = (renamed.next(), renamed.next()) else { return Ok(None) };
        let Some(found) = self.find_own(container, id, role).await? else { return Ok(None) };
        let ours = match role {
            Role::Infra => found.network.as_deref() == Some(self.network()),
            _ => bound_infra(&found).is_some(),
        };
        if !ours {
            return Ok(None);
        }
        match self.rename(container, name).await {
            Ok(()) => {
                tracing::warn!(sandbox = %id, container, "somebody renamed a container: it has its name back");
                self.find_own(name, id, role).await
            }
            // gone meanwhile, or somebody else's has the name
            Err(error @ (EngineError::NotFound { .. } | EngineError::Conflict { .. })) => {
                tracing::warn!(sandbox = %id, container, %error, "somebody renamed a container");
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Inspects by name; `None` when there is none of ours.
    pub(crate) async fn find_own(
        &self,
        name: &str,
        id: &SandboxId,
        role: Role,
    ) -> Result<Option<Container>, EngineError> {
        let found = self.client().find_container(name, &format!("inspect container {name}")).await?;
        let expected = naming::sandbox_labels(self.instance(), id, role);
        Ok(found.filter(|found| naming::carries(&found.labels, &expected)))
    }

    /// Renames a container.
    pub(crate) async fn rename(&self, from: &str, to: &str) -> Result<(), EngineError> {
        self.client().rename_container(from, to).await
    }
}

/// The sandbox that a listed container belongs to.
pub(crate) fn sandbox_of(found: &ListedContainer) -> Option<SandboxId> {
    found.labels.get(naming::SANDBOX)?.parse().ok()
}

/// What a sandbox container and the infra container of its name mean together.
fn judge(sandbox: &Container, infra: Option<&Container>) -> Option<FoundSandbox> {
    let container = ContainerId::new(sandbox.id.clone()?);
    let state = sandbox.state.as_ref()?;
    // a sandbox container is bound to one infra container by its id: another of the same name is none
    let infra = infra.filter(|infra| infra.id.is_some() && infra.id.as_deref() == bound_infra(sandbox));
    let infra = infra.filter(|infra| !infra.status().is_some_and(Status::is_going));
    match state.status? {
        Status::Created if infra.is_some() => Some(FoundSandbox::Made(container)),
        // it can never start, and there is nothing in it
        Status::Created if worthless(sandbox) => None,
        Status::Created => Some(FoundSandbox::Exited { container, code: 0, connected: false }),
        status @ (Status::Running | Status::Restarting | Status::Stopping | Status::Paused) => {
            let boot = Boot(state.started_at.clone().unwrap_or_default());
            let connected = infra.and_then(|infra| infra.state.as_ref()).is_some_and(|infra| joined(infra, state));
            Some(match status {
                Status::Paused => FoundSandbox::Frozen { container, boot, connected },
                _ => FoundSandbox::Running { container, boot, connected },
            })
        }
        Status::Exited => {
            let code = state.exit_code.unwrap_or_default();
            Some(FoundSandbox::Exited { container, code, connected: infra.is_some() })
        }
        Status::Removing | Status::Dead => None,
    }
}

/// Whether an infra container runs and is not frozen.
fn serves(infra: Option<&State>) -> bool {
    infra.is_some_and(|infra| infra.running && !infra.paused)
}

/// A time of the engine's.
fn moment(text: Option<&String>) -> Option<OffsetDateTime> {
    OffsetDateTime::parse(text?, &Rfc3339).ok()
}

/// Whether infra runs and has since before the sandbox: an infra started later has another network namespace.
///
/// The engine's times are those of a clock that may be set back, and infra may be in stock for long before its sandbox
/// starts. So an infra in its first run is not asked for the time: no sandbox can have joined an earlier one. Later
/// runs begin right before the sandbox's.
fn joined(infra: &State, sandbox: &State) -> bool {
    // of a container that has never ended the engine says year 1
    let first_run = moment(infra.finished_at.as_ref()).is_some_and(|finished| finished.year() == 1);
    let before = || {
        moment(infra.started_at.as_ref())
            .zip(moment(sandbox.started_at.as_ref()))
            .is_some_and(|(infra, own)| infra <= own)
    };
    serves(Some(infra)) && (first_run || before())
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    fn at(status: Status, second: u8) -> State {
        State {
            status: Some(status),
            running: status == Status::Running,
            started_at: Some(format!("2026-01-01T00:00:{second:02}.123456789Z")),
            finished_at: Some("2026-01-01T00:00:01.123456789Z".to_owned()),
            exit_code: Some(3),
            ..State::default()
        }
    }

    fn sandbox(state: State, remade: bool) -> Container {
        let labels = HashMap::from([(naming::REMADE.to_owned(), "true".to_owned())]);
        Container {
            id: Some("s".to_owned()),
            state: Some(state),
            network: Some("container:i".to_owned()),
            labels: if remade { labels } else { HashMap::new() },
            ..Container::default()
        }
    }

    fn infra(id: &str, state: State) -> Container {
        Container { id: Some(id.to_owned()), state: Some(state), ..Container::default() }
    }

    fn running(second: u8, connected: bool) -> FoundSandbox {
        let boot = Boot(format!("2026-01-01T00:00:{second:02}.123456789Z"));
        FoundSandbox::Running { container: ContainerId::new("s"), boot, connected }
    }

    #[track_caller]
    fn check(sandbox: &Container, infra: Option<&Container>, expected: Option<&FoundSandbox>) {
        assert_eq!(judge(sandbox, infra).as_ref(), expected);
    }

    #[test]
    fn connected_means_the_bound_infra_ran_first() {
        use Status as S;
        let found = sandbox(at(S::Running, 10), false);
        check(&found, Some(&infra("i", at(S::Running, 9))), Some(&running(10, true)));
        check(&found, Some(&infra("i", at(S::Running, 11))), Some(&running(10, false)));
        check(&found, Some(&infra("other", at(S::Running, 9))), Some(&running(10, false)));
        check(&found, Some(&infra("i", at(S::Exited, 9))), Some(&running(10, false)));
        check(&found, None, Some(&running(10, false)));
    }

    #[test]
    fn a_clock_set_back_disconnects_nobody_from_an_infra_that_never_ended() {
        use Status as S;
        let found = sandbox(at(S::Running, 10), false);
        let never_ended = |status| {
            let finished_at = Some("0001-01-01T00:00:00Z".to_owned());
            infra("i", State { finished_at, ..at(status, 50) })
        };
        check(&found, Some(&never_ended(S::Running)), Some(&running(10, true)));
        check(&found, Some(&never_ended(S::Dead)), Some(&running(10, false)));
    }

    #[test]
    fn an_ended_sandbox_can_start_while_its_infra_exists() {
        use Status as S;
        let ended = |connected| FoundSandbox::Exited { container: ContainerId::new("s"), code: 3, connected };
        let found = sandbox(at(S::Exited, 10), false);
        check(&found, Some(&infra("i", at(S::Exited, 9))), Some(&ended(true)));
        check(&found, Some(&infra("other", at(S::Running, 9))), Some(&ended(false)));
        check(&found, None, Some(&ended(false)));
    }

    #[test]
    fn what_the_engine_removes_or_began_to_is_gone() {
        use Status as S;
        for status in [S::Removing, S::Dead] {
            check(&sandbox(at(status, 10), false), Some(&infra("i", at(S::Running, 9))), None);
            check(&sandbox(at(S::Running, 10), false), Some(&infra("i", at(status, 9))), Some(&running(10, false)));
        }
    }

    #[test]
    fn a_frozen_sandbox_is_told_and_a_frozen_infra_counts_as_ended() {
        use Status as S;
        let frozen = |second| State { running: true, paused: true, ..at(S::Paused, second) };
        let found = match running(10, true) {
            FoundSandbox::Running { container, boot, connected } => FoundSandbox::Frozen { container, boot, connected },
            other => other,
        };
        check(&sandbox(frozen(10), false), Some(&infra("i", at(S::Running, 9))), Some(&found));
        check(&sandbox(at(S::Running, 10), false), Some(&infra("i", frozen(9))), Some(&running(10, false)));
    }

    #[test]
    fn a_container_that_never_ran_counts_only_when_it_can_or_holds_files() {
        use Status as S;
        let (fresh, remade) = (sandbox(at(S::Created, 0), false), sandbox(at(S::Created, 0), true));
        let made = FoundSandbox::Made(ContainerId::new("s"));
        check(&fresh, Some(&infra("i", at(S::Running, 9))), Some(&made));
        check(&remade, Some(&infra("i", at(S::Running, 9))), Some(&made));
        check(&fresh, None, None);
        let keep = FoundSandbox::Exited { container: ContainerId::new("s"), code: 0, connected: false };
        check(&remade, None, Some(&keep));
    }
}
