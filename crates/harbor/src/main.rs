//! A self-hosted sandbox platform for AI agents in one binary.

fn main() {}
