//! The whole life of a sandbox, driven through the model's own functions: whatever its owner asks and whatever happens
//! to its containers, it settles, tells each change once, and nothing starts that nobody wanted.

#![expect(clippy::unwrap_used, reason = "tests")]

mod life;

use std::time::Duration;

use harbor_model::ids::LayerId;
use harbor_model::sandboxes::{
    Beginning, CopyPurpose, Desired, Effect, FailedAttempt, Failure, Files, Found, Operation, Outcome, Retry,
    SandboxEvent, SandboxState, Seen, Step, allowed,
};
use proptest::prelude::*;

use life::{Action, Foreign, Life, any_action, now, sandbox};

/// More steps than any walk takes.
const LONGEST_WALK: usize = 8;

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
        prop_assert_eq!(&life.sandbox.files.copying, &None, "a copy that never ends");
        prop_assert!(!life.sandbox.needs_a_look(&life.engine.find()) || life.sandbox.seen == Seen::Removed);
        let settled = match life.sandbox.state() {
            SandboxState::Started
            | SandboxState::Stopped
            | SandboxState::Paused
            | SandboxState::Archived
            | SandboxState::Error
            | SandboxState::BuildFailed
            | SandboxState::Destroyed => true,
            SandboxState::Creating | SandboxState::Starting | SandboxState::Resizing | SandboxState::Resuming => false,
            SandboxState::Pausing | SandboxState::Stopping | SandboxState::Destroying => false,
            SandboxState::Archiving | SandboxState::Restoring => false,
            SandboxState::Snapshotting | SandboxState::Forking => false,
            SandboxState::PendingBuild | SandboxState::BuildingSnapshot => false,
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
            // one that dozes was started, but nothing of its user's was
            let asleep = matches!(life.sandbox.seen, Seen::Asleep { .. });
            prop_assert!(life.engine.boots == boots || wanted || asleep, "started although it was not wanted");
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
        // what one that ran began with is long gone
        if life.sandbox.started_once {
            life.sandbox.files.beginning = Beginning::Layer(life::layer(LayerId::random()));
        }
        life.act(Action::Archive);
        while life.step() {}
        prop_assert_eq!(life.sandbox.state(), SandboxState::Archived);
        prop_assert_eq!(&life.engine.sandbox, &None);
        // what is needed to bring it back is not garbage
        let needed = life.sandbox.layers();
        life.engine.stored.retain(|id, _| needed.contains(id));
        life.act(Action::Start);
        life.step();
        prop_assert!(life.sandbox.layers().iter().all(|id| life.engine.stored.contains_key(id)), "it needs what is gone");
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
fn a_start_that_does_not_end_is_superseded_by_a_delete() {
    let mut life = Life::new(false);
    while life.step() {}
    life.act(Action::Stop { force: false });
    while life.step() {}
    life.act(Action::Start);
    assert_eq!(life.sandbox.state(), SandboxState::Starting);
    let after = |operation, seconds| allowed(operation, &life.sandbox, now() + Duration::from_secs(seconds));
    assert!(after(Operation::Delete, 60).unwrap_err().to_string().contains("try again"));
    assert_eq!(after(Operation::Delete, 61), Ok(Effect::Change));
    assert!(after(Operation::Stop, 3600).is_err());
}

#[test]
fn one_that_is_there_again_was_not_lost() {
    let mut life = Life::new(false);
    while life.step() {}
    life.change(|row| row.record(Outcome::Found(Found { sandbox: None })));
    assert_eq!(life.sandbox.state(), SandboxState::Error);
    assert_eq!(life.sandbox.next_step(), Step::Settled);
    life.look();
    while life.step() {}
    assert_eq!((life.sandbox.failure.clone(), life.sandbox.state()), (None, SandboxState::Started));
    // what it failed at before is another matter
    life.change(|row| {
        row.failure = Some(Failure { reason: "no image".to_owned(), recoverable: true });
        row.record(Outcome::Found(Found { sandbox: None }));
    });
    life.look();
    assert_eq!(life.sandbox.failure.as_ref().map(|failure| failure.reason.as_str()), Some("no image"));
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
