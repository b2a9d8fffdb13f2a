//! Sandboxes as an engine is told to make them, and as it finds them.

use std::collections::BTreeMap;
use std::fmt;

use futures_util::future::BoxFuture;
use harbor_model::ids::{ContainerId, SandboxId};
use harbor_model::layers::Layer;
use harbor_model::resources::Resources;
use harbor_model::sandboxes::Found;
use harbor_model::secrets::Secret;
use harbor_model::volumes::Mount;
use harbor_protocol::toolbox::Configured;

use crate::error::EngineError;

/// What a sandbox container is made from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SandboxSpec {
    /// The sandbox.
    pub id: SandboxId,
    /// The image, by a reference or id that the engine knows.
    pub image: String,
    /// The files that it begins with on top of an image, which is the layer's then.
    pub filling: Option<Layer>,
    /// What runs as session `entrypoint`; empty: the image's own entrypoint (its command is dropped; contract,
    /// toolbox §4.1).
    pub entrypoint: Vec<String>,
    /// What it may use; 0 processors or 0 memory means no limit.
    pub resources: Resources,
    /// The volumes in it.
    pub mounts: Vec<Mount>,
    /// The sandbox that it shares a private network with.
    pub link: Option<Link>,
}

/// How a copy of a sandbox's files is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Storing {
    /// To be kept: compressed, and small.
    Kept,
    /// To be read once and soon: as the files are, where that is possible, which is quicker.
    ReadOnce,
}

/// A private network between two sandboxes, in which each is found by its names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// The other sandbox, which exists.
    pub to: SandboxId,
    /// Host names of the other one.
    pub names_of_target: Vec<String>,
    /// Host names of this one.
    pub names: Vec<String>,
}

/// What a toolbox is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Configuration {
    /// The token that every request must carry from now on.
    pub token: Secret,
    /// The token in force, when it may be another one.
    pub previous: Option<Secret>,
    /// Environment on top of the image's own, for all processes started from now on.
    pub env: BTreeMap<String, String>,
}

/// One that slept and goes on.
pub struct Woken {
    /// What its toolbox answered.
    pub configured: Configured,
    /// Over when the engine, too, has answered that it goes on.
    pub engine_answered: BoxFuture<'static, ()>,
}

impl fmt::Debug for Woken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Woken").field("configured", &self.configured).finish_non_exhaustive()
    }
}

/// Everything that the engine holds of one sandbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// The sandbox.
    pub sandbox: SandboxId,
    /// Its sandbox container.
    pub found: Found,
    /// Its infra container.
    pub infra: Option<HeldInfra>,
}

/// An infra container as found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldInfra {
    /// The container.
    pub container: ContainerId,
    /// Whether it runs.
    pub running: bool,
}

/// Everything that an engine holds.
#[derive(Debug, Default)]
pub struct Inventory {
    /// What it holds, one entry per sandbox.
    pub held: Vec<Held>,
    /// Sandboxes of which it holds something that could not be looked at: nothing is known of them, least of all that
    /// they are gone.
    pub unclear: Vec<(SandboxId, EngineError)>,
}

impl Inventory {
    /// Whether nothing is known of this sandbox.
    pub fn is_unclear(&self, id: &SandboxId) -> bool {
        self.unclear.iter().any(|(unclear, _)| unclear == id)
    }
}

/// Something that happened on the engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// Something happened to a container of this sandbox: look at it again.
    Changed(SandboxId),
    /// A subscription begins, the first or one after a gap: look at everything again. What happens from now on follows
    /// as [`Event::Changed`].
    Reconnected,
}
