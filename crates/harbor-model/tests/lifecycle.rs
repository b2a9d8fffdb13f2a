//! The whole life of a sandbox, driven through the model's own functions: whatever its owner asks and whatever happens
//! to its containers, it settles, tells each change once, and nothing starts that nobody wanted.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::collections::HashMap;
use std::time::Duration;

use harbor_model::Timestamp;
use harbor_model::ids::{ContainerId, LayerId, OrganizationId, RegionId, SandboxId, SnapshotId};
use harbor_model::layers::Layer;
use harbor_model::resources::Resources;
use harbor_model::sandboxes::{
    Beginning, Boot, CopyPurpose, Desired, Effect, FailedAttempt, Files, Found, FoundSandbox, Generation, Network,
    Operation, Origin, Outcome, Retry, Sandbox, SandboxEvent, SandboxState, Seen, Settings, Step, allowed, events,
};
use harbor_model::secrets::Secret;
use proptest::prelude::*;

/// More steps than any walk takes.
const LONGEST_WALK: usize = 8;

fn now() -> Timestamp {
    Timestamp::from_unix_timestamp(1_700_000_000).unwrap()
}

fn sandbox(ephemeral: bool) -> Sandbox {
    let id = SandboxId::random();
    Sandbox {
        id,
        organization: OrganizationId::random(),
        name: "mine".parse().unwrap(),
        origin: Origin {
            snapshot: "s".to_owned(),
            image: "i".to_owned(),
            entrypoint: None,
            user: "daytona".to_owned(),
            env: std::collections::BTreeMap::new(),
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
        warm_pool: None,
        destroy_at: None,
    }
}

/// An engine that does what it is told, to which things happen.
#[derive(Default)]
struct Engine {
    sandbox: Option<FoundSandbox>,
    boots: u32,
    /// Whether what is stopped sleeps.
    sleeps: bool,
    /// How often something ran since the sandbox was made, in what there is of it on the engine, and in what is stored.
    written: u32,
    stored: HashMap<LayerId, u32>,
}

impl Engine {
    fn find(&self) -> Found {
        Found { sandbox: self.sandbox.clone() }
    }

    /// Takes a step; `None`: there was nothing to do.
    fn take(&mut self, sandbox: &Sandbox) -> Option<Outcome> {
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
            Step::Remove => {
                self.sandbox = None;
                Outcome::Removed
            }
            Step::Accept(_) => Outcome::Accepted,
        })
    }

    fn exit(&mut self, container: ContainerId, code: i64) {
        self.sandbox = Some(FoundSandbox::Exited { container, code, connected: true });
    }

    /// Freezes what runs, or lets what is frozen go on.
    fn freeze(&mut self, frozen: bool) {
        use FoundSandbox as F;
        self.sandbox = self.sandbox.take().map(|found| match found {
            F::Running { container, boot, connected } if frozen => F::Frozen { container, boot, connected },
            F::Frozen { container, boot, connected } if !frozen => F::Running { container, boot, connected },
            other => other,
        });
    }

    /// Something happens that nobody asked harbor for.
    fn suffer(&mut self, event: Foreign) {
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
enum Foreign {
    Died(i64),
    Frozen,
    Thawed,
    InfraLost,
    Removed,
}

fn layer(id: LayerId) -> Layer {
    Layer { id, image: "i".to_owned(), digest: "d".to_owned(), bytes: 1 }
}

/// What happens to a sandbox, in any order.
#[derive(Clone, Copy, Debug)]
enum Action {
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
    Step,
    Look,
    Foreign(Foreign),
    FailedForGood,
    /// Nobody uses it for so many minutes.
    Time(u32),
}

fn any_action() -> impl Strategy<Value = Action> {
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
        8 => Just(Action::Step),
        2 => Just(Action::Look),
        2 => foreign.prop_map(Action::Foreign),
        1 => Just(Action::FailedForGood),
        2 => (0u32..40).prop_map(Action::Time),
    ]
}

/// A sandbox, its engine, what listeners were told, and what time it is.
struct Life {
    sandbox: Sandbox,
    engine: Engine,
    told: Vec<SandboxEvent>,
    now: Timestamp,
}

impl Life {
    fn new(ephemeral: bool) -> Self {
        let sandbox = sandbox(ephemeral);
        let told = events(None, &sandbox);
        Self { sandbox, engine: Engine::default(), told, now: now() }
    }

