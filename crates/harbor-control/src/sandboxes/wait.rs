//! Waiting for a sandbox to start, on the store's committed changes.

use std::sync::Arc;

use harbor_model::sandboxes::{Beginning, Sandbox, SandboxState};
use harbor_store::{Change, Changes};
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Instant, timeout_at};

use crate::snapshots::AT_ONCE;
use crate::{Control, Error};

impl Control {
    /// The sandbox as soon as it has stopped moving towards `started` or other limits, or as it is when the start budget is
    /// spent.
    ///
    /// `changes` must have been subscribed before the change that set the sandbox moving.
    pub(super) async fn wait_settled(&self, mut changes: Changes, sandbox: Sandbox) -> Result<Sandbox, Error> {
        let deadline = Instant::now() + self.config().start_budget;
        let mut latest = Arc::new(sandbox);
        while moving(latest.state()) {
            match timeout_at(deadline, changes.recv()).await {
                // what was committed before the change that is waited for may still be on its way
                Ok(Ok(Change::Sandbox { after, .. }))
                    if after.id == latest.id && after.generation > latest.generation =>
                {
                    latest = after;
                }
                Ok(Ok(_)) => {}
                Ok(Err(RecvError::Lagged(_))) => {
                    latest = Arc::new(self.store().sandbox(latest.id).await?.unwrap_or((*latest).clone()));
                }
                Ok(Err(RecvError::Closed)) | Err(_) => break,
            }
        }
        Ok(Arc::unwrap_or_clone(latest))
    }

    /// As [`Self::wait_settled`], of one that is to be started; one that failed instead is 400 with the reason.
    pub(super) async fn wait_started(&self, changes: Changes, sandbox: Sandbox) -> Result<Sandbox, Error> {
        let settled = self.wait_settled(changes, sandbox).await?;
        if settled.state() == SandboxState::Error {
            let reason =
                settled.failure.map_or_else(|| "it ended without a reason".to_owned(), |failure| failure.reason);
            return Err(Error::invalid(format!("Sandbox failed to start: {reason}")));
        }
        Ok(settled)
    }

    /// One that was made with a Dockerfile: as [`Self::wait_started`] if its image is there already, else as it is, so that
    /// clients follow its build, which they do by the state `pending_build` alone (contract, control-plane §5.4).
    pub(super) async fn wait_built(&self, mut changes: Changes, sandbox: Sandbox) -> Result<Sandbox, Error> {
        let deadline = Instant::now() + AT_ONCE;
        let goes_on = sandbox.state() == SandboxState::BuildingSnapshot;
        let mut first = sandbox;
        first.files.beginning = Beginning::Unbuilt { begun: false };
        if goes_on {
            return Ok(first);
        }
        loop {
            match timeout_at(deadline, changes.recv()).await {
                Ok(Ok(Change::Sandbox { after, .. }))
                    if after.id == first.id && after.state() != SandboxState::PendingBuild =>
                {
                    return match after.state() {
                        SandboxState::BuildingSnapshot | SandboxState::BuildFailed => Ok(first),
                        _ => self.wait_started(changes, (*after).clone()).await,
                    };
                }
                Ok(Ok(_)) => {}
                Ok(Err(_)) | Err(_) => return Ok(first),
            }
        }
    }
}

const fn moving(state: SandboxState) -> bool {
    use SandboxState as S;
    matches!(state, S::Creating | S::Starting | S::Resuming | S::Restoring | S::Resizing)
}
