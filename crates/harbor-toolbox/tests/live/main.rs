//! What lives longer than a request: sessions, terminals, connections to servers (contract, toolbox §8, §10, §15).

#![expect(clippy::unwrap_used, reason = "a test that meets the unexpected ends there")]

mod client;
mod follow;
mod ports;
#[path = "../process/mod.rs"]
mod process;
mod sessions;
mod socket;
mod system;
mod terminals;
