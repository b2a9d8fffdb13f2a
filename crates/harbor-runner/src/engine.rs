//! The engine's client: where the engine is, and a deadline on every call.

use std::future::Future;
use std::path::Path;
use std::time::Duration;

use bollard::errors::Error as EngineError;
use bollard::{API_DEFAULT_VERSION, Docker};

use crate::error::RunnerError;

/// For calls that only read or write the engine's records.
pub(crate) const QUICK: Duration = Duration::from_secs(20);
/// For calls that make, start or remove something: many at once take this long on a small machine.
pub(crate) const SLOW: Duration = Duration::from_mins(2);
/// How long the engine may take to finish making what a harbor asked for that has died since: until then it has the
/// name, and is not there yet.
pub(crate) const LEFT_BEHIND: Duration = Duration::from_secs(30);
/// For calls that move whole images or layers.
pub(crate) const BULK: Duration = Duration::from_hours(1);

/// The client, with the address for messages.
#[derive(Clone, Debug)]
pub(crate) struct Engine {
    docker: Docker,
    address: String,
}

impl Engine {
    /// Finds the engine and agrees on an API version with it.
    pub(crate) async fn connect(configured: Option<&str>) -> Result<Self, RunnerError> {
        let address = configured.map_or_else(discover, str::to_owned);
        let doing = "connect to the container engine";
        let docker = match address.split_once("://") {
            Some(("unix", _)) => Docker::connect_with_unix(&address, BULK.as_secs(), API_DEFAULT_VERSION),
            Some(("tcp" | "http", _)) => Docker::connect_with_http(&address, BULK.as_secs(), API_DEFAULT_VERSION),
            _ => {
                let reason = format!("cannot use {address:?}; give unix:///path or tcp://host:port");
                return Err(RunnerError::Setting { setting: "docker_host", reason });
            }
        };
        let docker = docker.map_err(|error| RunnerError::from_engine(doing.to_owned(), &address, error))?;
        // without it an older engine refuses every call: "client version 1.53 is too new"
        let docker = within(doing, QUICK, &address, docker.negotiate_version()).await?;
        Ok(Self { docker, address })
    }

    /// The client itself, for building calls.
    pub(crate) fn docker(&self) -> &Docker {
        &self.docker
    }

    /// The engine's address.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// Awaits one call of the client. `doing` completes "could not …".
    pub(crate) fn call<T>(
        &self,
        doing: &str,
        limit: Duration,
        call: impl Future<Output = Result<T, EngineError>>,
    ) -> impl Future<Output = Result<T, RunnerError>> {
        // the client's futures are kilobytes large
        within(doing, limit, &self.address, Box::pin(call))
    }

    /// [`Engine::call`], with `None` for what does not exist.
    pub(crate) fn look<T>(
        &self,
        doing: &str,
        call: impl Future<Output = Result<T, EngineError>>,
    ) -> impl Future<Output = Result<Option<T>, RunnerError>> {
        let call = self.call(doing, QUICK, call);
        async move {
            match call.await {
                Ok(found) => Ok(Some(found)),
                Err(RunnerError::NotFound { .. }) => Ok(None),
                Err(error) => Err(error),
            }
        }
    }
}

async fn within<T>(
    doing: &str,
    limit: Duration,
    address: &str,
    call: impl Future<Output = Result<T, EngineError>>,
) -> Result<T, RunnerError> {
    match tokio::time::timeout(limit, call).await {
        Ok(outcome) => outcome.map_err(|error| RunnerError::from_engine(doing.to_owned(), address, error)),
        Err(_) => Err(RunnerError::TooSlow { doing: doing.to_owned(), limit }),
    }
}

/// `DOCKER_HOST`, else the rootless socket of this user if there is one and the system's is not, else the system's.
fn discover() -> String {
    if let Some(host) = std::env::var("DOCKER_HOST").ok().filter(|host| !host.is_empty()) {
        return host;
    }
    let system = "/var/run/docker.sock";
    let rootless = std::env::var("XDG_RUNTIME_DIR").ok().map(|directory| format!("{directory}/docker.sock"));
    match rootless.filter(|socket| Path::new(socket).exists()) {
        Some(socket) if !Path::new(system).exists() => format!("unix://{socket}"),
        _ => format!("unix://{system}"),
    }
}
