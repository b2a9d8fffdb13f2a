//! The runner against a real engine: the one that `DOCKER_HOST` names, else the machine's own.
//!
//! Each test is an instance of its own, so tests run side by side, and leaves nothing on the engine.

#![expect(clippy::unwrap_used, reason = "a test that panics has failed")]

mod delivery;
mod events;
mod fixture;
mod lifecycle;
mod refusals;
mod remake;
mod safety;
