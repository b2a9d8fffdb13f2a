//! What one crate asks for and another one has.

use std::sync::Arc;
use std::time::Duration;

use harbor_api::{Component, Loop, LoopOutcome, Readiness};
use harbor_control::{Control, Dial, DialFailure, Stream};
use harbor_model::garbage::Collected;
use harbor_model::ids::SandboxId;
use harbor_model::pools::WarmPool;
use harbor_model::sandboxes::Sandbox;
use harbor_model::snapshots::Snapshot;
use harbor_reconcile::{LastStep, LoopReport, Reconciler, Recruiter, UnderWay};
use harbor_runner::{DialError, Engine};

/// Control's way into sandboxes is the engine's.
pub(super) struct Dialer {
    engine: Arc<dyn Engine>,
}

impl Dialer {
    pub(super) fn new(engine: Arc<dyn Engine>) -> Self {
        Self { engine }
    }
}

#[async_trait::async_trait]
impl Dial for Dialer {
    async fn dial(&self, sandbox: SandboxId, port: u16) -> Result<Box<dyn Stream>, DialFailure> {
        match self.engine.dial(&sandbox, port).await {
            Ok(stream) => Ok(Box::new(stream)),
            Err(DialError::Refused(_)) => Err(DialFailure::Refused),
            Err(DialError::TimedOut(_)) => Err(DialFailure::TimedOut),
            Err(error) => Err(DialFailure::Unreachable(error.to_string())),
        }
    }
}

/// Control knows what a sandbox is that nobody has asked for yet.
pub(super) struct Recruits(pub(super) Control);

impl Recruiter for Recruits {
    fn member(&self, pool: &WarmPool, snapshot: &Snapshot) -> Result<Sandbox, String> {
        self.0.pool_member(pool, snapshot).map_err(|error| error.to_string())
    }
}

/// What a create needs: an engine that answers, and the default snapshot; and what the reconciler does.
pub(super) struct Ready {
    engine: Arc<dyn Engine>,
    control: Control,
    reconciler: Reconciler,
}

impl Ready {
    pub(super) fn new(engine: Arc<dyn Engine>, control: Control, reconciler: Reconciler) -> Self {
        Self { engine, control, reconciler }
    }
}

#[async_trait::async_trait]
impl Readiness for Ready {
    async fn check(&self) -> Vec<Component> {
        let (engine, snapshot) = tokio::join!(self.engine.about(), self.control.default_snapshot_problem());
        vec![
            Component { name: "engine", problem: engine.err().map(|error| error.to_string()) },
            Component { name: "default snapshot", problem: snapshot.unwrap_or_else(|error| Some(error.to_string())) },
        ]
    }

    fn loops(&self) -> Vec<Loop> {
        self.reconciler.report().into_iter().map(told).collect()
    }

    async fn collect_garbage(&self, at_least: Duration, rehearse: bool) -> Result<Vec<Collected>, String> {
        self.reconciler.collect_garbage(at_least, rehearse).await
    }
}

fn told(report: LoopReport) -> Loop {
    let LoopReport { name, due, later, under_way, steps, failures, last, last_failure } = report;
    let outcome = |LastStep { key, at, took, outcome }| LoopOutcome { key, at, took, outcome };
    Loop {
        name,
        due,
        later,
        under_way: under_way.into_iter().map(|UnderWay { key, lane, lasts }| (key, lane, lasts)).collect(),
        steps,
        failures,
        last: last.map(outcome),
        last_failure: last_failure.map(outcome),
    }
}
