//! The API as a client without an engine sees it.
#![expect(clippy::unwrap_used, reason = "tests")]

mod access;
mod bodies;
mod events;
mod permissions;
mod sandboxes;
mod signing_key;
#[path = "../support/mod.rs"]
mod support;
mod transport;
mod volumes;
