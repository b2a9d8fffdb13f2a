//! What one crate asks for and another one has.

use harbor_api::{Component, Readiness};
use harbor_control::{Control, Dial, DialFailure, Stream};
use harbor_model::ids::SandboxId;
use harbor_runner::{DialError, Runner};

/// Control's way into sandboxes is the runner's.
pub(super) struct Dialer {
    runner: Runner,
}

impl Dialer {
    pub(super) fn new(runner: Runner) -> Self {
        Self { runner }
    }
}

#[async_trait::async_trait]
impl Dial for Dialer {
    async fn dial(&self, sandbox: SandboxId, port: u16) -> Result<Box<dyn Stream>, DialFailure> {
        match self.runner.dial(&sandbox, port).await {
            Ok(stream) => Ok(Box::new(stream)),
            Err(DialError::Refused(_)) => Err(DialFailure::Refused),
            Err(DialError::TimedOut(_)) => Err(DialFailure::TimedOut),
            Err(error) => Err(DialFailure::Unreachable(error.to_string())),
        }
    }
}

/// What a create needs: an engine that answers, and the default snapshot.
pub(super) struct Ready {
    runner: Runner,
    control: Control,
}

impl Ready {
    pub(super) fn new(runner: Runner, control: Control) -> Self {
        Self { runner, control }
    }
}

#[async_trait::async_trait]
impl Readiness for Ready {
    async fn check(&self) -> Vec<Component> {
        let (engine, snapshot) = tokio::join!(self.runner.about(), self.control.default_snapshot_problem());
        vec![
            Component { name: "engine", problem: engine.err().map(|error| error.to_string()) },
            Component { name: "default snapshot", problem: snapshot.unwrap_or_else(|error| Some(error.to_string())) },
        ]
    }
}
