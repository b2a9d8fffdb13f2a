//! Makes, inspects, stops and dials sandboxes: one [`Engine`] trait, and the engines behind it (design D13).
//!
//! [`DockerEngine`] is the Docker engine. With the feature `pretend` there is a `pretend::Pretend` besides, in memory, for
//! tests of what stands on an engine; one suite (`tests/suite`) holds both to the same behaviour.
//!
//! Guarantees: every verb is idempotent and has a deadline; errors and ids name no product.
//! Leaves out: deciding which step comes next (`harbor-model`), bounding how many run at once (`harbor-reconcile`),
//! and network policy, which is infra's.

mod about;
mod config;
pub mod dial;
mod docker;
mod engine;
mod error;
#[cfg(feature = "fixture")]
pub mod fixture;
mod image;
#[cfg(feature = "pretend")]
pub mod pretend;
mod sandbox;

pub use about::About;
pub use config::{Config, Transport};
pub use dial::{DialError, Stream};
pub use docker::{BUILT_BY, DockerEngine};
pub use engine::Engine;
pub use error::{EngineError, EngineSaid};
pub use harbor_protocol::toolbox::Configured;
pub use image::{Build, Context, Image, Login, Progress};
pub use sandbox::{Configuration, Event, Held, HeldInfra, Inventory, Link, SandboxSpec, Storing, Woken};