    fn after(ephemeral: bool, actions: Vec<Action>) -> Self {
        let mut life = Self::new(ephemeral);
        for action in actions {
            life.act(action);
        }
        life
    }

    fn change(&mut self, change: impl FnOnce(&mut Sandbox)) {
        let before = self.sandbox.clone();
        change(&mut self.sandbox);
        self.sandbox.end_copy(self.now);
        if self.sandbox != before {
            self.sandbox.note_change(&before, self.now);
        }
        self.told.extend(events(Some(&before), &self.sandbox));
    }

    fn ask(&mut self, operation: Operation, change: impl FnOnce(&mut Sandbox)) {
        if allowed(operation, &self.sandbox, self.now) == Ok(Effect::Change) {
            self.change(change);
        }
    }

    /// Answers whether there was something to do.
    fn step(&mut self) -> bool {
        let outcome = self.engine.take(&self.sandbox);
        outcome.map(|outcome| self.change(|sandbox| sandbox.record(outcome))).is_some()
    }

    fn look(&mut self) {
        if self.sandbox.seen != Seen::Removed {
            let found = self.engine.find();
            self.change(|sandbox| sandbox.record(Outcome::Found(found)));
        }
    }

    fn act(&mut self, action: Action) {
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
                    CopyPurpose::Backup | CopyPurpose::Archive => Operation::Backup,
                    CopyPurpose::Fork(_) => Operation::Fork,
                    CopyPurpose::Snapshot(_) => Operation::Snapshot,
                };
                self.ask(operation, |sandbox| sandbox.want_copied(LayerId::random(), purpose));
            }
            Action::Recover { start } => self.ask(Operation::Recover, |sandbox| sandbox.want_recovered(start, now)),
            Action::Delete => self.ask(Operation::Delete, |sandbox| sandbox.want_destroyed(now)),
            Action::Sleepy => self.engine.sleeps = true,
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

/// Each event tells of a change from what was last told.
fn one_chain(told: &[SandboxEvent]) -> bool {
    let mut states = Vec::new();
    let mut desired = vec![Desired::Started];
    told.iter().all(|event| match *event {
        SandboxEvent::Created(state) => {
            states.push(state);
            states.len() == 1
        }
        SandboxEvent::StateUpdated { old, new } => {
            let follows = states.last() == Some(&old) && old != new;
            states.push(new);
            follows
        }
        SandboxEvent::DesiredStateUpdated { old, new } => {
            let follows = desired.last() == Some(&old) && old != new;
            desired.push(new);
            follows
        }
    })
}

