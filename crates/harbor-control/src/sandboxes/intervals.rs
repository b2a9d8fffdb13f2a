//! When a sandbox is stopped or deleted by itself (contract, control-plane §5.5, §5.13).

use harbor_model::names::SandboxRef;
use harbor_model::sandboxes::{Operation, Sandbox};

use super::create::{auto_delete, end_of_life, minutes};
use crate::{Allowed, Control, Error, WriteSandboxes, now};

impl Control {
    /// Stops the sandbox from now on when nobody has used it for so many minutes; 0: never. Less than 0 is 400.
    pub async fn set_auto_stop(
        &self,
        caller: &Allowed<WriteSandboxes>,
        sandbox: &SandboxRef,
        interval: i64,
    ) -> Result<Sandbox, Error> {
        let interval = minutes("autoStopInterval", Some(interval))?.unwrap_or(0);
        let id = self.sandbox(caller, sandbox).await?.id;
        self.change(caller, id, sandbox, Operation::Change, move |row| row.settings.auto_stop_minutes = interval).await
    }

    /// Deletes the sandbox from now on when it has been stopped for so many minutes; 0: as soon as it stops, less: never.
    pub async fn set_auto_delete(
        &self,
        caller: &Allowed<WriteSandboxes>,
        sandbox: &SandboxRef,
        interval: i64,
    ) -> Result<Sandbox, Error> {
        let interval = auto_delete(Some(interval));
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
