//! Stopped sandboxes that sleep.

use std::time::Duration;

use harbor_model::ids::SandboxId;
use harbor_model::sandboxes::{SandboxState, Seen};
use harbor_runner::Engine as _;
use harbor_runner::pretend::{Act, Verb};
use tokio::time::Instant;

use crate::installation::{Installation, refused};

const SOON: Duration = Duration::from_secs(1);

async fn sleepy(most: u32) -> Installation {
    let mut harbor = Installation::new().await;
    harbor.let_sleep(most).await;
    harbor
}

/// Stops them one after the other.
async fn stop_all(harbor: &Installation, ids: &[SandboxId]) {
    for id in ids {
        harbor.stop(*id).await;
        harbor.reaches(*id, SandboxState::Stopped, SOON).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_stopped_one_sleeps_and_wakes_as_after_any_start() {
    let harbor = sleepy(1).await;
    let id = harbor.started().await;
    let before = harbor.row(id).await;
    harbor.stop(id).await;
    harbor.reaches(id, SandboxState::Stopped, SOON).await;
    assert!(matches!(harbor.row(id).await.seen, Seen::Asleep { .. }));
    assert_eq!(harbor.called(Verb::Stop, id), 0);
    let woken = harbor.start(id).await.unwrap();
    assert_eq!((woken.state(), woken.seen.boot()), (SandboxState::Started, before.seen.boot()));
    assert_ne!(woken.preview_token, before.preview_token);
    assert!(!woken.goes_on_since(&before), "what was begun before it slept has ended");
    assert_eq!((harbor.called(Verb::Wake, id), harbor.called(Verb::Configure, id)), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn one_is_started_when_its_toolbox_answers_and_let_alone_until_the_engine_does() {
    let harbor = sleepy(1).await;
    let id = harbor.stopped().await;
    harbor.engine.takes(Verb::Wake, Duration::from_millis(700));
    let began = Instant::now();
    assert_eq!(harbor.start(id).await.unwrap().state(), SandboxState::Started);
    assert!(began.elapsed() < Duration::from_millis(300), "{:?}", began.elapsed());
    harbor.stop(id).await;
    harbor.pass(Duration::from_millis(300)).await;
    assert_eq!(harbor.called(Verb::Sleep, id), 1, "the engine says that it is frozen");
    harbor.reaches(id, SandboxState::Stopped, SOON).await;
    assert_eq!(harbor.called(Verb::Sleep, id), 2);
}

#[tokio::test(start_paused = true)]
async fn no_more_sleep_than_may() {
    let harbor = sleepy(2).await;
    let ids = harbor.many_started(3).await;
    stop_all(&harbor, &ids).await;
    let mut asleep = 0;
    for id in &ids {
        asleep += usize::from(matches!(harbor.row(*id).await.seen, Seen::Asleep { .. }));
    }
    assert_eq!(asleep, 2);
    for id in ids {
        assert_eq!(harbor.start(id).await.unwrap().state(), SandboxState::Started);
    }
}

#[tokio::test(start_paused = true)]
async fn the_files_of_what_does_not_sleep_are_stored_until_it_is_started() {
    let harbor = sleepy(1).await;
    let ids = harbor.many_started(2).await;
    stop_all(&harbor, &ids).await;
    harbor.pass(SOON).await;
    let (asleep, stopped) = (harbor.row(ids[0]).await, harbor.row(ids[1]).await);
    assert_eq!(asleep.files.backup, None);
    assert!(stopped.files.backup.is_some_and(|backup| backup.current));
    // as a prune does
    harbor.engine.lose(&ids[1]);
    harbor.reaches(ids[1], SandboxState::Archived, Duration::from_secs(100)).await;
    assert_eq!(harbor.start(ids[1]).await.unwrap().state(), SandboxState::Restoring);
    harbor.reaches(ids[1], SandboxState::Started, SOON).await;
    harbor.pass(SOON).await;
    assert_eq!(harbor.engine.layers().await.unwrap(), [], "what runs is stored nowhere");
}

#[tokio::test(start_paused = true)]
async fn files_are_stored_whenever_harbor_dies() {
    let mut harbor = sleepy(1).await;
    let ids = harbor.many_started(2).await;
    stop_all(&harbor, &ids[..1]).await;
    harbor.engine.takes(Verb::Stop, Duration::from_millis(200));
    harbor.engine.takes(Verb::Save, Duration::from_millis(200));
    for moment in (20..600).step_by(40) {
        harbor.stop(ids[1]).await;
        harbor.pass(Duration::from_millis(moment)).await;
        harbor.restart().await;
        harbor.reaches(ids[1], SandboxState::Stopped, Duration::from_secs(5)).await;
        harbor.pass(Duration::from_secs(2)).await;
        let backup = harbor.row(ids[1]).await.files.backup;
        assert!(backup.is_some_and(|backup| backup.current), "harbor died after {moment} ms");
        assert_eq!(harbor.start(ids[1]).await.unwrap().state(), SandboxState::Started);
    }
}

#[tokio::test(start_paused = true)]
async fn a_copy_whose_container_is_cleaned_up_ends() {
    let harbor = sleepy(1).await;
    let ids = harbor.many_started(2).await;
    stop_all(&harbor, &ids).await;
    harbor.pass(SOON).await;
    harbor.engine.takes(Verb::Save, Duration::from_millis(500));
    let (forked, ()) = tokio::join!(harbor.fork(ids[1]), async {
        harbor.pass(Duration::from_millis(100)).await;
        harbor.engine.lose(&ids[1]);
    });
    let refusal = forked.unwrap_err().to_string();
    assert!(refusal.contains("start it first"), "{refusal}");
    let row = harbor.row(ids[1]).await;
    assert_eq!((row.state(), row.files.copying), (SandboxState::Archived, None));
    assert_eq!(harbor.start(ids[1]).await.unwrap().state(), SandboxState::Restoring);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_stored_says_so_and_can_be_started() {
    let harbor = sleepy(1).await;
    let ids = harbor.many_started(2).await;
    for _ in 0..3 {
        harbor.engine.next_for(&ids[1], Verb::Save, Act::Fail(refused()));
    }
    stop_all(&harbor, &ids).await;
    harbor.pass(Duration::from_secs(20)).await;
    let row = harbor.row(ids[1]).await;
    assert_eq!((row.state(), row.files.backup), (SandboxState::Stopped, None));
    assert!(row.note.unwrap().contains("could not be stored: copy: "));
    assert_eq!(harbor.start(ids[1]).await.unwrap().state(), SandboxState::Started);
}

#[tokio::test(start_paused = true)]
async fn one_that_cannot_sleep_is_stopped() {
    let harbor = sleepy(9).await;
    let id = harbor.started().await;
    harbor.engine.next_for(&id, Verb::Sleep, Act::Fail(refused()));
    harbor.stop(id).await;
    harbor.reaches(id, SandboxState::Stopped, SOON).await;
    assert!(matches!(harbor.row(id).await.seen, Seen::Exited { asked: true, .. }));
    assert_eq!(harbor.start(id).await.unwrap().state(), SandboxState::Started);
}

#[tokio::test(start_paused = true)]
async fn one_that_sleeps_can_do_what_stopped_ones_can() {
    let harbor = sleepy(9).await;
    let asleep = async || {
        let id = harbor.stopped().await;
        assert!(matches!(harbor.row(id).await.seen, Seen::Asleep { .. }));
        id
    };
    let (archived, forked, deleted) = (asleep().await, asleep().await, asleep().await);
    harbor.archive(archived).await.unwrap();
    harbor.reaches(archived, SandboxState::Archived, SOON).await;
    assert_eq!(harbor.fork(forked).await.unwrap().state(), SandboxState::Started);
    assert!(matches!(harbor.row(forked).await.seen, Seen::Asleep { .. }), "it sleeps on");
    harbor.delete(deleted).await.unwrap();
    harbor.reaches(deleted, SandboxState::Destroyed, SOON).await;
}

#[tokio::test(start_paused = true)]
async fn one_that_somebody_woke_is_put_to_sleep_again() {
    let harbor = sleepy(9).await;
    let id = harbor.stopped().await;
    harbor.engine.thaw(&id);
    harbor.pass(SOON).await;
    let row = harbor.row(id).await;
    assert!(row.state() == SandboxState::Stopped && matches!(row.seen, Seen::Asleep { .. }), "{:?}", row.seen);
    assert_eq!(harbor.called(Verb::Sleep, id), 2);
}

#[tokio::test(start_paused = true)]
async fn one_whose_machine_lost_power_or_whose_network_ended_starts_as_ever() {
    let harbor = sleepy(9).await;
    let (first, second) = (harbor.stopped().await, harbor.stopped().await);
    harbor.engine.kill_infra(&second);
    assert_eq!(harbor.start(second).await.unwrap().state(), SandboxState::Started);
    harbor.engine.power_cut();
    harbor.pass(Duration::from_secs(100)).await;
    assert_eq!(harbor.row(first).await.state(), SandboxState::Stopped);
    assert_eq!(harbor.start(first).await.unwrap().state(), SandboxState::Started);
}

#[tokio::test(start_paused = true)]
async fn those_that_slept_or_ran_when_the_engine_was_restarted_sleep() {
    let harbor = sleepy(3).await;
    let (first, second) = (harbor.stopped().await, harbor.stopped().await);
    let awake = harbor.started().await;
    harbor.engine.next_for(&second, Verb::Pause, Act::Fail(refused()));
    let before = harbor.row(first).await;
    harbor.engine.power_cut();
    harbor.pass(SOON).await;
    let row = harbor.row(first).await;
    assert!(row.state() == SandboxState::Stopped && matches!(row.seen, Seen::Asleep { .. }), "{:?}", row.seen);
    assert_ne!(row.seen.boot(), before.seen.boot());
    assert_eq!(harbor.called(Verb::Configure, first), 1, "nothing of its user's ran");
    let row = harbor.row(second).await;
    assert!(matches!(row.seen, Seen::Exited { asked: true, to_sleep: false, .. }), "{:?}", row.seen);
    let row = harbor.row(awake).await;
    assert!(row.note.is_some() && matches!(row.seen, Seen::Asleep { .. }), "{:?}", row.seen);
    for id in [first, second, awake] {
        assert_eq!(harbor.start(id).await.unwrap().state(), SandboxState::Started);
    }
}

#[tokio::test(start_paused = true)]
async fn a_harbor_that_dies_while_one_falls_asleep_goes_on() {
    for moment in [10, 60, 110, 250] {
        let mut harbor = sleepy(9).await;
        harbor.engine.takes(Verb::Sleep, Duration::from_millis(100));
        let id = harbor.started().await;
        harbor.stop(id).await;
        harbor.pass(Duration::from_millis(moment)).await;
        harbor.restart().await;
        harbor.reaches(id, SandboxState::Stopped, Duration::from_secs(3)).await;
        assert!(matches!(harbor.row(id).await.seen, Seen::Asleep { .. }), "{moment}");
        assert_eq!(harbor.start(id).await.unwrap().state(), SandboxState::Started);
    }
}