proptest! {
    #[test]
    fn every_life_settles(ephemeral: bool, actions in prop::collection::vec(any_action(), 0..40)) {
        let mut life = Life::new(ephemeral);
        for action in actions {
            life.act(action);
            if life.sandbox.state() == SandboxState::Started {
                let running = matches!(life.sandbox.seen, Seen::Running { configured: true, .. });
                prop_assert!(running && life.sandbox.failure.is_none());
            }
        }
        life.look();
        for _ in 0..LONGEST_WALK {
            life.step();
        }
        prop_assert_eq!(life.sandbox.next_step(), Step::Settled);
        prop_assert!(!life.sandbox.needs_a_look(&life.engine.find()) || life.sandbox.seen == Seen::Removed);
        let settled = match life.sandbox.state() {
            SandboxState::Started
            | SandboxState::Stopped
            | SandboxState::Paused
            | SandboxState::Archived
            | SandboxState::Error
            | SandboxState::Destroyed => true,
            SandboxState::Creating | SandboxState::Starting | SandboxState::Resizing | SandboxState::Resuming => false,
            SandboxState::Pausing | SandboxState::Stopping | SandboxState::Destroying => false,
            SandboxState::Archiving | SandboxState::Restoring => false,
            SandboxState::Snapshotting | SandboxState::Forking => false,
        };
        prop_assert!(settled, "{:?}", life.sandbox.state());
        prop_assert!(one_chain(&life.told), "{:?}", life.told);
    }

    #[test]
    fn nothing_starts_that_is_not_wanted(ephemeral: bool, actions in prop::collection::vec(any_action(), 0..40)) {
        let mut life = Life::new(ephemeral);
        let mut died = false;
        for action in actions {
            let wanted = life.sandbox.desired == Desired::Started;
            died |= matches!(action, Action::Foreign(Foreign::Died(_)));
            died &= !matches!(action, Action::Start);
            let boots = life.engine.boots;
            let configured = matches!(life.sandbox.seen, Seen::Running { configured: true, .. });
            life.act(action);
            prop_assert!(life.engine.boots == boots || wanted, "started although it was not wanted");
            prop_assert!(life.engine.boots == boots || !(died && configured), "started anew after it died");
        }
    }

    #[test]
    fn what_is_due_is_done_and_nothing_before_its_time(
        ephemeral: bool,
        lives: Option<u32>,
        deletes: Option<u32>,
        actions in prop::collection::vec(any_action(), 0..40),
    ) {
        let mut life = Life::new(ephemeral);
        let minutes = |count: u32| Duration::from_mins(u64::from(count % 60));
        life.sandbox.destroy_at = lives.map(|count| life.now + minutes(count));
        life.sandbox.settings.auto_archive_minutes = 60;
        if !ephemeral {
            life.sandbox.settings.auto_delete_minutes = deletes.map(|count| count % 60);
        }
        for action in actions {
            let (before, was) = (life.now, life.sandbox.clone());
            life.act(action);
            let Action::Time(_) = action else { continue };
            prop_assert!(life.sandbox.due().is_none_or(|due| due.at > life.now), "{:?}", life.sandbox.due());
            let idle = life.now - was.last_activity_at;
            let over = was.destroy_at.is_some_and(|end| end <= life.now);
            match (was.state(), life.sandbox.state()) {
                (SandboxState::Started, SandboxState::Stopping) => prop_assert!(!over && idle >= time::Duration::minutes(15)),
                (SandboxState::Started, SandboxState::Destroying) => {
                    prop_assert!(over || (was.settings.ephemeral() && idle >= time::Duration::minutes(15)));
                }
                (SandboxState::Stopped, SandboxState::Archiving | SandboxState::Archived) => prop_assert!(!over && idle >= time::Duration::minutes(60)),
                (SandboxState::Stopped, SandboxState::Destroying) => {
                    let interval = was.settings.auto_delete_minutes.map(|count| time::Duration::minutes(count.into()));
                    prop_assert!(over || interval.is_some_and(|interval| idle >= interval));
                }
                (earlier, later) => prop_assert!(earlier == later || over, "{earlier:?} {later:?} since {before}"),
            }
        }
    }

    #[test]
    fn an_archive_and_back_loses_nothing(actions in prop::collection::vec(any_action(), 0..40)) {
        let mut life = Life::after(false, actions);
        life.look();
        while life.step() {}
        if life.sandbox.state() == SandboxState::Started || life.sandbox.state() == SandboxState::Paused {
            life.act(Action::Stop { force: false });
            while life.step() {}
        }
        if life.sandbox.state() != SandboxState::Stopped {
            return Ok(());
        }
        let written = life.engine.written;
        life.act(Action::Archive);
        while life.step() {}
        prop_assert_eq!(life.sandbox.state(), SandboxState::Archived);
        prop_assert_eq!(&life.engine.sandbox, &None);
        // what is needed to bring it back is not garbage
        let needed = life.sandbox.layers();
        life.engine.stored.retain(|id, _| needed.contains(id));
        life.act(Action::Start);
        life.step();
        prop_assert_eq!(life.engine.written, written);
        while life.step() {}
        prop_assert_eq!(life.sandbox.state(), SandboxState::Started);
    }

    #[test]
    fn a_fork_begins_with_what_was_there_or_fails(actions in prop::collection::vec(any_action(), 0..40), lost: bool) {
        let mut life = Life::after(false, actions);
        life.look();
        while life.step() {}
        let mut child = sandbox(false);
        child.files = Files { beginning: Beginning::Awaited, parent: Some(life.sandbox.id), ..Files::default() };
        if allowed(Operation::Fork, &life.sandbox, life.now).is_err() {
            return Ok(());
        }
        let before = life.sandbox.state();
        life.sandbox.want_copied(LayerId::random(), CopyPurpose::Fork(child.id));
        prop_assert_eq!(life.sandbox.state(), SandboxState::Forking);
        prop_assert_eq!(child.next_step(), Step::Settled);
        if lost {
            life.sandbox.want_destroyed(life.now);
        }
        let ended = loop {
            match life.sandbox.end_copy(life.now) {
                Some(ended) => break ended,
                None => life.engine.take(&life.sandbox).map(|outcome| life.sandbox.record(outcome)).unwrap(),
            }
        };
        prop_assert_eq!(ended.purpose, CopyPurpose::Fork(child.id));
        child.receive(ended.outcome);
        if lost {
            prop_assert_eq!(child.state(), SandboxState::Error);
        } else {
            prop_assert_eq!(life.sandbox.state(), before);
            prop_assert_eq!(child.next_step(), Step::Create);
            prop_assert_eq!(life.engine.stored[&child.filling().unwrap().id], life.engine.written);
        }
    }

    #[test]
    fn what_is_deleted_goes(ephemeral: bool, actions in prop::collection::vec(any_action(), 0..40)) {
        let name = Life::new(ephemeral).sandbox.name;
        let mut life = Life::after(ephemeral, actions);
        life.change(|sandbox| if sandbox.live() { sandbox.want_destroyed(now()) });
        prop_assert!(!life.sandbox.live() && life.sandbox.name != name, "its name is not free");
        life.step();
        prop_assert_eq!(life.sandbox.state(), SandboxState::Destroyed);
        prop_assert_eq!(life.engine.sandbox, None);
    }

    #[test]
    fn looking_twice_sees_the_same(ephemeral: bool, actions in prop::collection::vec(any_action(), 0..40)) {
        let mut life = Life::after(ephemeral, actions);
        life.look();
        let once = life.sandbox.clone();
        life.look();
        prop_assert_eq!(life.sandbox, once);
    }

    #[test]
    fn only_a_start_under_way_is_given_up(ephemeral: bool, actions in prop::collection::vec(any_action(), 0..40)) {
        let mut life = Life::after(ephemeral, actions);
        let (before, step) = (life.sandbox.clone(), life.sandbox.next_step());
        let given_up = life.sandbox.give_up("no image".to_owned());
        let resize = matches!(step, Step::Resize(_));
        let copy = matches!(step, Step::Copy(_));
        let under_way = before.desired == Desired::Started && step != Step::Settled && !resize && !copy;
        prop_assert_eq!(life.sandbox.failure.is_some() && before.failure.is_none(), under_way);
        prop_assert!(!resize || life.sandbox.resize_to.is_none(), "tried for ever");
        prop_assert_eq!(given_up, life.sandbox.state() == SandboxState::Error && before.desired == Desired::Started);
    }
}

