//! The file routes of the toolbox as a real process (contract, toolbox §11).

#![expect(clippy::unwrap_used, reason = "a test that meets the unexpected ends there")]

mod browse;
mod change;
mod client;
mod download;
#[path = "../process/mod.rs"]
mod process;
mod upload;
