//! REST and event stream: parse, call, render.
//!
//! One handler parses a request, calls [`harbor_control`] and renders what it answers; every rule is control's and
//! every wait is bounded there. This crate knows no store and no engine.
//!
//! Guarantees: every answer below `/api` is JSON, errors of every kind in one shape (contract, control-plane §3.1);
//! malformed JSON is refused before a credential that does not open, that before the request is validated, and
//! permission before anything is looked up; of a body whose sender shows no credential that opens, a few KiB are read;
//! no secret is logged. What the contract has and harbor has not built answers 501 and stands in `gaps.txt`, which a test
//! compares with the contract's list of endpoints.
//!
//! Leaves out: the roads into a sandbox (`/toolbox/*`, previews), which are another crate's, and rate limits, which are
//! off by default and therefore send no headers (contract, control-plane §4).

mod authentication;
mod config;
mod cursor;
mod documents;
mod error;
mod events;
mod gaps;
mod input;
mod readiness;
mod refused;
mod routes;
mod state;
mod transport;
mod wire;

use std::sync::Arc;

use axum::Router;
use harbor_control::Control;

pub use config::{Config, Oidc, PreviewUrls, S3Urls, SshAddress, Urls};
pub use events::Events;
pub use readiness::{Component, Loop, LoopOutcome, Readiness};

use state::Api;

/// The API, its documents and the event stream's endpoint, and the task that feeds the stream.
///
/// The router has no routes of its own but a fallback, so that whatever is merged into it takes precedence:
/// `harbor_api::router(…).0.merge(other)`. The supervisor owns [`Events::publish`]; without it nobody hears events.
pub fn router(control: Control, config: Config, readiness: Arc<dyn Readiness>) -> (Router, Events) {
    let api = Api::new(control, config, readiness);
    let (events, socket) = events::build(&api);
    (transport::wrap(routes::all(api), socket), events)
}
