//! What harbor asks of an engine, one file per kind of object: exactly the calls that it makes, with the parameters
//! that it uses, and of the answers what it reads.
//!
//! Guarantees: every call but the subscription to events has a deadline, and an error that says what was to be done.
//! Nothing outside this folder names the engine's client.

mod archives;
pub(crate) mod client;
pub(crate) mod containers;
pub(crate) mod events;
pub(crate) mod exec;
pub(crate) mod images;
pub(crate) mod networks;
pub(crate) mod streams;
mod system;
mod volumes;
