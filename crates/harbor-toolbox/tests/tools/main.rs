//! What the toolbox drives of an image: Python for the interpreter, git, and language servers.

#![expect(clippy::unwrap_used, reason = "a test that meets the unexpected ends there")]

mod client;
#[macro_use]
mod git_engine;
mod git;
mod git_remote;
mod git_transports;
mod interpreter;
mod lsp;
#[path = "../process/mod.rs"]
mod process;
