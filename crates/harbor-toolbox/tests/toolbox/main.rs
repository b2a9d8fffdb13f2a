//! The toolbox as a real process, driven over its port: one client (`client`), one module per family of routes.

#![expect(clippy::unwrap_used, reason = "a test that meets the unexpected ends there")]

mod client;
#[macro_use]
mod git_engine;
mod files;
mod follow;
mod gate;
mod git;
mod git_remote;
mod git_transports;
mod interpreter;
mod lsp;
mod packets;
mod ports;
mod processes;
mod program;
mod sessions;
mod sftp;
mod system;
mod terminals;
