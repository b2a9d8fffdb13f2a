//! What was seen of a sandbox on the engine.

use super::Desired;
use crate::ids::ContainerId;

/// One run of a container's process 1: the engine's start time, opaque. Another boot is another toolbox process,
/// which has to be configured anew.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Boot(pub String);

/// What was last seen of a sandbox on the engine.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Seen {
    /// It has no container, and never had one that ran.
    Absent,
    /// Its container was made and has not run yet.
    Made {
        /// The sandbox container.
        container: ContainerId,
    },
    /// Its container runs.
    Running {
        /// The sandbox container.
        container: ContainerId,
        /// Which run of it.
        boot: Boot,
        /// Whether its toolbox has been told token and environment in this run.
        configured: bool,
        /// Whether the infra container that it joined still runs; without it the sandbox has no network.
        connected: bool,
    },
    /// Its container's processes are frozen.
    Frozen {
        /// The sandbox container.
        container: ContainerId,
        /// Which run of it.
        boot: Boot,
        /// As for one that runs.
        configured: bool,
        /// As for one that runs.
        connected: bool,
        /// Whether its owner wanted that.
        asked: bool,
    },
    /// It was stopped and sleeps: nothing but process 1 is left in its container, and that is frozen (design D15).
    Asleep {
        /// The sandbox container.
        container: ContainerId,
        /// Which run of it.
        boot: Boot,
        /// As for one that runs.
        connected: bool,
    },
    /// Its container ended.
    Exited {
        /// The sandbox container.
        container: ContainerId,
        /// Exit code of process 1.
        code: i64,
        /// Whether its owner wanted that.
        asked: bool,
        /// Whether the infra container that it is bound to still exists; without it it cannot start.
        connected: bool,
        /// Whether it is to sleep: it slept, or ran, and was ended by somebody else, as by a restart of the engine.
        to_sleep: bool,
    },
    /// It has no container: its files are stored, or it never wrote any.
    Archived {
        /// Whether what else it had on the engine was removed.
        evicted: bool,
    },
    /// Its container was removed by somebody else, and its files with it.
    Lost,
    /// harbor has removed everything of it.
    Removed,
}

impl Seen {
    /// The run of its container, while it runs, is frozen or sleeps.
    pub const fn boot(&self) -> Option<&Boot> {
        match self {
            Self::Running { boot, .. } | Self::Frozen { boot, .. } | Self::Asleep { boot, .. } => Some(boot),
            Self::Absent
            | Self::Made { .. }
            | Self::Exited { .. }
            | Self::Archived { .. }
            | Self::Lost
            | Self::Removed => None,
        }
    }

    /// Whether there may be processes of its user in it, frozen or not.
    pub(super) const fn has_processes(&self) -> bool {
        matches!(self, Self::Running { .. } | Self::Frozen { .. })
    }

    /// Whether its toolbox was told token and environment in this run.
    fn configured_in(&self, boot: &Boot) -> bool {
        match self {
            Self::Running { boot: earlier, configured, .. } | Self::Frozen { boot: earlier, configured, .. } => {
                *configured && earlier == boot
            }
            Self::Absent
            | Self::Made { .. }
            | Self::Asleep { .. }
            | Self::Exited { .. }
            | Self::Archived { .. }
            | Self::Lost
            | Self::Removed => false,
        }
    }
}

/// What the engine holds of a sandbox at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The sandbox container, if there is one.
    pub sandbox: Option<FoundSandbox>,
}

/// A sandbox container as found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FoundSandbox {
    /// Made, never started.
    Made(ContainerId),
    /// Runs.
    Running {
        /// The container.
        container: ContainerId,
        /// Which run of it.
        boot: Boot,
        /// Its infra container runs, and has since before this boot.
        connected: bool,
    },
    /// Frozen.
    Frozen {
        /// The container.
        container: ContainerId,
        /// Which run of it.
        boot: Boot,
        /// As for one that runs.
        connected: bool,
    },
    /// Ended.
    Exited {
        /// The container.
        container: ContainerId,
        /// Exit code of process 1.
        code: i64,
        /// Its infra container exists.
        connected: bool,
    },
}

/// What is seen now, given what was seen before and what the engine holds.
///
/// `asked` survives only for a container that had ended on request; `configured` only within one boot.
pub(super) fn observe(desired: Desired, before: &Seen, found: &Found) -> Seen {
    match &found.sandbox {
        None => match before {
            Seen::Absent | Seen::Made { .. } => Seen::Absent,
            Seen::Archived { evicted } => Seen::Archived { evicted: *evicted },
            Seen::Removed => Seen::Removed,
            Seen::Running { .. } | Seen::Frozen { .. } | Seen::Asleep { .. } | Seen::Exited { .. } | Seen::Lost => {
                Seen::Lost
            }
        },
        Some(FoundSandbox::Made(container)) => Seen::Made { container: container.clone() },
        Some(FoundSandbox::Running { container, boot, connected }) => Seen::Running {
            container: container.clone(),
            boot: boot.clone(),
            configured: before.configured_in(boot),
            connected: *connected,
        },
        Some(FoundSandbox::Frozen { container, boot, connected }) if matches!(before, Seen::Asleep { boot: asleep, .. } if asleep == boot) => {
            Seen::Asleep { container: container.clone(), boot: boot.clone(), connected: *connected }
        }
        Some(FoundSandbox::Frozen { container, boot, connected }) => Seen::Frozen {
            container: container.clone(),
            boot: boot.clone(),
            configured: before.configured_in(boot),
            connected: *connected,
            asked: desired == Desired::Paused || matches!(before, Seen::Frozen { asked: true, .. }),
        },
        Some(FoundSandbox::Exited { container, code, connected }) => Seen::Exited {
            container: container.clone(),
            code: *code,
            asked: desired == Desired::Stopped
                || matches!(before, Seen::Exited { asked: true, .. } | Seen::Asleep { .. } | Seen::Archived { .. })
                // it was to be ended, to begin anew, whoever ended it
                || matches!(before, Seen::Frozen { asked: true, connected: false, .. }),
            connected: *connected,
            to_sleep: matches!(before, Seen::Asleep { .. } | Seen::Exited { to_sleep: true, .. }),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn container() -> ContainerId {
        ContainerId::new("c")
    }

    #[test]
    fn another_boot_must_be_configured_again() {
        let running = |boot: &str, configured| Seen::Running {
            container: container(),
            boot: Boot(boot.into()),
            configured,
            connected: true,
        };
        let found = Found {
            sandbox: Some(FoundSandbox::Running { container: container(), boot: Boot("b".into()), connected: true }),
        };
        assert_eq!(observe(Desired::Started, &running("b", true), &found), running("b", true));
        assert_eq!(observe(Desired::Started, &running("a", true), &found), running("b", false));
    }

    #[test]
    fn a_death_is_not_a_stop() {
        let before =
            Seen::Running { container: container(), boot: Boot("a".into()), configured: true, connected: true };
        let found = Found { sandbox: Some(FoundSandbox::Exited { container: container(), code: 1, connected: true }) };
        let asked =
            |desired, before: &Seen| matches!(observe(desired, before, &found), Seen::Exited { asked: true, .. });
        assert!(!asked(Desired::Started, &before));
        assert!(asked(Desired::Stopped, &before));
        // a start was asked of a stopped one, and has not happened yet
        let stopped = observe(Desired::Stopped, &before, &found);
        assert!(asked(Desired::Started, &stopped));
    }
}
