//! Terminals: interactive shells that clients watch and type into (contract, toolbox §10).
//!
//! Guarantees: a terminal outlives its clients and ends with its shell; everything it has written reaches the clients
//! before they learn of its end; what a client does not read costs a bounded amount of memory and, as long as another
//! client reads, nobody's time.

mod connect;
mod handshake;
mod manage;
mod output;
mod session;
mod terminal;
mod terminals;

use axum::Router;
use axum::routing::{get, post};

pub(crate) use terminal::{Size, Terminal};
pub(crate) use terminals::Terminals;

/// The routes of this module.
pub(crate) fn routes<S: Clone + Send + Sync + 'static>(terminals: Terminals) -> Router<S> {
    Router::new()
        .route("/process/pty", get(manage::list).post(manage::create))
        .route("/process/pty/create-connect", get(connect::create_connect))
        .route("/process/pty/{sessionId}", get(manage::describe).delete(manage::delete))
        .route("/process/pty/{sessionId}/connect", get(connect::connect))
        .route("/process/pty/{sessionId}/resize", post(manage::resize))
        .with_state(terminals)
}
