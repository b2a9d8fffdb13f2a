//! Commands and programs that run to their end while their caller waits (contract, toolbox §6 and §7).

mod answer;
mod capture;
mod charts;
mod code_run;
mod execute;

use axum::Router;
use axum::routing::post;

use crate::context::Context;

/// The routes of this module.
pub(crate) fn routes() -> Router<Context> {
    Router::new().route("/process/execute", post(execute::execute)).route("/process/code-run", post(code_run::code_run))
}
