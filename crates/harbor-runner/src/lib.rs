//! Makes, inspects, stops and dials a sandbox: the engine, infra and toolbox clients.
//!
//! A sandbox is two containers (design D4): *infra* owns the network namespace and dials into it, the *sandbox*
//! container joins it and runs the toolbox as process 1. Infra containers can be made ahead of time with
//! [`Runner::reserve`], which takes most of a cold start off the caller's path.
//!
//! Guarantees: every call is idempotent, has a deadline, and touches only what carries this instance's label; a
//! container of somebody else under one of our names is refused, never changed. Nothing secret is in a container's
//! arguments, environment or inspect output. Nothing above this crate names the engine's client.
//! Leaves out: deciding which step comes next (`harbor-model`), bounding how many run at once (`harbor-reconcile`),
//! and network policy, which is infra's.

mod about;
mod cleanup;
mod config;
mod configure;
mod create;
mod delivery;
pub mod dial;
mod embedded;
mod engine;
mod error;
mod events;
mod find;
mod images;
mod infra;
mod known;
mod layer;
mod lifecycle;
mod naming;
mod prepare;
mod probe;
mod remake;
mod runner;
mod seccomp;
mod spec;

pub use about::About;
pub use config::{Config, Transport};
pub use configure::Configuration;
pub use dial::{DialError, Stream};
pub use error::RunnerError;
pub use events::Event;
pub use find::{Held, HeldInfra};
pub use harbor_protocol::toolbox::Configured;
pub use images::{Build, Context, Image, Progress};
pub use runner::Runner;
pub use spec::SandboxSpec;
