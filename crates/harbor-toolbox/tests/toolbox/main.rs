//! The toolbox as a real process, driven over HTTP.

#![expect(clippy::unwrap_used, reason = "a test that meets the unexpected ends there")]

mod gate;
#[path = "../process/mod.rs"]
mod process;
mod processes;
mod support;
