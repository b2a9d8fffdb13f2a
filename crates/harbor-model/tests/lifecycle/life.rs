//! A sandbox, an engine that does what it is told, and what happens to both.

use std::collections::HashMap;
use std::time::Duration;

use harbor_model::Timestamp;
use harbor_model::ids::{ContainerId, LayerId, OrganizationId, RegionId, SandboxId, SnapshotId};
use harbor_model::layers::Layer;
use harbor_model::resources::Resources;
use harbor_model::sandboxes::{
    Boot, CopyPurpose, Desired, Effect, Files, Found, FoundSandbox, Generation, Network, Operation, Origin, Outcome,
    Sandbox, SandboxEvent, Seen, Settings, Step, allowed, events,
};
use harbor_model::secrets::Secret;
use proptest::prelude::*;

pub(crate) fn now() -> Timestamp {
    Timestamp::from_unix_timestamp(1_700_000_000).unwrap()
}

pub(crate) fn sandbox(ephemeral: bool) -> Sandbox {
    let id = SandboxId::random();
    Sandbox {
        id,
        organization: OrganizationId::random(),
        name: "mine".parse().unwrap(),
        origin: Origin {
            snapshot: "s".to_owned(),
            image: "i".to_owned(),
            build: None,
            entrypoint: None,
            user: "daytona".to_owned(),
            env: std::collections::BTreeMap::new(),
            mounts: Vec::new(),
            target: RegionId::new("us"),
        },
        resources: Resources::DEFAULT,
        resize_to: None,
        files: Files::default(),
        settings: Settings {
            labels: std::collections::BTreeMap::new(),
            public: false,
            auto_stop_minutes: 15,
            auto_pause_minutes: 0,
            auto_archive_minutes: 10_080,
            auto_delete_minutes: ephemeral.then_some(0),
            network: Network::default(),
        },
        preview_token: Secret::new("p"),
        toolbox_token: Secret::new("t"),
        desired: Desired::Started,
        force: false,
        seen: Seen::Absent,
        failure: None,
        note: None,
        toolbox_version: None,
        started_once: false,
        generation: Generation::default(),
        created_at: now(),
        updated_at: now(),
        last_activity_at: now(),
        linked: None,
        warm_pool: None,
        destroy_at: None,
    }
}

/// An engine that does what it is told, to which things happen.
#[derive(Default)]
pub(crate) struct Engine {
    pub(crate) sandbox: Option<FoundSandbox>,
    pub(crate) boots: u32,
    /// Whether what is stopped sleeps.
    pub(crate) sleeps: bool,
    /// How often something ran since the sandbox was made, in what there is of it on the engine, and in what is stored.
    pub(crate) written: u32,
    pub(crate) stored: HashMap<LayerId, u32>,
}

impl Engine {
    pub(crate) fn find(&self) -> Found {
        Found { sandbox: self.sandbox.clone() }
    }

    /// Takes a step; `None`: there was nothing to do.
    pub(crate) fn take(&mut self, sandbox: &Sandbox) -> Option<Outcome> {
        let made = ContainerId::new("c");
        let step = &sandbox.next_step();
        Some(match step {
            Step::Settled => return None,
            Step::Create => {
                self.written = sandbox.filling().map_or(0, |layer| self.stored[&layer.id]);
                self.sandbox = Some(FoundSandbox::Made(made.clone()));
                Outcome::Made(made)
            }
            Step::Copy(_) => {
                let id = sandbox.files.copying.as_ref().unwrap().layer;
                self.stored.insert(id, self.written);
                if sandbox.desired == Desired::Started {
                    self.freeze(false);
                }
                Outcome::Copied(layer(id))
            }
            Step::Evict => {
                let stored = sandbox.files.backup.as_ref().map(|backup| self.stored[&backup.layer.id]);
                let had = self.sandbox.is_some() && self.boots > 0;
                assert!(!had || stored == Some(self.written), "files are removed that are not stored");
                self.sandbox = None;
                Outcome::Evicted
            }
            Step::Remake(_) => {
                self.sandbox = Some(FoundSandbox::Made(made.clone()));
                Outcome::Made(made)
            }
            Step::Start(container) if matches!(self.sandbox, Some(FoundSandbox::Frozen { .. })) => {
                self.freeze(false);
                self.written += 1;
                match self.find().sandbox {
                    Some(FoundSandbox::Running { boot, .. }) => Outcome::Started(container.clone(), boot),
                    _ => Outcome::Found(self.find()),
                }
            }
            Step::Start(container) => {
                self.boots += 1;
                self.written += 1;
                let (container, boot) = (container.clone(), Boot(self.boots.to_string()));
                self.sandbox =
                    Some(FoundSandbox::Running { container: container.clone(), boot: boot.clone(), connected: true });
                Outcome::Started(container, boot)
            }
            Step::Configure(_) => Outcome::Configured { version: "1".to_owned(), at: now() },
            Step::Resume(_) | Step::Pause(_) => {
                let frozen = matches!(step, Step::Pause(_));
                self.freeze(frozen);
                match self.find().sandbox {
                    Some(FoundSandbox::Running { container, boot, .. }) => Outcome::Started(container, boot),
                    _ => Outcome::Found(self.find()),
                }
            }
            Step::Resize(_) => Outcome::Resized,
            Step::Stop(_) if self.sleeps && matches!(sandbox.seen, Seen::Running { connected: true, .. }) => {
                self.freeze(true);
                match self.sandbox {
                    Some(FoundSandbox::Frozen { .. }) => Outcome::Slept,
                    _ => Outcome::Found(self.find()),
                }
            }
            Step::Stop(container) => {
                self.exit(container.clone(), 143);
                Outcome::Found(self.find())
            }
            // as often as not
            Step::Doze(_) if self.sleeps => {
                self.boots += 1;
                let boot = Boot(self.boots.to_string());
                self.sandbox = Some(FoundSandbox::Frozen { container: made, boot: boot.clone(), connected: true });
                Outcome::Dozed(boot)
            }
            Step::Doze(_) => Outcome::StaysStopped,
            Step::Remove => {
                self.sandbox = None;
                Outcome::Removed
            }
            Step::Accept(_) => Outcome::Accepted,
        })
    }

