//! The streams for the SSH gateway: programs, and files for OpenSSH's own clients.

#![expect(clippy::unwrap_used, reason = "a test that meets the unexpected ends there")]

mod client;
mod packets;
#[path = "../process/mod.rs"]
mod process;
mod program;
mod sftp;
