//! A self-hosted sandbox platform for AI agents in one binary.
//!
//! This crate is the binary: command line, configuration, first-start secrets, the process and its supervision, and
//! the wiring of everything else. What a sandbox is, and how it is made and reached, is in the other crates.

mod builds;
mod cli;
mod components;
mod config;
mod default_image;
mod doctor;
mod invocation;
mod orphans;
mod process;
mod screen;
#[cfg_attr(not(test), expect(dead_code, reason = "read by services that are not built yet"))]
mod secrets;
mod trust;
mod wiring;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::run().unwrap_or_else(|error| {
        screen::failure(&process::announce::one_line(&error));
        ExitCode::FAILURE
    })
}
