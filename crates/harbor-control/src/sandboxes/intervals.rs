//! When a sandbox is stopped, paused, archived or deleted by itself (contract, control-plane §5.5, §5.13).

use harbor_model::names::SandboxRef;
use harbor_model::sandboxes::{Operation, Sandbox};

use super::create::{auto_archive, auto_delete, end_of_life, minutes, never_paused};
use crate::{Allowed, Control, Error, WriteSandboxes, now};

impl Control {
    /// Stops the sandbox from now on when nobody has used it for so many minutes, and no longer pauses it then; 0: never.
    /// Less than 0 is 400.
    pub async fn set_auto_stop(
        &self,
        caller: &Allowed<WriteSandboxes>,
        sandbox: &SandboxRef,
        interval: i64,
    ) -> Result<Sandbox, Error> {
        let interval = minutes("autoStopInterval", Some(interval))?.unwrap_or(0);
        let id = self.sandbox(caller, sandbox).await?.id;
        let stop = move |row: &mut Sandbox| {
            row.settings.auto_stop_minutes = interval;
            if interval > 0 {
                row.settings.auto_pause_minutes = 0;
            }
        };
        self.change(caller, id, sandbox, Operation::Change, stop).await
    }

    /// Pauses the sandbox from now on when nobody has used it for so many minutes, and no longer stops it then; 0: never.
    /// Less than 0, and any but 0 for an ephemeral one, is 400.
    pub async fn set_auto_pause(
        &self,
        caller: &Allowed<WriteSandboxes>,
        sandbox: &SandboxRef,
        interval: i64,
    ) -> Result<Sandbox, Error> {
        let interval = minutes("autoPauseInterval", Some(interval))?.unwrap_or(0);
        let found = self.sandbox(caller, sandbox).await?;
        if interval > 0 && found.settings.ephemeral() {
            return Err(never_paused());
        }
        let pause = move |row: &mut Sandbox| {
            row.settings.auto_pause_minutes = interval;
            if interval > 0 {
                row.settings.auto_stop_minutes = 0;
            }
        };
        self.change(caller, found.id, sandbox, Operation::Change, pause).await
    }

    /// Archives the sandbox from now on when it has been stopped for so many minutes; 0, and more than thirty days: thirty
    /// days. Less than 0 is 400.
    pub async fn set_auto_archive(
        &self,
        caller: &Allowed<WriteSandboxes>,
        sandbox: &SandboxRef,
        interval: i64,
    ) -> Result<Sandbox, Error> {
        let interval = auto_archive(minutes("autoArchiveInterval", Some(interval))?);
        let id = self.sandbox(caller, sandbox).await?.id;
        self.change(caller, id, sandbox, Operation::Change, move |row| row.settings.auto_archive_minutes = interval)
            .await
    }

    /// Deletes the sandbox from now on when it has been stopped for so many minutes; 0: as soon as it stops, less: never.
    pub async fn set_auto_delete(
        &self,
        caller: &Allowed<WriteSandboxes>,
        sandbox: &SandboxRef,
        interval: i64,
    ) -> Result<Sandbox, Error> {
        let interval = auto_delete(Some(interval))?;
        let id = self.sandbox(caller, sandbox).await?.id;
        self.change(caller, id, sandbox, Operation::Change, move |row| row.settings.auto_delete_minutes = interval)
            .await
    }

    /// Deletes the sandbox in so many minutes, whatever state it is in then; 0: never. Less than 0 is 400.
    pub async fn set_ttl(
        &self,
        caller: &Allowed<WriteSandboxes>,
        sandbox: &SandboxRef,
        ttl: i64,
    ) -> Result<Sandbox, Error> {
        let end = end_of_life(ttl, now())?;
        let id = self.sandbox(caller, sandbox).await?.id;
        self.change(caller, id, sandbox, Operation::Change, move |row| row.destroy_at = end).await
    }
}
