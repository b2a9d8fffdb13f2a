//! What a process can afford: its open files, divided.

use std::io;
use std::sync::Arc;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::bodies::BodyBudget;
use crate::slots::ConnectionSlots;

/// Fewer open files are no basis to start on.
const FEWEST_OPEN_FILES: u64 = 512;

/// Open files that no connection of a client may take: the engine's, the database's, those of dials on their way,
/// listeners and logs.
const RESERVED: u64 = 256;

/// More connections are not held, however many files may be open.
const MOST_CONNECTIONS: u64 = 8192;

/// What all listeners of a process share. Clones are the same budget.
#[derive(Clone)]
pub struct Budget {
    pub(crate) slots: Arc<ConnectionSlots>,
    bodies: BodyBudget,
    connections: usize,
}

/// The process may not open enough files to serve anybody.
#[derive(Debug, thiserror::Error)]
pub enum TooFewOpenFiles {
    /// The limit that cannot be exceeded is too low.
    #[error(
        "this process may have {0} files open and harbor needs {FEWEST_OPEN_FILES}: raise the hard limit, for example \
         with `ulimit -Hn 65536`, or LimitNOFILE in a systemd unit"
    )]
    Limited(u64),
    /// The limit cannot be raised to what is allowed.
    #[error("the limit of open files cannot be raised")]
    Denied(#[source] io::Error),
}

impl Budget {
    /// What this process can afford, once its limit of open files is raised as far as it may be.
    pub fn of_process() -> Result<Self, TooFewOpenFiles> {
        let limit = getrlimit(Resource::Nofile);
        if limit.current != limit.maximum {
            let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
            setrlimit(Resource::Nofile, raised).map_err(|error| TooFewOpenFiles::Denied(error.into()))?;
        }
        Self::of_open_files(limit.maximum.unwrap_or(u64::MAX))
    }

    /// What a process can afford that may have `limit` files open.
    ///
    /// A client's connection may need another one into a sandbox, and for every four of them one into a sandbox may be
    /// kept idle.
    pub fn of_open_files(limit: u64) -> Result<Self, TooFewOpenFiles> {
        if limit < FEWEST_OPEN_FILES {
            return Err(TooFewOpenFiles::Limited(limit));
        }
        let connections = ((limit - RESERVED) / 9).saturating_mul(4).min(MOST_CONNECTIONS);
        let connections = usize::try_from(connections).unwrap_or(usize::MAX);
        Ok(Self { slots: Arc::new(ConnectionSlots::new(connections)), bodies: BodyBudget::default(), connections })
    }

    /// Whether more open files would let it hold more connections.
    pub fn is_short(&self) -> bool {
        (self.connections as u64) < MOST_CONNECTIONS
    }

    /// Connections of clients at a time.
    pub fn connections(&self) -> usize {
        self.connections
    }

    /// Connections into sandboxes that may be kept idle.
    pub fn idle_connections(&self) -> usize {
        self.connections / 4
    }

    /// Tunnels at a time. They last as long as their clients like and never make room, so that half of the connections
    /// are left for requests.
    pub fn tunnels(&self) -> usize {
        self.connections / 2
    }

    /// The bytes that collected bodies may hold.
    pub fn bodies(&self) -> &BodyBudget {
        &self.bodies
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_files_left_for_everything_else() {
        for limit in [512, 1024, 4096, 20_000, 1 << 20, u64::MAX] {
            let budget = Budget::of_open_files(limit).unwrap();
            let most = 2 * budget.connections() + budget.idle_connections();
            assert!(most as u64 <= limit - RESERVED, "{limit}: {most}");
            assert!(budget.connections() >= 100, "{limit}");
            assert_eq!(budget.is_short(), limit <= 4096, "{limit}");
            assert!(budget.tunnels() >= 50 && budget.tunnels() <= budget.connections() / 2, "{limit}");
        }
        assert!(Budget::of_open_files(511).is_err());
    }

    #[test]
    fn the_limit_is_raised_as_far_as_it_may_be() {
        Budget::of_process().unwrap();
        let limit = getrlimit(Resource::Nofile);
        assert_eq!(limit.current, limit.maximum);
    }
}
