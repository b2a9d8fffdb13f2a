//! Sandboxes: create, read, start, stop, delete, label.
//!
//! Every change is one transaction that checks the state and writes the intent; then, where the contract holds the
//! answer, a bounded wait on committed changes (design D1, D2).

mod create;
mod list;
mod wait;

use harbor_model::names::{DisplayName, SandboxRef};
use harbor_model::sandboxes::{Desired, Sandbox, State};

pub use create::{AUTO_ARCHIVE_MAXIMUM, NewSandbox};
pub use list::{After, Filter, Order, Page, Range, Sort, SortValue};

use crate::{Allowed, Caller, Control, DeleteSandboxes, Error, WriteSandboxes, now, token};

impl Control {
    /// The caller's sandbox of this id or name. Anybody else's is not there, and neither is one that was deleted, from
    /// that moment on (contract, control-plane §21, 8); an ephemeral one that was stopped is, until it is gone.
    pub async fn sandbox(&self, caller: &Caller, sandbox: &SandboxRef) -> Result<Sandbox, Error> {
        let found = self.store().find_sandbox(caller.organization, sandbox).await?;
        found.filter(visible).ok_or_else(|| missing(sandbox))
    }

    /// Wants the sandbox started and waits for that as long as the start budget lasts.
    ///
    /// A started one is left as it is. One that is changing is 409, one in `error` 400 (contract, control-plane §5.5).
    pub async fn start_sandbox(
        &self,
        caller: &Allowed<WriteSandboxes>,
        sandbox: &SandboxRef,
    ) -> Result<Sandbox, Error> {
        let id = self.sandbox(caller, sandbox).await?.id;
        let preview_token = token::token()?;
        let changes = self.changes();
        let started = self
            .change(id, sandbox, move |row| match row.state() {
                State::Started => Ok(()),
                State::Stopped => {
                    row.desired = Desired::Started;
                    row.preview_token = preview_token;
                    row.note = None;
                    row.last_activity_at = now();
                    Ok(())
                }
                state => Err(refused("start", row, state)),
            })
            .await?;
        let settled = self.wait_started(changes, started).await?;
        if settled.state() == State::Error {
            return Err(failed_to_start(&settled));
        }
        Ok(settled)
    }

    /// Wants the sandbox stopped and answers at once; an ephemeral one is wanted gone instead.
    ///
    /// `force`: its processes get no time to end by themselves.
    pub async fn stop_sandbox(
        &self,
        caller: &Allowed<WriteSandboxes>,
        sandbox: &SandboxRef,
        force: bool,
    ) -> Result<Sandbox, Error> {
        let id = self.sandbox(caller, sandbox).await?.id;
        self.change(id, sandbox, move |row| match row.state() {
            State::Started if row.settings.ephemeral() => {
                row.desired = Desired::Destroyed;
                row.force = force;
                Ok(())
            }
            State::Started => {
                row.desired = Desired::Stopped;
                row.force = force;
                row.last_activity_at = now();
                Ok(())
            }
            state => Err(refused("stop", row, state)),
        })
        .await
    }

    /// Wants the sandbox gone, files and all, and answers at once. Its name is free from then on.
    pub async fn delete_sandbox(
        &self,
        caller: &Allowed<DeleteSandboxes>,
        sandbox: &SandboxRef,
    ) -> Result<Sandbox, Error> {
        let id = self.sandbox(caller, sandbox).await?.id;
        self.change(id, sandbox, |row| match row.state() {
            State::Started | State::Stopped | State::Error => {
                row.desired = Desired::Destroyed;
                row.name = destroyed_name(&row.name);
                Ok(())
            }
            state => Err(refused("delete", row, state)),
        })
        .await
    }

    /// Replaces all labels of the sandbox.
    pub async fn set_labels(
        &self,
        caller: &Allowed<WriteSandboxes>,
        sandbox: &SandboxRef,
        labels: std::collections::BTreeMap<String, String>,
    ) -> Result<Sandbox, Error> {
        let id = self.sandbox(caller, sandbox).await?.id;
        self.change(id, sandbox, move |row| {
            row.settings.labels = labels;
            Ok(())
        })
        .await
    }

    /// Notes that the caller uses the sandbox; less than five seconds after its last use nothing is written.
    pub async fn note_activity(&self, caller: &Caller, sandbox: &SandboxRef) -> Result<(), Error> {
        let row = self.sandbox(caller, sandbox).await?;
        let now = now();
        if now - row.last_activity_at >= time::Duration::seconds(5) {
            self.store().touch_sandbox(row.id, now).await?;
        }
        Ok(())
    }

    /// One checked change of one row: `check` sees the committed row and alters it, or refuses and leaves it alone.
    async fn change(
        &self,
        id: harbor_model::ids::SandboxId,
        sandbox: &SandboxRef,
        check: impl FnOnce(&mut Sandbox) -> Result<(), Error> + Send + 'static,
    ) -> Result<Sandbox, Error> {
        let missing = missing(sandbox);
        let (row, outcome) = self
            .store()
            .change_sandbox(id, now(), move |row| {
                if row.state() == State::Destroyed {
                    return Err(missing);
                }
                let mut changed = row.clone();
                check(&mut changed)?;
                *row = changed;
                Ok(())
            })
            .await?;
        outcome.map(|()| row)
    }
}

fn visible(sandbox: &Sandbox) -> bool {
    match sandbox.state() {
        State::Destroyed => false,
        State::Destroying => sandbox.settings.ephemeral(),
        _ => true,
    }
}

fn missing(sandbox: &SandboxRef) -> Error {
    Error::not_found(format!("Sandbox {sandbox} not found"))
}

/// 409 while something is in flight, else 400: the state does not allow it (contract, control-plane §3.2).
fn refused(what: &str, row: &Sandbox, state: State) -> Error {
    let word = state.word();
    if state.moving() {
        return Error::conflict(format!("Cannot {what} sandbox {}: it is {word}; try again when that is done", row.id));
    }
    match &row.failure {
        Some(failure) => {
            Error::invalid(format!("Cannot {what} sandbox {} in state {word}: {}", row.id, failure.reason))
        }
        None => Error::invalid(format!("Cannot {what} sandbox {} in state {word}", row.id)),
    }
}

fn failed_to_start(row: &Sandbox) -> Error {
    let reason = row.failure.as_ref().map_or("it ended without a reason", |failure| &failure.reason);
    Error::invalid(format!("Sandbox failed to start: {reason}"))
}

/// `DESTROYED_<name>_<milliseconds>`, so that the name can be used again (contract, control-plane §5.1).
fn destroyed_name(name: &DisplayName) -> DisplayName {
    let mut kept = name.as_str().to_owned();
    while kept.len() > DisplayName::MAX_BYTES - 32 {
        kept.pop();
    }
    let milliseconds = now().unix_timestamp_nanos() / 1_000_000;
    format!("DESTROYED_{kept}_{milliseconds}").parse().unwrap_or_else(|_| name.clone())
}
