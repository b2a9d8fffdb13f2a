//! Intent, observation and the step between them.

use crate::ids::ContainerId;

/// What the owner of a sandbox wants of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Desired {
    /// It should run.
    Started,
    /// Its processes should end; its files stay.
    Stopped,
    /// It should be gone, files and all.
    Destroyed,
}

impl Desired {
    /// The contract's word (contract, control-plane §5.2).
    pub const fn word(self) -> &'static str {
        match self {
            Self::Started => "started",
            Self::Stopped => "stopped",
            Self::Destroyed => "destroyed",
        }
    }

    /// The intent with this word.
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Started, Self::Stopped, Self::Destroyed].into_iter().find(|desired| desired.word() == word)
    }
}

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
    },
    /// Its container was removed by somebody else, and its files with it.
    Lost,
    /// harbor has removed everything of it.
    Removed,
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
pub fn observe(desired: Desired, before: &Seen, found: &Found) -> Seen {
    match &found.sandbox {
        None => match before {
            Seen::Absent | Seen::Made { .. } => Seen::Absent,
            Seen::Removed => Seen::Removed,
            Seen::Running { .. } | Seen::Exited { .. } | Seen::Lost => Seen::Lost,
        },
        Some(FoundSandbox::Made(container)) => Seen::Made { container: container.clone() },
        Some(FoundSandbox::Running { container, boot, connected }) => Seen::Running {
            container: container.clone(),
            boot: boot.clone(),
            configured: matches!(before, Seen::Running { boot: earlier, configured: true, .. } if earlier == boot),
            connected: *connected,
        },
        Some(FoundSandbox::Exited { container, code, connected }) => Seen::Exited {
            container: container.clone(),
            code: *code,
            asked: desired == Desired::Stopped || matches!(before, Seen::Exited { asked: true, .. }),
            connected: *connected,
        },
    }
}

/// The one thing to do next for a sandbox. Each is idempotent: doing it again after a crash does no harm.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing: intent and observation agree.
    Settled,
    /// Make its containers.
    Create,
    /// Start its infra container and then this one.
    Start(ContainerId),
    /// Tell its toolbox token and environment.
    Configure(ContainerId),
    /// Make its containers anew from the writable layer of this one, whose infra container is gone.
    Remake(ContainerId),
    /// End this container's processes.
    Stop(ContainerId),
    /// Remove its containers and all that harbor holds of it.
    Remove,
    /// It ended on its own: take that as what is wanted, or as a failure.
    Accept(Ending),
}

impl Step {
    /// A short word for logs.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Settled => "settled",
            Self::Create => "create",
            Self::Start(_) => "start",
            Self::Configure(_) => "configure",
            Self::Remake(_) => "remake",
            Self::Stop(_) => "stop",
            Self::Remove => "remove",
            Self::Accept(_) => "accept",
        }
    }
}

/// How a sandbox ended without being asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// As after a stop: exit codes 0, 137, 143 and 255 (contract, edges §7.2).
    Stopped,
    /// With this exit code.
    Failed(i64),
    /// Its container was removed.
    Lost,
    /// Its network keeper ended or was restarted under it; it still runs and must be stopped.
    Disconnected,
}

impl Ending {
    /// What this exit code of process 1 means.
    pub const fn of(code: i64) -> Self {
        match code {
            0 | 137 | 143 | 255 => Self::Stopped,
            code => Self::Failed(code),
        }
    }
}

