//! Fixtures for black-box tests of the harbor binary, over a real engine.
//!
//! Guarantees: no test reads or changes the caller's installation; whatever a harbor of a test made on the engine is
//! removed when the last test that uses it is done, and also when the test process dies.
//! Leaves out: fakes. What a test does to the engine it does with `docker`, as somebody behind harbor's back would.

#![expect(clippy::missing_panics_doc, reason = "a fixture that cannot do its part fails the test")]

mod client;
mod engine;
mod harbor;
mod janitor;
mod line;
mod wait;

pub use client::{Answer, Client, Executed, Sandbox};
pub use engine::{docker, engine_socket, inspect, prune_containers, try_docker};
pub use harbor::{Harbor, Said};
pub use line::Line;
pub use wait::{Limit, state_within, within};