#[test]
fn a_stop_that_does_not_end_is_superseded_by_a_delete() {
    let mut life = Life::new(false);
    while life.step() {}
    life.act(Action::Stop { force: false });
    assert_eq!(life.sandbox.state(), SandboxState::Stopping);
    // labels were set meanwhile
    life.sandbox.updated_at = now() + Duration::from_secs(50);
    let after = |seconds| allowed(Operation::Delete, &life.sandbox, now() + Duration::from_secs(seconds));
    assert!(after(60).unwrap_err().to_string().contains("try again"));
    assert_eq!(after(61), Ok(Effect::Change));
    assert!(allowed(Operation::Start, &life.sandbox, now() + Duration::from_hours(1)).is_err());
}

#[test]
fn stopping_an_ephemeral_sandbox_frees_its_name() {
    let mut life = Life::new(true);
    while life.step() {}
    life.act(Action::Stop { force: false });
    assert_eq!(life.sandbox.state(), SandboxState::Destroying);
    assert_eq!(life.sandbox.name.as_str(), "DESTROYED_mine_1700000000000");
    assert!(!life.sandbox.live());
}

#[test]
fn a_refusal_says_what_stands_in_the_way() {
    let mut life = Life::new(false);
    let id = life.sandbox.id;
    let refusal = |life: &Life, operation| allowed(operation, &life.sandbox, now()).unwrap_err().to_string();
    let moving = format!("Cannot stop sandbox {id}: it is creating; try again when that is done");
    assert_eq!(refusal(&life, Operation::Stop), moving);
    life.act(Action::FailedForGood);
    assert_eq!(refusal(&life, Operation::Start), format!("Cannot start sandbox {id} in state error: no image"));
    let entered = format!("sandbox {id} is error, not started. Is the Sandbox started?");
    assert_eq!(refusal(&life, Operation::Enter), entered);
}

#[test]
fn what_cannot_be_given_up_is_tried_again_after_the_same_pause() {
    let tried = FailedAttempt::Permanent.retry(1, Duration::ZERO, Duration::ZERO);
    assert_eq!(tried, Retry::GiveUp(Duration::from_millis(200)));
    let mut life = Life::new(false);
    while life.step() {}
    assert!(!life.sandbox.give_up("no image".to_owned()), "it runs");
    life.act(Action::Stop { force: false });
    assert!(!life.sandbox.give_up("no image".to_owned()), "it is to stop");
}
