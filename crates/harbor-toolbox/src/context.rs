//! What every family of routes needs of the sandbox: the environment, home and work directory of its processes, and where
//! they are started. What a family keeps besides is its own.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use crate::environment::{Changes, Environment, apply, home_in};
use crate::process::Processes;

/// The sandbox as its processes see it, cheap to clone (one reference count).
#[derive(Clone)]
pub(crate) struct Context {
    shared: Arc<Shared>,
}

struct Shared {
    /// The environment process 1 was started with, completed with the user's identity; `configure` adds to it.
    base: Environment,
    /// The directory process 1 was started in: the image's working directory.
    started_in: PathBuf,
    surroundings: RwLock<Surroundings>,
    processes: Processes,
}

/// What `configure` and `/env` change.
#[derive(Clone)]
struct Surroundings {
    environment: Arc<Environment>,
    work_dir: PathBuf,
    /// What `/env` has changed: a value, or that there is none.
    changes: Changes,
}

impl Context {
    /// Before `configure`: the image's environment and working directory.
    pub(crate) fn new(base: Environment, started_in: PathBuf, processes: Processes) -> Self {
        let environment = Arc::new(base.clone());
        let surroundings = Surroundings { environment, work_dir: started_in.clone(), changes: Changes::new() };
        Self { shared: Arc::new(Shared { base, started_in, surroundings: RwLock::new(surroundings), processes }) }
    }

    /// Where every process of the toolbox is started.
    pub(crate) fn processes(&self) -> &Processes {
        &self.shared.processes
    }

    /// The home directory: `HOME` of the environment, or `/`.
    pub(crate) fn home(&self) -> PathBuf {
        home_in(&self.environment())
    }

    /// The directory that relative paths of every endpoint start from (contract, toolbox §4.4).
    pub(crate) fn work_dir(&self) -> PathBuf {
        self.surroundings().work_dir
    }

    /// `path` itself when absolute, else below the work dir. `~` and variables are not expanded.
    pub(crate) fn resolve(&self, path: impl AsRef<Path>) -> PathBuf {
        self.surroundings().work_dir.join(path)
    }

    /// The environment for a process started now.
    pub(crate) fn environment(&self) -> Arc<Environment> {
        self.surroundings().environment
    }

    /// One variable of the environment for a process started now.
    pub(crate) fn variable(&self, name: impl AsRef<OsStr>) -> Option<OsString> {
        self.environment().get(name.as_ref()).cloned()
    }

    /// Replaces everything an earlier `configure` set: `variables` on top of the image's environment, and the work dir.
    /// What `/env` has changed stays changed.
    pub(crate) fn configure(&self, variables: Environment, home_as_work_dir: bool, work_dir: Option<PathBuf>) {
        let mut environment = self.shared.base.clone();
        environment.extend(variables);
        let work_dir = if home_as_work_dir {
            // users such as `nobody` have one that is not there
            Some(home_in(&environment)).filter(|home| home.is_dir()).unwrap_or_else(|| PathBuf::from("/"))
        } else if let Some(named) = work_dir {
            // as the engine does; one that cannot be made is missed by whatever is started there
            let _made = std::fs::create_dir_all(&named);
            Some(named).filter(|named| named.is_dir()).unwrap_or_else(|| PathBuf::from("/"))
        } else {
            self.shared.started_in.clone()
        };
        let mut surroundings = self.shared.surroundings.write().unwrap_or_else(PoisonError::into_inner);
        apply(&mut environment, &surroundings.changes);
        (surroundings.environment, surroundings.work_dir) = (Arc::new(environment), work_dir);
    }

    /// Changes the environment of processes started from now on.
    pub(crate) fn change_environment(&self, changes: Changes) {
        let mut surroundings = self.shared.surroundings.write().unwrap_or_else(PoisonError::into_inner);
        apply(Arc::make_mut(&mut surroundings.environment), &changes);
        surroundings.changes.extend(changes);
    }

    fn surroundings(&self) -> Surroundings {
        self.shared.surroundings.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
