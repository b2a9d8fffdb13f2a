//! What the serving process says about itself, for the other commands: `run/state.json` and `run/settings.json`.
//!
//! Guarantees: each file is whole or absent, for its owner alone, and believed only while the process that wrote it
//! holds the lock. `state.json` holds no secret. `settings.json` holds what the process was started with, the secrets
//! that came by environment or file among them, so that other commands can tell them; it is removed when harbor stops.
//! Leaves out: whether that process still answers (see [`super::presence`]).

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write as _};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::lock::{self, Holder};
use super::progress::StartStep;
use crate::components::Service;
use crate::config::directories::Directories;

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

impl Listening {
    /// The port of all its addresses.
    pub(crate) fn port(&self) -> Option<u16> {
        self.addresses.first().map(SocketAddr::port)
    }
}

impl Ready {
    /// The port a service listens on.
    pub(crate) fn port(&self, service: Service) -> Option<u16> {
        self.listening(service)?.port()
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

/// How far the process is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "phase", rename_all = "lowercase")]
pub(crate) enum Phase {
    /// Not serving yet.
    Starting(StartStep),
    /// Serving.
    Ready(Ready),
    /// Draining.
    Stopping,
}

/// The content of `state.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ProcessState {
    /// The process.
    pub(crate) pid: u32,
    /// Version of the running binary.
    pub(crate) version: String,
    /// How far it is.
    #[serde(flatten)]
    pub(crate) phase: Phase,
}

impl ProcessState {
    /// This process in `phase`.
    pub(crate) fn here(phase: Phase) -> Self {
        Self { pid: std::process::id(), version: env!("CARGO_PKG_VERSION").to_owned(), phase }
    }

    /// Writes it in one step. Not synced: it means nothing after a power loss.
    pub(crate) fn write(&self, directories: &Directories) -> io::Result<()> {
        write(&directories.state(), self)
    }
}

/// The content of `settings.json`: the values that the process runs with, by key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RunningSettings {
    /// The process.
    pub(crate) pid: u32,
    /// Every value in force but generated secrets, as text, by dotted key.
    pub(crate) values: BTreeMap<String, String>,
}

impl RunningSettings {
    /// Writes it in one step. Not synced: it means nothing after a power loss.
    pub(crate) fn write(&self, directories: &Directories) -> io::Result<()> {
        write(&directories.settings(), self)
    }

    /// Takes the ports that are listened on, where the system chose them.
    pub(crate) fn note_ports(&mut self, ready: &Ready) {
        for listening in &ready.services {
            if let Some(port) = ready.port(listening.service) {
                self.values.insert(listening.service.port_key().to_owned(), port.to_string());
            }
        }
    }

    /// What the process that holds the lock was started with; `None`: no process does, or it has not said so yet.
    pub(crate) fn of_running(directories: &Directories) -> anyhow::Result<Option<Self>> {
        let Holder::Process(Some(pid)) = lock::holder(&directories.lock())? else { return Ok(None) };
        let settings: Option<Self> = read(&directories.settings());
        Ok(settings.filter(|settings| is(pid, settings.pid)))
    }
}

/// Who holds the lock, and what that process says about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Claim {
    /// No process holds the lock.
    Nobody,
    /// A process holds the lock.
    Process {
        /// Its id; `None` in the instant before it has written it.
        pid: Option<u32>,
        /// What it says; `None` in its first instants.
        state: Option<ProcessState>,
    },
}

impl Claim {
    /// Looks. What an earlier process left behind is not believed.
    pub(crate) fn read(directories: &Directories) -> anyhow::Result<Self> {
        Ok(match lock::holder(&directories.lock())? {
            Holder::Nobody => Self::Nobody,
            Holder::Process(None) => Self::Process { pid: None, state: None },
            Holder::Process(Some(pid)) => {
                let state: Option<ProcessState> = read(&directories.state());
                let state = state.filter(|state| is(pid, state.pid));
                Self::Process { pid: u32::try_from(pid.as_raw_nonzero().get()).ok(), state }
            }
        })
    }
}

/// Removes what a process says about itself: at its end, and what an earlier one left behind before the next one speaks.
pub(crate) fn clear(directories: &Directories) {
    for path in [directories.state(), directories.settings()] {
        _ = fs::remove_file(path); // not there, or not believed without the lock
    }
}

fn is(pid: rustix::process::Pid, written: u32) -> bool {
    i64::from(written) == i64::from(pid.as_raw_nonzero().get())
}

fn read<T: serde::de::DeserializeOwned>(path: &Path) -> Option<T> {
    fs::read(path).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok())
}

fn write(path: &Path, content: &impl Serialize) -> io::Result<()> {
    let beside = path.with_extension("json.new");
    let mut options = fs::OpenOptions::new();
    let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
    file.write_all(&serde_json::to_vec(content)?)?;
    fs::rename(beside, path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::lock::Lock;

    #[test]
    fn what_another_process_left_behind_is_not_believed() {
        let data = tempfile::tempdir().unwrap();
        let directories = Directories::new(data.path(), None);
        directories.create().unwrap();
        let ready = Ready { services: Vec::new(), engine: "Docker".to_owned() };
        let state = ProcessState::here(Phase::Ready(ready));
        state.write(&directories).unwrap();
        let settings =
            RunningSettings { pid: state.pid, values: BTreeMap::from([("bind".to_owned(), "::1".to_owned())]) };
        settings.write(&directories).unwrap();
        assert_eq!(Claim::read(&directories).unwrap(), Claim::Nobody);
        assert_eq!(RunningSettings::of_running(&directories).unwrap(), None);

        let _lock = Lock::take(&directories.lock()).unwrap();
        assert_eq!(
            Claim::read(&directories).unwrap(),
            Claim::Process { pid: Some(state.pid), state: Some(state.clone()) }
        );
        assert_eq!(RunningSettings::of_running(&directories).unwrap(), Some(settings.clone()));

        ProcessState { pid: 1, ..state.clone() }.write(&directories).unwrap();
        RunningSettings { pid: 1, ..settings }.write(&directories).unwrap();
        assert_eq!(Claim::read(&directories).unwrap(), Claim::Process { pid: Some(state.pid), state: None });
        assert_eq!(RunningSettings::of_running(&directories).unwrap(), None);

        // the instant between taking the lock and writing the process id
        state.write(&directories).unwrap();
        fs::write(directories.lock(), "").unwrap();
        assert_eq!(Claim::read(&directories).unwrap(), Claim::Process { pid: None, state: None });
    }

    #[test]
    fn what_may_hold_a_secret_is_for_its_owner_alone() {
        use std::os::unix::fs::PermissionsExt as _;
        let data = tempfile::tempdir().unwrap();
        let directories = Directories::new(data.path(), None);
        directories.create().unwrap();
        RunningSettings { pid: 1, values: BTreeMap::new() }.write(&directories).unwrap();
        assert_eq!(fs::metadata(directories.settings()).unwrap().permissions().mode() & 0o777, 0o600);
        clear(&directories);
        assert!(!directories.settings().exists());
    }
}
