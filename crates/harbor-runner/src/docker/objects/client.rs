//! The engine's client: where the engine is, and a deadline on every call.

use std::future::Future;
use std::path::Path;
use std::time::Duration;

use bollard::errors::Error as ClientError;
use bollard::{API_DEFAULT_VERSION, Docker};

use crate::error::{EngineError, EngineSaid};

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
pub(crate) struct Client {
    docker: Docker,
    address: String,
}

impl Client {
    /// Finds the engine and agrees on an API version with it.
    pub(crate) async fn connect(configured: Option<&str>) -> Result<Self, EngineError> {
        let address = configured.map_or_else(discover, str::to_owned);
        let doing = "connect to the container engine";
        let docker = match address.split_once("://") {
            Some(("unix", _)) => Docker::connect_with_unix(&address, BULK.as_secs(), API_DEFAULT_VERSION),
            Some(("tcp" | "http", _)) => Docker::connect_with_http(&address, BULK.as_secs(), API_DEFAULT_VERSION),
            _ => {
                let reason = format!("cannot use {address:?}; give unix:///path or tcp://host:port");
                return Err(EngineError::Setting { setting: "docker_host", reason });
            }
        };
        let docker = docker.map_err(|error| error_of(doing.to_owned(), &address, &error))?;
        // without it an older engine refuses every call: "client version 1.53 is too new"
        let docker = within(doing, QUICK, &address, docker.negotiate_version()).await?;
        Ok(Self { docker, address })
    }

    /// The client itself, for building calls.
    pub(super) fn docker(&self) -> &Docker {
        &self.docker
    }

    /// The engine's address.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// Awaits one call of the client. `doing` completes "could not …".
    pub(super) fn call<T>(
        &self,
        doing: &str,
        limit: Duration,
        call: impl Future<Output = Result<T, ClientError>>,
    ) -> impl Future<Output = Result<T, EngineError>> {
        // the client's futures are kilobytes large
        within(doing, limit, &self.address, Box::pin(call))
    }

    /// [`Client::call`], with `None` for what does not exist.
    pub(super) fn look<T>(
        &self,
        doing: &str,
        call: impl Future<Output = Result<T, ClientError>>,
    ) -> impl Future<Output = Result<Option<T>, EngineError>> {
        let call = self.call(doing, QUICK, call);
        async move {
            match call.await {
                Ok(found) => Ok(Some(found)),
                Err(EngineError::NotFound { .. }) => Ok(None),
                Err(error) => Err(error),
            }
        }
    }
}

async fn within<T>(
    doing: &str,
    limit: Duration,
    address: &str,
    call: impl Future<Output = Result<T, ClientError>>,
) -> Result<T, EngineError> {
    match tokio::time::timeout(limit, call).await {
        Ok(outcome) => outcome.map_err(|error| error_of(doing.to_owned(), address, &error)),
        Err(_) => Err(EngineError::TooSlow { doing: doing.to_owned(), limit }),
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

/// What an error of the client means for `doing`.
pub(super) fn error_of(doing: String, engine: &str, error: &ClientError) -> EngineError {
    let source = EngineSaid::new(words(error));
    match Kind::of(error) {
        Kind::Unreachable => EngineError::Unreachable { doing, engine: engine.to_owned(), source },
        Kind::NotFound => EngineError::NotFound { doing, source },
        Kind::Conflict => EngineError::Conflict { doing, source },
        Kind::NoSpace => EngineError::NoSpace { doing, source },
        Kind::Other => EngineError::Refused { doing, source },
    }
}

/// How the layers of an HTTP client introduce what they pass on, which tells nobody anything.
const LAYERS: [&str; 3] = ["Error in the hyper legacy client", "client error (", "error trying to connect"];

/// The engine's own message, else what the client says with all causes, without the layers between.
fn words(error: &ClientError) -> String {
    match error {
        ClientError::DockerResponseServerError { message, .. } => message.clone(),
        ClientError::DockerStreamError { error } => error.clone(),
        other => said(other),
    }
}

fn said(error: &dyn std::error::Error) -> String {
    let mut words: Vec<String> = Vec::new();
    let mut link = Some(error);
    while let Some(error) = link {
        let (text, cause) = (error.to_string(), error.source());
        let passes_on = cause.is_some() && LAYERS.iter().any(|layer| text.starts_with(layer));
        if !passes_on && !words.last().is_some_and(|before| before.ends_with(&text)) {
            words.push(text);
        }
        link = cause;
    }
    words.join(": ")
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
    fn of(error: &ClientError) -> Self {
        match error {
            ClientError::DockerResponseServerError { status_code, message } => match status_code {
                _ if message.contains("no space left on device") => Self::NoSpace,
                404 => Self::NotFound,
                409 => Self::Conflict,
                _ => Self::Other,
            },
            ClientError::DockerStreamError { error } if error.contains("no space left on device") => Self::NoSpace,
            ClientError::SocketNotFoundError(_)
            | ClientError::RequestTimeoutError
            | ClientError::IOError { .. }
            | ClientError::HyperResponseError { .. }
            | ClientError::HyperLegacyError { .. } => Self::Unreachable,
            _ => Self::Other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(status_code: u16, message: &str) -> EngineError {
        let source = ClientError::DockerResponseServerError { status_code, message: message.to_owned() };
        error_of("start it".to_owned(), "unix:///x", &source)
    }

    #[derive(Debug, thiserror::Error)]
    #[error("{0}")]
    struct Layer(&'static str, #[source] Option<Box<Layer>>);

    #[test]
    fn layers_between_are_left_out() {
        let layers = |texts: &[&'static str]| {
            let last: Option<Box<Layer>> = None;
            texts.iter().rev().fold(last, |inner, text| Some(Box::new(Layer(text, inner))))
        };
        let said = |texts: &[&'static str]| super::said(&*layers(texts).expect("a layer"));
        let connect = ["Error in the hyper legacy client: client error (Connect)", "client error (Connect)", "refused"];
        assert_eq!(said(&connect), "refused");
        assert_eq!(said(&["cannot read x: gone", "gone"]), "cannot read x: gone");
        assert_eq!(said(&["client error (Connect)"]), "client error (Connect)", "there is no more");
    }

    #[test]
    fn the_engines_status_decides_the_kind() {
        assert!(matches!(refused(404, "No such container: x"), EngineError::NotFound { .. }));
        assert!(matches!(refused(409, "name in use"), EngineError::Conflict { .. }));
        assert!(matches!(refused(500, "write /x: no space left on device"), EngineError::NoSpace { .. }));
        assert!(matches!(refused(500, "boom"), EngineError::Refused { .. }));
        assert_eq!(refused(500, "boom").engine_says(), Some("boom"));
    }

    #[test]
    fn an_engine_that_is_not_there_is_transient() {
        let source = ClientError::SocketNotFoundError("/run/none.sock".to_owned());
        let error = error_of("list".to_owned(), "unix:///run/none.sock", &source);
        assert!(error.transient());
        assert!(error.to_string().contains("unix:///run/none.sock"), "{error}");
    }
}
