//! What every handler works with.

use std::sync::Arc;

use harbor_control::Control;

use crate::input::Bodies;
use crate::{Config, Readiness};

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
}