    pub(crate) fn exit(&mut self, container: ContainerId, code: i64) {
        self.sandbox = Some(FoundSandbox::Exited { container, code, connected: true });
    }

    /// Freezes what runs, or lets what is frozen go on.
    pub(crate) fn freeze(&mut self, frozen: bool) {
        use FoundSandbox as F;
        self.sandbox = self.sandbox.take().map(|found| match found {
            F::Running { container, boot, connected } if frozen => F::Frozen { container, boot, connected },
            F::Frozen { container, boot, connected } if !frozen => F::Running { container, boot, connected },
            other => other,
        });
    }

    /// Something happens that nobody asked harbor for.
    pub(crate) fn suffer(&mut self, event: Foreign) {
        if matches!(event, Foreign::Frozen | Foreign::Thawed) {
            return self.freeze(matches!(event, Foreign::Frozen));
        }
        match (event, self.sandbox.take()) {
            (Foreign::Removed, _) => {}
            (
                Foreign::Died(code),
                Some(FoundSandbox::Running { container, .. } | FoundSandbox::Frozen { container, .. }),
            ) => self.exit(container, code),
            (Foreign::InfraLost, Some(FoundSandbox::Running { container, boot, .. })) => {
                self.sandbox = Some(FoundSandbox::Running { container, boot, connected: false });
            }
            (Foreign::InfraLost, Some(FoundSandbox::Frozen { container, boot, .. })) => {
                self.sandbox = Some(FoundSandbox::Frozen { container, boot, connected: false });
            }
            (Foreign::InfraLost, Some(FoundSandbox::Exited { container, code, .. })) => {
                self.sandbox = Some(FoundSandbox::Exited { container, code, connected: false });
            }
            (_, untouched) => self.sandbox = untouched,
        }
    }
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Foreign {
    Died(i64),
    Frozen,
    Thawed,
    InfraLost,
    Removed,
}

pub(crate) fn layer(id: LayerId) -> Layer {
    Layer { id, image: "i".to_owned(), digest: "d".to_owned(), bytes: 1 }
}

/// What happens to a sandbox, in any order.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Action {
    Start,
    Stop {
        force: bool,
    },
    Pause,
    Resize(u32),
    Archive,
    Copy(CopyPurpose),
    Recover {
        start: bool,
    },
    Delete,
    /// From now on what is stopped sleeps.
    Sleepy,
    /// The files of what does not sleep are stored.
    Store,
    Step,
    Look,
    Foreign(Foreign),
    FailedForGood,
    /// Nobody uses it for so many minutes.
    Time(u32),
}

pub(crate) fn any_action() -> impl Strategy<Value = Action> {
    let foreign = prop_oneof![
        prop_oneof![Just(0), Just(1), Just(137)].prop_map(Foreign::Died),
        Just(Foreign::Frozen),
        Just(Foreign::Thawed),
        Just(Foreign::InfraLost),
        Just(Foreign::Removed),
    ];
    prop_oneof![
        2 => Just(Action::Start),
        2 => any::<bool>().prop_map(|force| Action::Stop { force }),
        2 => Just(Action::Pause),
        2 => (1u32..9).prop_map(Action::Resize),
        2 => Just(Action::Archive),
        2 => prop_oneof![
            Just(CopyPurpose::Backup),
            Just(CopyPurpose::Fork(SandboxId::random())),
            Just(CopyPurpose::Snapshot(SnapshotId::random())),
        ]
        .prop_map(Action::Copy),
        1 => any::<bool>().prop_map(|start| Action::Recover { start }),
        1 => Just(Action::Delete),
        1 => Just(Action::Sleepy),
        2 => Just(Action::Store),
        8 => Just(Action::Step),
        2 => Just(Action::Look),
        2 => foreign.prop_map(Action::Foreign),
        1 => Just(Action::FailedForGood),
        2 => (0u32..40).prop_map(Action::Time),
    ]
}

