//! Engines: one suite for all of them, and what is Docker's alone against the engine that `DOCKER_HOST` names, else the
//! machine's own.
//!
//! Each test is an instance of its own, so tests run side by side, and leaves nothing on the engine.

#![expect(clippy::unwrap_used, reason = "a test that panics has failed")]

mod copies;
mod delivery;
mod events;
mod lifecycle;
mod parts;
mod refusals;
mod remake;
mod safety;
mod sleeps;
#[path = "../suite/mod.rs"]
mod suite;
mod volumes;
