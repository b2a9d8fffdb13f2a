//! The environment of processes, and changes to it.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

/// The environment handed to a process, name to value; explicit because it changes while the toolbox runs.
pub(crate) type Environment = BTreeMap<OsString, OsString>;

/// Changes of an environment: values to set, and names to remove.
pub(crate) type Changes = BTreeMap<OsString, Option<OsString>>;

/// Carries `changes` out.
pub(crate) fn apply(environment: &mut Environment, changes: &Changes) {
    for (name, value) in changes {
        match value {
            Some(value) => environment.insert(name.clone(), value.clone()),
            None => environment.remove(name),
        };
    }
}

/// `HOME` of an environment, or `/`.
pub(crate) fn home_in(environment: &Environment) -> PathBuf {
    environment
        .get(OsStr::new("HOME"))
        .filter(|home| !home.is_empty())
        .map_or_else(|| PathBuf::from("/"), PathBuf::from)
}
