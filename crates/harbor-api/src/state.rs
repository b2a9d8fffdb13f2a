//! What every handler works with.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use harbor_control::Control;

use crate::input::Bodies;
use crate::readiness::Component;
use crate::wire::snapshots::Snapshot;
use crate::{Config, Readiness};

/// How long the components may take to say how they are.
const DEADLINE: Duration = Duration::from_secs(5);

/// Shared by all handlers; clones are cheap.
#[derive(Clone)]
pub(crate) struct Api {
    pub(crate) control: Control,
    pub(crate) config: Arc<Config>,
    pub(crate) readiness: Arc<dyn Readiness>,
    pub(crate) bodies: Bodies,
}

impl Api {
    pub(crate) fn new(control: Control, config: Config, readiness: Arc<dyn Readiness>) -> Self {
        Self { control, bodies: Bodies::within(config.bodies.clone()), config: Arc::new(config), readiness }
    }

    /// A snapshot as the one runner of the one region holds it.
    pub(crate) fn shown_snapshot(&self, row: harbor_model::snapshots::Snapshot) -> Snapshot {
        Snapshot::of(row, self.control.config().region.as_str(), &self.config.instance.to_string())
    }

    pub(crate) fn render_snapshot(&self, row: harbor_model::snapshots::Snapshot) -> Json<Snapshot> {
        Json(self.shown_snapshot(row))
    }

    /// Every component that a create needs, each with its problem.
    pub(crate) async fn components(&self) -> Vec<Component> {
        tokio::time::timeout(DEADLINE, self.readiness.check()).await.unwrap_or_else(|_| {
            let problem = Some(format!("no answer within {} s", DEADLINE.as_secs()));
            vec![Component { name: "components", problem }]
        })
    }
}
