//! Every listener of harbor: accepts, bounds, times and drains connections, whatever is served on them.
//!
//! Guarantees: all listeners of a process share one [`Budget`], taken from the open files that the process may have, so
//! that the engine, the database and the connections into sandboxes always find one; where it is spent, the connection
//! makes room that has waited longest for its client, or has shown no credential that opens, and if there is none, the
//! new one is refused in words. A head has a deadline, an idle connection has one, nothing else has. An answer that is
//! ready before its request's body has come reaches the client. A head that cannot be read is refused with a JSON body.
//! Leaves out: who may do what.

mod bodies;
mod budget;
mod connection;
mod leftover;
mod listener;
mod pace;
mod refusal;
mod request_line;
mod slots;
mod stream;
mod tls;

pub use bodies::{BodyBudget, BodyShare, Spent};
pub use budget::{Budget, TooFewOpenFiles};
pub use listener::{serve, serve_with_tls};
pub use slots::ConnectionSlot;
