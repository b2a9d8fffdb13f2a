//! Why the runner could not do what it was asked; one variant per decision a caller can take.

use std::time::Duration;

use bollard::errors::Error as EngineError;
use harbor_model::ids::SandboxId;

use crate::dial::DialError;

/// Why the runner could not do what it was asked. Messages name what failed and what to do, the source says why;
/// neither holds a secret.
#[derive(Debug, thiserror::Error)]
pub enum RunnerError {
    /// The engine cannot be reached or did not answer in time. Worth trying again.
    #[error(
        "could not {doing}: the engine at {engine} does not answer; check that it runs and that this user may use it (`docker info`)"
    )]
    Unreachable {
        /// What was to be done.
        doing: String,
        /// The engine's address.
        engine: String,
        /// What the client saw.
        source: Box<EngineError>,
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
        source: Box<EngineError>,
    },
    /// The infra container that a sandbox container is bound to is gone; the sandbox has to be remade.
    #[error("could not start sandbox {sandbox}: its infra container was removed; make its containers anew")]
    InfraGone {
        /// The sandbox.
        sandbox: SandboxId,
        /// What the engine says.
        source: Box<EngineError>,
    },
    /// Something of somebody else has a name that harbor needs.
    #[error(
        "{what} named {name} was not made by this harbor; remove or rename it (`docker inspect {name}` shows what it is)"
    )]
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
        source: Box<EngineError>,
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
        source: Box<EngineError>,
    },
    /// The build of an image failed; its log says where.
    #[error("could not build image {image}; its build log says which step failed")]
    Build {
        /// The image's reference.
        image: String,
        /// What the engine says.
        source: Box<EngineError>,
    },
    /// The engine's disk is full.
    #[error("could not {doing}: the engine's disk is full; free some space (`docker system df` shows what takes it)")]
    NoSpace {
        /// What was to be done.
        doing: String,
        /// What the engine says.
        source: Box<EngineError>,
    },
    /// The toolbox was not reached within the deadline.
    #[error(
        "the toolbox of sandbox {sandbox} did not answer within {limit:?}; `docker logs harbor-{sandbox}` may say why"
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
    #[error("sandbox {sandbox} ended at once with exit code {code}; `docker logs harbor-{sandbox}` may say why")]
    EndedAtOnce {
        /// The sandbox.
        sandbox: SandboxId,
        /// Exit code of process 1.
        code: i64,
    },
    /// Infra was not reached, so nothing in its namespace can be.
    #[error("infra of sandbox {sandbox} does not answer; `docker logs harbor-infra-{sandbox}` may say why")]
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
    /// Anything else that the engine refuses or fails at.
    #[error("could not {doing}")]
    Engine {
        /// What was to be done.
        doing: String,
        /// What the engine says.
        source: Box<EngineError>,
    },
}

impl RunnerError {
    /// Whether the same call may succeed later without anything being changed.
    pub const fn transient(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::TooSlow { .. } | Self::Conflict { .. } | Self::NoSpace { .. } => true,
            Self::ToolboxSilent { .. } | Self::InfraSilent { .. } | Self::Pull { .. } => true,
            Self::NotFound { .. } | Self::InfraGone { .. } | Self::Foreign { .. } | Self::ImageMissing { .. } => false,
            Self::Build { .. } | Self::ToolboxRefused { .. } | Self::EndedAtOnce { .. } | Self::Incomplete => false,
            Self::Delivery { .. } | Self::Files { .. } | Self::Setting { .. } | Self::Engine { .. } => false,
        }
    }

    /// What the engine's error means for `doing`.
    pub(crate) fn from_engine(doing: String, engine: &str, source: EngineError) -> Self {
        let kind = Kind::of(&source);
        let source = Box::new(source);
        match kind {
            Kind::Unreachable => Self::Unreachable { doing, engine: engine.to_owned(), source },
            Kind::NotFound => Self::NotFound { doing, source },
            Kind::Conflict => Self::Conflict { doing, source },
            Kind::NoSpace => Self::NoSpace { doing, source },
            Kind::Other => Self::Engine { doing, source },
        }
    }

    /// What the engine says, when it answered at all.
    pub(crate) fn engine_says(&self) -> Option<&str> {
        let (Self::NotFound { source, .. }
        | Self::Conflict { source, .. }
        | Self::NoSpace { source, .. }
        | Self::Engine { source, .. }) = self
        else {
            return None;
        };
        match source.as_ref() {
            EngineError::DockerResponseServerError { message, .. } => Some(message),
            EngineError::DockerStreamError { error } => Some(error),
            _ => None,
        }
    }
}

/// The kinds of an engine's error.
enum Kind {
    Unreachable,
    NotFound,
    Conflict,
    NoSpace,
    Other,
}

impl Kind {
    fn of(error: &EngineError) -> Self {
        match error {
            EngineError::DockerResponseServerError { status_code, message } => match status_code {
                _ if message.contains("no space left on device") => Self::NoSpace,
                404 => Self::NotFound,
                409 => Self::Conflict,
                _ => Self::Other,
            },
            EngineError::DockerStreamError { error } if error.contains("no space left on device") => Self::NoSpace,
            EngineError::SocketNotFoundError(_)
            | EngineError::RequestTimeoutError
            | EngineError::IOError { .. }
            | EngineError::HyperResponseError { .. }
            | EngineError::HyperLegacyError { .. } => Self::Unreachable,
            _ => Self::Other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(status_code: u16, message: &str) -> RunnerError {
        let source = EngineError::DockerResponseServerError { status_code, message: message.to_owned() };
        RunnerError::from_engine("start it".to_owned(), "unix:///x", source)
    }

    #[test]
    fn the_engines_status_decides_the_kind() {
        assert!(matches!(refused(404, "No such container: x"), RunnerError::NotFound { .. }));
        assert!(matches!(refused(409, "name in use"), RunnerError::Conflict { .. }));
        assert!(matches!(refused(500, "write /x: no space left on device"), RunnerError::NoSpace { .. }));
        assert!(matches!(refused(500, "boom"), RunnerError::Engine { .. }));
    }

    #[test]
    fn an_engine_that_is_not_there_is_transient() {
        let source = EngineError::SocketNotFoundError("/run/none.sock".to_owned());
        let error = RunnerError::from_engine("list".to_owned(), "unix:///run/none.sock", source);
        assert!(error.transient());
        assert!(error.to_string().contains("unix:///run/none.sock"), "{error}");
    }
}
