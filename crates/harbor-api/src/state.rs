//! What every handler works with.

use std::sync::Arc;
use std::time::Duration;

use harbor_control::Control;

use crate::input::Bodies;
use crate::readiness::Component;
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
    /// Every component that a create needs, each with its problem.
    pub(crate) async fn components(&self) -> Vec<Component> {
        tokio::time::timeout(DEADLINE, self.readiness.check()).await.unwrap_or_else(|_| {
            let problem = Some(format!("no answer within {} s", DEADLINE.as_secs()));
            vec![Component { name: "components", problem }]
        })
    }
}
