//! What the running harbor says about itself, for the other commands: `run/state.json`.
//!
//! Guarantees: the file is whole or absent; it is believed only while the lock is held. It holds no secret.

use std::fs;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::progress::Doing;
use crate::components::Service;
use crate::config::directories::Directories;
use crate::process::lock::{self, Holder};

/// What the services say once they serve.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Ready {
    /// Every service that listens. The API must be among them.
    pub(crate) services: Vec<Listening>,
    /// The engine in one line, such as `Docker 20.10.24 (API 1.41)`.
    pub(crate) engine: String,
}

/// A service and where it listens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Listening {
    /// Which service.
    pub(crate) service: Service,
    /// Its addresses; all have the same port.
    pub(crate) addresses: Vec<SocketAddr>,
}

impl Ready {
    /// The port a service listens on.
    pub(crate) fn port(&self, service: Service) -> Option<u16> {
        self.listening(service)?.addresses.first().map(SocketAddr::port)
    }

    /// Where this machine reaches the API.
    pub(crate) fn api_address(&self) -> Option<SocketAddr> {
        let mut address = self.listening(Service::Api)?.addresses.first().copied()?;
        if address.ip().is_unspecified() {
            address.set_ip(if address.is_ipv4() { Ipv4Addr::LOCALHOST.into() } else { Ipv6Addr::LOCALHOST.into() });
        }
        Some(address)
    }

    /// Where a service listens.
    pub(crate) fn listening(&self, service: Service) -> Option<&Listening> {
        self.services.iter().find(|listening| listening.service == service)
    }
}

/// How far harbor is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "phase", rename_all = "lowercase")]
pub(crate) enum Phase {
    /// Not serving yet.
    Starting(Doing),
    /// Serving.
    Ready(Ready),
    /// Draining.
    Stopping,
}

/// The content of the file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct State {
    /// The process.
    pub(crate) pid: u32,
    /// Version of the running binary.
    pub(crate) version: String,
    /// How far it is.
    #[serde(flatten)]
    pub(crate) phase: Phase,
}

impl State {
    /// This process in `phase`.
    pub(crate) fn here(phase: Phase) -> Self {
        Self { pid: std::process::id(), version: env!("CARGO_PKG_VERSION").to_owned(), phase }
    }

    /// Writes it in one step. Not synced: it means nothing after a power loss.
    pub(crate) fn write(&self, path: &Path) -> std::io::Result<()> {
        let beside = path.with_extension("json.new");
        fs::write(&beside, serde_json::to_vec(self)?)?;
        fs::rename(beside, path)
    }
}

/// Whether harbor runs on these directories, and how far it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Running {
    /// No process holds the lock.
    No,
    /// A process holds the lock; `state` is missing in its first instants.
    Yes {
        /// What it says about itself.
        state: Option<State>,
    },
}

impl Running {
    /// Looks.
    pub(crate) fn find(directories: &Directories) -> anyhow::Result<Self> {
        let Holder::Process(pid) = lock::holder(&directories.lock())? else { return Ok(Self::No) };
        let state: Option<State> =
            fs::read(directories.state()).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
        // a file that an earlier process left behind speaks of another process
        let own = |state: &State| pid.is_none_or(|pid| i64::from(state.pid) == i64::from(pid.as_raw_nonzero().get()));
        Ok(Self::Yes { state: state.filter(own) })
    }

    /// What the services say, if they serve.
    pub(crate) fn ready(&self) -> Option<&Ready> {
        match self {
            Self::Yes { state: Some(State { phase: Phase::Ready(ready), .. }) } => Some(ready),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::lock::Lock;

    #[test]
    fn a_state_without_its_process_is_not_believed() {
        let data = tempfile::tempdir().unwrap();
        let directories = Directories::new(data.path(), None);
        directories.create().unwrap();
        let ready = Ready { services: Vec::new(), engine: "Docker".to_owned() };
        State::here(Phase::Ready(ready.clone())).write(&directories.state()).unwrap();
        assert_eq!(Running::find(&directories).unwrap(), Running::No);
        let _lock = Lock::take(&directories.lock()).unwrap();
        assert_eq!(Running::find(&directories).unwrap().ready(), Some(&ready));
        State { pid: 1, ..State::here(Phase::Stopping) }.write(&directories.state()).unwrap();
        assert_eq!(Running::find(&directories).unwrap(), Running::Yes { state: None });
    }
}