/// A sandbox, its engine, what listeners were told, and what time it is.
pub(crate) struct Life {
    pub(crate) sandbox: Sandbox,
    pub(crate) engine: Engine,
    pub(crate) told: Vec<SandboxEvent>,
    pub(crate) now: Timestamp,
}

impl Life {
    pub(crate) fn new(ephemeral: bool) -> Self {
        let sandbox = sandbox(ephemeral);
        let told = events(None, &sandbox);
        Self { sandbox, engine: Engine::default(), told, now: now() }
    }

    pub(crate) fn after(ephemeral: bool, actions: Vec<Action>) -> Self {
        let mut life = Self::new(ephemeral);
        for action in actions {
            life.act(action);
        }
        life
    }

    pub(crate) fn change(&mut self, change: impl FnOnce(&mut Sandbox)) {
        let before = self.sandbox.clone();
        change(&mut self.sandbox);
        self.sandbox.end_copy(self.now);
        if self.sandbox != before {
            self.sandbox.note_change(&before, self.now);
        }
        self.told.extend(events(Some(&before), &self.sandbox));
    }

    pub(crate) fn ask(&mut self, operation: Operation, change: impl FnOnce(&mut Sandbox)) {
        if allowed(operation, &self.sandbox, self.now) == Ok(Effect::Change) {
            self.change(change);
        }
    }

    /// Answers whether there was something to do.
    pub(crate) fn step(&mut self) -> bool {
        let outcome = self.engine.take(&self.sandbox);
        outcome.map(|outcome| self.change(|sandbox| sandbox.record(outcome))).is_some()
    }

    pub(crate) fn look(&mut self) {
        if self.sandbox.seen != Seen::Removed {
            let found = self.engine.find();
            // what somebody let run may write
            let runs = matches!(found.sandbox, Some(FoundSandbox::Running { .. }));
            self.engine.written += u32::from(runs && !matches!(self.sandbox.seen, Seen::Running { .. }));
            self.change(|sandbox| sandbox.record(Outcome::Found(found)));
        }
    }

    pub(crate) fn act(&mut self, action: Action) {
        let now = self.now;
        match action {
            Action::Start => self.ask(Operation::Start, |sandbox| sandbox.want_started(Secret::new("n"), now)),
            Action::Stop { force } => self.ask(Operation::Stop, |sandbox| sandbox.want_stopped(force, now)),
            Action::Resize(cpu) => {
                let to = Resources { cpu, ..self.sandbox.resources };
                self.ask(Operation::Resize, |sandbox| sandbox.want_resized(to));
            }
            Action::Pause => self.ask(Operation::Pause, |sandbox| sandbox.want_paused(now)),
            Action::Archive => {
                self.ask(Operation::Archive, |sandbox| sandbox.want_archived(LayerId::random(), now));
            }
            Action::Copy(purpose) => {
                let operation = match purpose {
                    CopyPurpose::Backup | CopyPurpose::Stopped | CopyPurpose::Archive => Operation::Backup,
                    CopyPurpose::Fork(_) => Operation::Fork,
                    CopyPurpose::Snapshot(_) => Operation::Snapshot,
                };
                self.ask(operation, |sandbox| sandbox.want_copied(LayerId::random(), purpose));
            }
            Action::Recover { start } => self.ask(Operation::Recover, |sandbox| sandbox.want_recovered(start, now)),
            Action::Delete => self.ask(Operation::Delete, |sandbox| sandbox.want_destroyed(now)),
            Action::Sleepy => self.engine.sleeps = true,
            Action::Store => self.change(|sandbox| sandbox.want_stored(LayerId::random())),
            Action::Step => _ = self.step(),
            Action::Look => self.look(),
            Action::Foreign(event) => self.engine.suffer(event),
            Action::FailedForGood => self.change(|sandbox| _ = sandbox.give_up("no image".to_owned())),
            Action::Time(minutes) => {
                self.now += Duration::from_mins(u64::from(minutes));
                let now = self.now;
                self.change(|sandbox| while sandbox.let_time_pass(now).is_some() {});
            }
        }
    }
}
