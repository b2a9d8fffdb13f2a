//! Infra as a real process: both transports, what a sandbox may do to it, and its place in a container.

#![expect(clippy::unwrap_used, reason = "a test ends where it fails, in its helpers too")]

mod client;
mod docker;
mod flood;
mod install;
mod passing;
mod process;
mod server;
mod streaming;
mod wire;
