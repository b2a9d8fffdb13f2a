//! Sandboxes: create, read, start, stop, pause, delete, change.
//!
//! Every change is one transaction that checks the state and writes the intent; then, where the contract holds the
//! answer, a bounded wait on committed changes (design D1, D2).

mod copies;
mod create;
mod intervals;
mod list;
mod resize;
mod wait;

use harbor_model::names::SandboxRef;
use harbor_model::sandboxes::{Effect, Operation, Refusal, Sandbox, SandboxState, WhyNot, allowed};

pub use create::{AUTO_ARCHIVE_MAXIMUM, NewSandbox, SandboxImage};
pub use list::{After, Filter, Order, Page, Range, Sort, SortValue};

use crate::{Allowed, Caller, Control, DeleteSandboxes, Error, WriteSandboxes, now, token};

impl Control {
    /// The caller's sandbox of this id or name. Anybody else's is not there, and neither is one that is gone; one that
    /// was deleted is found by its id until it is gone, and by its name no longer (contract, control-plane §5.1).
    pub async fn sandbox(&self, caller: &Caller, sandbox: &SandboxRef) -> Result<Sandbox, Error> {
        let found = self.store().find_sandbox(caller.organization, sandbox).await?;
        found.filter(|found| found.state() != SandboxState::Destroyed).ok_or_else(|| missing(sandbox))
    }

    /// Wants the sandbox started and waits for that as long as the start budget lasts.
    ///
    /// An archived one is answered at once, as its files may take minutes. A started one is left as it is. One that is changing is 409, one in `error` 400 (contract, control-plane §5.5).
    pub async fn start_sandbox(
        &self,
        caller: &Allowed<WriteSandboxes>,
        sandbox: &SandboxRef,
    ) -> Result<Sandbox, Error> {
        let id = self.sandbox(caller, sandbox).await?.id;
        let preview_token = token::token()?;
        let changes = self.changes();
        let start = move |row: &mut Sandbox| row.want_started(preview_token, now());
        let started = self.change(caller, id, sandbox, Operation::Start, start).await?;
        if started.state() == SandboxState::Restoring {
            return Ok(started);
        }
        self.wait_started(changes, started).await
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
        self.change(caller, id, sandbox, Operation::Stop, move |row| row.want_stopped(force, now())).await
    }

    /// Wants the sandbox's processes frozen and answers at once. Only a started one can be; any other is 400.
    pub async fn pause_sandbox(
        &self,
        caller: &Allowed<WriteSandboxes>,
        sandbox: &SandboxRef,
    ) -> Result<Sandbox, Error> {
        let id = self.sandbox(caller, sandbox).await?.id;
        self.change(caller, id, sandbox, Operation::Pause, |row| row.want_paused(now())).await
    }

    /// Wants the sandbox gone, files and all, and answers at once. Its name is free from then on. One that has forks is 400.
    pub async fn delete_sandbox(
        &self,
        caller: &Allowed<DeleteSandboxes>,
        sandbox: &SandboxRef,
    ) -> Result<Sandbox, Error> {
        let id = self.sandbox(caller, sandbox).await?.id;
        let forks: Vec<_> = self.store().forks_of(id).await?.into_iter().filter(Sandbox::live).collect();
        if let Some(fork) = forks.first() {
            let (count, one) = (forks.len(), fork.id);
            return Err(Error::invalid(format!("Sandbox {id} has forks ({count}), such as {one}: delete them first")));
        }
        self.change(caller, id, sandbox, Operation::Delete, |row| row.want_destroyed(now())).await
    }

    /// Replaces all labels of the sandbox.
    pub async fn set_labels(
        &self,
        caller: &Allowed<WriteSandboxes>,
        sandbox: &SandboxRef,
        labels: std::collections::BTreeMap<String, String>,
    ) -> Result<Sandbox, Error> {
        let id = self.sandbox(caller, sandbox).await?.id;
        self.change(caller, id, sandbox, Operation::Change, move |row| row.settings.labels = labels).await
    }

    /// Says whether the sandbox's previews need no token.
    pub async fn set_public(
        &self,
        caller: &Allowed<WriteSandboxes>,
        sandbox: &SandboxRef,
        public: bool,
    ) -> Result<Sandbox, Error> {
        let id = self.sandbox(caller, sandbox).await?.id;
        self.change(caller, id, sandbox, Operation::Change, move |row| row.settings.public = public).await
    }

    /// Notes that the caller uses the sandbox; less than five seconds after its last use nothing is written.
    pub async fn note_activity(&self, caller: &Caller, sandbox: &SandboxRef) -> Result<(), Error> {
        let row = self.sandbox(caller, sandbox).await?;
        let now = now();
        if now - row.last_activity_at >= time::Duration::seconds(5) {
            self.store().by(caller.actor()).touch_sandbox(row.id, now).await?;
        }
        Ok(())
    }

    /// Does `operation` to one row if the committed row allows it: `change` alters it, unless it is as asked for.
    async fn change(
        &self,
        caller: &Caller,
        id: harbor_model::ids::SandboxId,
        sandbox: &SandboxRef,
        operation: Operation,
        change: impl FnOnce(&mut Sandbox) + Send + 'static,
    ) -> Result<Sandbox, Error> {
        let writer = match operation {
            Operation::Start | Operation::Recover => self.writer_within_capacity(caller),
            _ => self.store().by(caller.actor()),
        };
        let (row, outcome) = writer
            .change_sandbox(id, now(), move |row| {
                if allowed(operation, row, now())? == Effect::Change {
                    change(row);
                }
                Ok::<(), Refusal>(())
            })
            .await?;
        match outcome {
            Ok(()) => Ok(row),
            Err(refusal) if refusal.why == WhyNot::Gone => Err(missing(sandbox)),
            Err(refusal) => Err(refusal.into()),
        }
    }
}

fn missing(sandbox: &SandboxRef) -> Error {
    Error::not_found(format!("Sandbox {sandbox} not found"))
}