/// The step from what is seen to what is desired. A sandbox with a failure takes none until it is to be destroyed:
/// the caller asks only then.
pub fn next_step(desired: Desired, seen: &Seen) -> Step {
    use {Desired as D, Seen as S};
    match (desired, seen) {
        (D::Destroyed, S::Removed) => Step::Settled,
        (D::Destroyed, S::Absent | S::Made { .. } | S::Running { .. } | S::Exited { .. } | S::Lost) => Step::Remove,
        (D::Started | D::Stopped, S::Removed) => Step::Settled,
        (D::Started | D::Stopped, S::Lost) => Step::Accept(Ending::Lost),

        (D::Started, S::Absent) => Step::Create,
        (D::Started, S::Made { container }) => Step::Start(container.clone()),
        (D::Started, S::Running { connected: false, .. }) => Step::Accept(Ending::Disconnected),
        (D::Started, S::Running { container, configured: false, .. }) => Step::Configure(container.clone()),
        (D::Started, S::Running { configured: true, connected: true, .. }) => Step::Settled,
        (D::Started, S::Exited { container, asked: true, connected: true, .. }) => Step::Start(container.clone()),
        (D::Started, S::Exited { container, asked: true, connected: false, .. }) => Step::Remake(container.clone()),
        // it died on its own: the contract says stopped or error, never a silent restart
        (D::Started, S::Exited { code, asked: false, .. }) => Step::Accept(Ending::of(*code)),

        (D::Stopped, S::Running { container, .. }) => Step::Stop(container.clone()),
        (D::Stopped, S::Absent | S::Made { .. } | S::Exited { .. }) => Step::Settled,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn container() -> ContainerId {
        ContainerId::new("c")
    }

    fn any_desired() -> impl Strategy<Value = Desired> {
        prop_oneof![Just(Desired::Started), Just(Desired::Stopped), Just(Desired::Destroyed)]
    }

    fn any_seen() -> impl Strategy<Value = Seen> {
        prop_oneof![
            Just(Seen::Absent),
            Just(Seen::Made { container: container() }),
            (any::<bool>(), any::<bool>()).prop_map(|(configured, connected)| Seen::Running {
                container: container(),
                boot: Boot("1".into()),
                configured,
                connected
            }),
            (prop_oneof![Just(0), Just(1), Just(137)], any::<bool>(), any::<bool>())
                .prop_map(|(code, asked, connected)| Seen::Exited { container: container(), code, asked, connected }),
            Just(Seen::Lost),
            Just(Seen::Removed),
        ]
    }

    /// A perfect engine and worker: what a step leads to, with what the worker records of it.
    fn pretend(step: &Step, desired: Desired, seen: Seen) -> (Desired, Seen, bool) {
        let boot = Boot("2".into());
        match step {
            Step::Settled => (desired, seen, false),
            Step::Create | Step::Remake(_) => (desired, Seen::Made { container: container() }, false),
            Step::Start(container) => {
                let container = container.clone();
                (desired, Seen::Running { container, boot, configured: false, connected: true }, false)
            }
            Step::Configure(container) => {
                let container = container.clone();
                (desired, Seen::Running { container, boot, configured: true, connected: true }, false)
            }
            Step::Stop(container) => {
                let container = container.clone();
                (desired, Seen::Exited { container, code: 143, asked: true, connected: true }, false)
            }
            Step::Remove => (desired, Seen::Removed, false),
            Step::Accept(Ending::Disconnected) => (Desired::Stopped, seen, false),
            Step::Accept(Ending::Stopped) => {
                let ended = Seen::Exited { container: container(), code: 137, asked: true, connected: false };
                (Desired::Stopped, ended, false)
            }
            Step::Accept(Ending::Failed(_) | Ending::Lost) => (desired, seen, true),
        }
    }

    proptest! {
        #[test]
        fn every_sandbox_settles_within_four_steps(mut desired in any_desired(), mut seen in any_seen()) {
            for _ in 0..4 {
                let failed;
                (desired, seen, failed) = pretend(&next_step(desired, &seen), desired, seen);
                if failed { return Ok(()); }
            }
            prop_assert_eq!(next_step(desired, &seen), Step::Settled);
        }

        #[test]
        fn nothing_starts_that_was_not_asked_to(seen in any_seen()) {
            for desired in [Desired::Stopped, Desired::Destroyed] {
                prop_assert!(!matches!(next_step(desired, &seen), Step::Create | Step::Start(_) | Step::Remake(_)));
            }
            if let Seen::Exited { asked: false, .. } | Seen::Lost = seen {
                prop_assert!(matches!(next_step(Desired::Started, &seen), Step::Accept(_)));
            }
        }

        #[test]
        fn looking_twice_sees_the_same(desired in any_desired(), before in any_seen(), running in any::<bool>()) {
            let found = Found { sandbox: running.then(|| FoundSandbox::Running {
                container: container(), boot: Boot("1".into()), connected: true }) };
            let once = observe(desired, &before, &found);
            prop_assert_eq!(observe(desired, &once, &found), once);
        }
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
