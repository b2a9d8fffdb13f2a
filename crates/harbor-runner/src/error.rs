//! Why an engine could not do what it was asked; one variant per decision that a caller can take.

use std::time::Duration;

use harbor_model::ids::SandboxId;

use crate::dial::DialError;

/// Why an engine could not do what it was asked. Messages name what failed and what to do, the source says why;
/// neither holds a secret.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The engine cannot be reached or did not answer in time. Worth trying again.
    #[error(
        "could not {doing}: the engine at {engine} does not answer; check that it runs and that this user may use it (`harbor doctor`)"
    )]
    Unreachable {
        /// What was to be done.
        doing: String,
        /// The engine's address.
        engine: String,
        /// What the client saw.
        source: EngineSaid,
    },
    /// The engine was reached and did not finish within the deadline. Worth trying again.
    #[error("could not {doing}: not done within {limit:?}; the engine is overloaded or hangs (see its log)")]
    TooSlow {
        /// What was to be done.
        doing: String,
        /// The deadline.
        limit: Duration,
    },
    /// What is asked about does not exist on the engine.
    #[error("could not {doing}: it does not exist on the engine; look again at what is there")]
    NotFound {
        /// What was to be done.
        doing: String,
        /// What the engine says.
        source: EngineSaid,
    },
    /// The infra container that a sandbox container is bound to is gone; the sandbox has to be remade.
    #[error("could not start sandbox {sandbox}: its infra container was removed; make its containers anew")]
    InfraGone {
        /// The sandbox.
        sandbox: SandboxId,
        /// What the engine says.
        source: EngineSaid,
    },
    /// Something of somebody else has a name that harbor needs.
    #[error("{what} named {name} was not made by this harbor; remove or rename it")]
    Foreign {
        /// What kind of thing it is.
        what: &'static str,
        /// Its name.
        name: String,
    },
    /// The engine refuses because of the state that the thing is in. Worth looking again.
    #[error("could not {doing}: the engine refuses it in the present state")]
    Conflict {
        /// What was to be done.
        doing: String,
        /// What the engine says.
        source: EngineSaid,
    },
    /// The image is not on the engine.
    #[error("image {image} is not on the engine; pull or build it first")]
    ImageMissing {
        /// The image's reference.
        image: String,
    },
    /// The image cannot be pulled from where its name points.
    #[error("could not pull image {image}; check its name, the network and the registry's access rights")]
    Pull {
        /// The image's reference.
        image: String,
        /// What the engine says.
        source: EngineSaid,
    },
    /// The build of an image failed; its log says where.
    #[error("could not build image {image}; its build log says which step failed")]
    Build {
        /// The image's reference.
        image: String,
        /// What the engine says.
        source: EngineSaid,
    },
    /// The engine's disk is full.
    #[error(
        "could not {doing}: the engine's disk is full; free some space there (`harbor doctor` shows how much there is)"
    )]
    NoSpace {
        /// What was to be done.
        doing: String,
        /// What the engine says.
        source: EngineSaid,
    },
    /// The toolbox was not reached within the deadline.
    #[error(
        "the toolbox of sandbox {sandbox} did not answer within {limit:?}; the log of its container harbor-{sandbox} may say why"
    )]
    ToolboxSilent {
        /// The sandbox.
        sandbox: SandboxId,
        /// The deadline.
        limit: Duration,
        /// How the last attempt ended.
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
    /// The toolbox answered something else than it should.
    #[error("the toolbox of sandbox {sandbox} answered {status} to configure; stop and start the sandbox")]
    ToolboxRefused {
        /// The sandbox.
        sandbox: SandboxId,
        /// HTTP status.
        status: u16,
    },
    /// Process 1 of the sandbox ended as soon as it was started.
    #[error(
        "sandbox {sandbox} ended at once with exit code {code}; the log of its container harbor-{sandbox} may say why"
    )]
    EndedAtOnce {
        /// The sandbox.
        sandbox: SandboxId,
        /// Exit code of process 1.
        code: i64,
    },
    /// Infra was not reached, so nothing in its namespace can be.
    #[error("infra of sandbox {sandbox} does not answer; the log of its container harbor-infra-{sandbox} may say why")]
    InfraSilent {
        /// The sandbox.
        sandbox: SandboxId,
        /// How the last attempt ended.
        source: DialError,
    },
    /// This harbor was built without toolbox and infra.
    #[error(
        "this harbor was built without toolbox and infra, so it cannot make sandboxes; build it with ./scripts/build"
    )]
    Incomplete,
    /// Toolbox and infra could not be put on the engine.
    #[error("could not deliver toolbox and infra to the engine: {reason}; `harbor up` tries again")]
    Delivery {
        /// What went wrong.
        reason: String,
    },
    /// A file or directory of harbor itself.
    #[error("could not {doing}")]
    Files {
        /// What was to be done, with the path.
        doing: String,
        /// What the system says.
        source: std::io::Error,
    },
    /// A setting that cannot be used.
    #[error("{setting}: {reason}")]
    Setting {
        /// Which setting.
        setting: &'static str,
        /// Why not, and what to set instead.
        reason: String,
    },
    /// A volume, or a part of one, would appear elsewhere in a sandbox, or something else in its place.
    #[error("the volumes of sandbox {sandbox} cannot be mounted: {reason}")]
    Astray {
        /// The sandbox.
        sandbox: SandboxId,
        /// What leads where.
        reason: String,
    },
    /// The files of a sandbox cannot be reached.
    #[error("could not {doing}: the engine does not tell where its files lie")]
    OutOfReach {
        /// What was to be done.
        doing: String,
    },
    /// Anything else that the engine refuses or fails at.
    #[error("could not {doing}")]
    Refused {
        /// What was to be done.
        doing: String,
        /// What the engine says.
        source: EngineSaid,
    },
}

impl EngineError {
    /// Whether the same call may succeed later without anything being changed.
    pub const fn transient(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::TooSlow { .. } | Self::Conflict { .. } | Self::NoSpace { .. } => true,
            Self::ToolboxSilent { .. } | Self::InfraSilent { .. } | Self::Pull { .. } => true,
            Self::NotFound { .. } | Self::InfraGone { .. } | Self::Foreign { .. } | Self::ImageMissing { .. } => false,
            Self::Build { .. } | Self::ToolboxRefused { .. } | Self::EndedAtOnce { .. } | Self::Incomplete => false,
            Self::Delivery { .. } | Self::Files { .. } | Self::Setting { .. } | Self::Refused { .. } => false,
            Self::OutOfReach { .. } | Self::Astray { .. } => false,
        }
    }

    /// Whether a build failed because the engine's builder lost a layer while others built or removed images; it is worth
    /// another try at once.
    pub fn lost_a_layer(&self) -> bool {
        let Self::Build { source, .. } = self else { return false };
        ["failed to export", "failed to get layer", "lease does not exist", "content digest"]
            .iter()
            .any(|text| source.0.contains(text))
    }

    /// What the engine says, when it answered at all.
    pub(crate) fn engine_says(&self) -> Option<&str> {
        match self {
            Self::NotFound { source, .. }
            | Self::Conflict { source, .. }
            | Self::NoSpace { source, .. }
            | Self::Refused { source, .. } => Some(&source.0),
            _ => None,
        }
    }
}

/// What an engine, or the way to it, said in its own words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct EngineSaid(String);

impl EngineSaid {
    /// These words.
    pub fn new(words: impl Into<String>) -> Self {
        Self(words.into())
    }
}
