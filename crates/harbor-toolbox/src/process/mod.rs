//! Processes of the sandbox: starting, waiting, reaping, and the endpoints that run one command or program.
//!
//! Every process of the toolbox is started through [`Processes`], because process 1 reaps whatever dies: a child that
//! somebody waits for by other means would lose its exit code.

mod answer;
mod capture;
mod charts;
mod code_run;
pub(crate) mod command;
mod execute;
mod reaper;
mod shell;
mod tree;

use axum::Router;
use axum::routing::post;

pub(crate) use reaper::{Child, Group, Processes};
pub(crate) use shell::{default_shell, quote};
pub(crate) use tree::Tree;

use crate::context::Context;

/// Output as JSON can carry it: bytes that are no text become replacement characters. Text is not copied.
fn text_of(output: Vec<u8>) -> String {
    String::from_utf8(output).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

/// The routes of this module.
pub(crate) fn routes() -> Router<Context> {
    Router::new().route("/process/execute", post(execute::execute)).route("/process/code-run", post(code_run::code_run))
}
