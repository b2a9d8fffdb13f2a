//! What every handler shares: who the sandbox is, where it works, and the environment of the processes it starts.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use crate::process::Processes;
use crate::pty::Terminals;
use crate::sessions::Sessions;
use crate::system::Meter;

/// The environment handed to a process, name to value; explicit because it changes while the toolbox runs.
pub(crate) type Environment = BTreeMap<OsString, OsString>;

/// State of the toolbox, cheap to clone (one reference count).
#[derive(Clone)]
pub(crate) struct Context {
    shared: Arc<Shared>,
}

struct Shared {
    /// The environment process 1 was started with, completed with the user's identity; `configure` adds to it.
    base: Environment,
    /// The directory process 1 was started in: the image's working directory.
    started_in: PathBuf,
    place: RwLock<Place>,
    processes: Processes,
    sessions: Sessions,
    terminals: Terminals,
    meter: Meter,
}

/// What `configure` and `/env` change.
#[derive(Clone)]
struct Place {
    environment: Arc<Environment>,
    work_dir: PathBuf,
    /// What `/env` has changed: a value, or that there is none.
    changes: Changes,
}

/// Changes of an environment: values to set, and names to remove.
pub(crate) type Changes = BTreeMap<OsString, Option<OsString>>;

impl Context {
    /// State before `configure`: the image's environment and working directory.
    pub(crate) fn new(base: Environment, started_in: PathBuf, processes: Processes) -> Self {
        let environment = Arc::new(base.clone());
        let place = Place { environment, work_dir: started_in.clone(), changes: Changes::new() };
        Self {
            shared: Arc::new(Shared {
                base,
                started_in,
                place: RwLock::new(place),
                processes,
                sessions: Sessions::default(),
                terminals: Terminals::default(),
                meter: Meter::default(),
            }),
        }
    }

    /// Where every process of the toolbox is started.
    pub(crate) fn processes(&self) -> &Processes {
        &self.shared.processes
    }

    /// The sandbox's sessions.
    pub(crate) fn sessions(&self) -> &Sessions {
        &self.shared.sessions
    }

    /// The sandbox's terminals.
    pub(crate) fn terminals(&self) -> &Terminals {
        &self.shared.terminals
    }

    /// Measures what the sandbox uses.
    pub(crate) fn meter(&self) -> &Meter {
        &self.shared.meter
    }

    /// The home directory: `HOME` of the environment, or `/`.
    pub(crate) fn home(&self) -> PathBuf {
        home_in(&self.environment())
    }

    /// The directory that relative paths of every endpoint start from (contract, toolbox §4.4).
    pub(crate) fn work_dir(&self) -> PathBuf {
        self.place().work_dir
    }

    /// `path` itself when absolute, else below the work dir. `~` and variables are not expanded.
    pub(crate) fn resolve(&self, path: impl AsRef<Path>) -> PathBuf {
        self.place().work_dir.join(path)
    }

    /// The environment for a process started now.
    pub(crate) fn environment(&self) -> Arc<Environment> {
        self.place().environment
    }

    /// One variable of the environment for a process started now.
    pub(crate) fn variable(&self, name: impl AsRef<OsStr>) -> Option<OsString> {
        self.environment().get(name.as_ref()).cloned()
    }

    /// Replaces everything an earlier `configure` set: `variables` on top of the image's environment, and the work dir.
    /// What `/env` has changed stays changed.
    pub(crate) fn configure(&self, variables: Environment, home_as_work_dir: bool) {
        let mut environment = self.shared.base.clone();
        environment.extend(variables);
        let work_dir = if home_as_work_dir { home_in(&environment) } else { self.shared.started_in.clone() };
        let mut place = self.shared.place.write().unwrap_or_else(PoisonError::into_inner);
        apply(&mut environment, &place.changes);
        (place.environment, place.work_dir) = (Arc::new(environment), work_dir);
    }

    /// Changes the environment of processes started from now on.
    pub(crate) fn change_environment(&self, changes: Changes) {
        let mut place = self.shared.place.write().unwrap_or_else(PoisonError::into_inner);
        apply(Arc::make_mut(&mut place.environment), &changes);
        place.changes.extend(changes);
    }

    fn place(&self) -> Place {
        self.shared.place.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn apply(environment: &mut Environment, changes: &Changes) {
    for (name, value) in changes {
        match value {
            Some(value) => environment.insert(name.clone(), value.clone()),
            None => environment.remove(name),
        };
    }
}

fn home_in(environment: &Environment) -> PathBuf {
    environment
        .get(OsStr::new("HOME"))
        .filter(|home| !home.is_empty())
        .map_or_else(|| PathBuf::from("/"), PathBuf::from)
}
