//! The sandbox as a system: the environment of its processes and what it uses (contract, toolbox §5.1 and §5.2).

mod env;
mod metrics;

use std::sync::Arc;

use axum::Router;
use axum::routing::{get, post};

use crate::context::Context;
use metrics::Meter;

/// The routes of this module.
pub(crate) fn routes() -> Router<Context> {
    let metrics = Router::new().route("/system/metrics", get(metrics::metrics)).with_state(Arc::new(Meter::default()));
    Router::new().route("/env", post(env::update)).merge(metrics)
}
