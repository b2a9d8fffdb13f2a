//! The sandbox as a system: the environment of its processes and what it uses (contract, toolbox §5.1 and §5.2).

mod cgroup;
mod env;
mod metrics;

use axum::Router;
use axum::routing::{get, post};

use crate::context::Context;

pub(crate) use cgroup::memory_limit;
pub(crate) use metrics::Meter;

/// The routes of this module.
pub(crate) fn routes() -> Router<Context> {
    Router::new().route("/env", post(env::update)).route("/system/metrics", get(metrics::metrics))
}
