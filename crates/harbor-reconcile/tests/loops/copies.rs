//! Archives, backups, forks and snapshots: copies of a sandbox's files, and what follows when they end or do not.

use std::time::Duration;

use harbor_model::sandboxes::SandboxState;
use harbor_model::snapshots::SnapshotState;
use harbor_runner::Engine as _;
use harbor_runner::pretend::{Act, Verb};

use crate::installation::{Installation, refused};

const SOON: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn an_archived_one_is_nothing_on_the_engine_and_comes_back() {
    let harbor = Installation::new().await;
    let id = harbor.stopped().await;
    assert_eq!(harbor.archive(id).await.unwrap().state(), SandboxState::Archiving);
    harbor.reaches(id, SandboxState::Archived, SOON).await;
    assert!(harbor.engine.list().await.unwrap().held.is_empty());
    harbor.pass(SOON).await;
    assert_eq!(harbor.engine.kept_images().len(), 1, "what it lies on is kept");
    assert_eq!(harbor.start(id).await.unwrap().state(), SandboxState::Restoring);
    harbor.reaches(id, SandboxState::Started, SOON).await;
    assert_eq!(harbor.row(id).await.files.backup, None, "moved, not copied");
    harbor.pass(SOON).await;
    assert_eq!(harbor.engine.layers().await.unwrap(), [], "nothing needs what it was restored from");
    assert!(harbor.engine.kept_images().is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_archive_survives_a_harbor_that_dies_at_any_moment() {
    let mut harbor = Installation::new().await;
    harbor.engine.takes(Verb::Save, Duration::from_millis(200));
    harbor.engine.takes(Verb::Remove, Duration::from_millis(200));
    harbor.engine.takes(Verb::Create, Duration::from_millis(200));
    for moment in (20..800).step_by(60) {
        let id = harbor.stopped().await;
        harbor.archive(id).await.unwrap();
        harbor.pass(Duration::from_millis(moment)).await;
        harbor.restart().await;
        harbor.reaches(id, SandboxState::Archived, Duration::from_secs(3)).await;
        tokio::select! {
            started = harbor.start(id) => assert!(started.is_ok()),
            () = harbor.pass(Duration::from_millis(moment)) => {}
        }
        harbor.restart().await;
        let _on_its_way_already = harbor.start(id).await;
        harbor.reaches(id, SandboxState::Started, Duration::from_secs(3)).await;
        harbor.delete(id).await.unwrap();
        harbor.reaches(id, SandboxState::Destroyed, Duration::from_secs(3)).await;
    }
    harbor.pass(SOON).await;
    assert_eq!(harbor.engine.layers().await.unwrap(), []);
    assert!(harbor.engine.list().await.unwrap().held.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_start_calls_an_archive_off() {
    let harbor = Installation::new().await;
    let id = harbor.stopped().await;
    harbor.engine.takes(Verb::Save, Duration::from_mins(1));
    harbor.archive(id).await.unwrap();
    harbor.pass(SOON).await;
    assert_eq!(harbor.start(id).await.unwrap().state(), SandboxState::Started);
    harbor.idle(Duration::from_mins(2)).await;
    assert_eq!(harbor.row(id).await.state(), SandboxState::Started);
}

#[tokio::test(start_paused = true)]
async fn one_that_cannot_be_archived_stays_stopped_and_says_why() {
    let harbor = Installation::new().await;
    let id = harbor.stopped().await;
    for _ in 0..3 {
        harbor.engine.next_for(&id, Verb::Save, Act::Fail(refused()));
    }
    harbor.archive(id).await.unwrap();
    harbor.reaches(id, SandboxState::Stopped, Duration::from_secs(5)).await;
    assert!(harbor.row(id).await.note.unwrap().starts_with("it could not be archived: copy: "));
    assert_eq!(harbor.start(id).await.unwrap().state(), SandboxState::Started);
}

#[tokio::test(start_paused = true)]
async fn one_that_was_stopped_long_enough_is_archived() {
    let harbor = Installation::new().await;
    let new = harbor_control::sandboxes::NewSandbox { auto_archive: Some(2), ..Default::default() };
    let id = harbor.create_as(new).await.unwrap().id;
    harbor.stop(id).await;
    harbor.reaches(id, SandboxState::Stopped, SOON).await;
    harbor.idle(Duration::from_secs(110)).await;
    assert_eq!(harbor.row(id).await.state(), SandboxState::Stopped);
    harbor.idle(Duration::from_secs(15)).await;
    harbor.reaches(id, SandboxState::Archived, SOON).await;
}

#[tokio::test(start_paused = true)]
async fn a_fork_starts_with_a_copy_and_its_parent_goes_on() {
    let harbor = Installation::new().await;
    harbor.engine.takes(Verb::Save, Duration::from_millis(500));
    let parent = harbor.started().await;
    let boot = harbor.row(parent).await.seen.boot().cloned();
    let (child, seen_meanwhile) = tokio::join!(harbor.fork(parent), async {
        harbor.reaches(parent, SandboxState::Forking, SOON).await;
        assert!(harbor.fork(parent).await.is_err(), "one copy at a time");
        assert!(harbor.delete(parent).await.is_err());
        harbor.row(parent).await
    });
    let child = child.unwrap();
    assert_eq!((child.state(), child.files.parent), (SandboxState::Started, Some(parent)));
    assert!(seen_meanwhile.files.copying.is_some());
    let after = harbor.row(parent).await;
    assert_eq!((after.state(), after.seen.boot().cloned()), (SandboxState::Started, boot));
    assert!(harbor.delete(parent).await.is_err(), "it has a fork");
    harbor.stop(child.id).await;
    harbor.reaches(child.id, SandboxState::Stopped, SOON).await;
    harbor.archive(child.id).await.unwrap();
    harbor.reaches(child.id, SandboxState::Archived, SOON).await;
    harbor.pass(SOON).await;
    let needed = harbor.row(child.id).await.layers();
    assert_eq!(harbor.engine.layers().await.unwrap(), needed, "what it began with is neither stored nor needed");
    harbor.delete(child.id).await.unwrap();
    harbor.delete(parent).await.unwrap();
    harbor.pass(SOON).await;
    assert_eq!(harbor.engine.layers().await.unwrap(), []);
}

#[tokio::test(start_paused = true)]
async fn a_fork_whose_copy_fails_says_why_and_its_parent_goes_on() {
    let harbor = Installation::new().await;
    let parent = harbor.started().await;
    for _ in 0..3 {
        harbor.engine.next_for(&parent, Verb::Save, Act::Fail(refused()));
    }
    let refusal = harbor.fork(parent).await.unwrap_err().to_string();
    assert!(refusal.contains("could not be copied: copy: "), "{refusal}");
    assert_eq!(harbor.row(parent).await.state(), SandboxState::Started);
}

#[tokio::test(start_paused = true)]
async fn stopped_and_paused_ones_can_be_forked_and_stay_so() {
    let harbor = Installation::new().await;
    let (stopped, paused) = (harbor.stopped().await, harbor.started().await);
    harbor.pause(paused).await.unwrap();
    harbor.reaches(paused, SandboxState::Paused, SOON).await;
    for (parent, state) in [(stopped, SandboxState::Stopped), (paused, SandboxState::Paused)] {
        assert_eq!(harbor.fork(parent).await.unwrap().state(), SandboxState::Started);
        harbor.pass(SOON).await;
        assert_eq!(harbor.row(parent).await.state(), state);
    }
}

#[tokio::test(start_paused = true)]
async fn a_snapshot_is_there_before_its_sandbox_says_so() {
    let harbor = Installation::new().await;
    harbor.engine.takes(Verb::Save, Duration::from_millis(500));
    let id = harbor.started().await;
    assert_eq!(harbor.snapshot_of(id, "mine").await.unwrap().state(), SandboxState::Snapshotting);
    assert_eq!(harbor.named("mine").await.unwrap().state, SnapshotState::Snapshotting);
    assert!(harbor.create_from("mine").await.is_err(), "it is not there yet");
    harbor.reaches(id, SandboxState::Started, SOON).await;
    let snapshot = harbor.named("mine").await.unwrap();
    assert_eq!((snapshot.state, snapshot.source), (SnapshotState::Active, Some(id)));
    assert!(harbor.snapshot_of(id, "mine").await.is_err(), "its name is taken");
    assert_eq!(harbor.row(id).await.state(), SandboxState::Started);

    harbor.delete(id).await.unwrap();
    harbor.pass(SOON).await;
    let made = harbor.create_from("mine").await.unwrap();
    assert_eq!((made.state(), made.filling().cloned()), (SandboxState::Started, snapshot.layer));
    harbor.remove_snapshot("mine").await;
    harbor.pass(SOON).await;
    assert_eq!(harbor.engine.layers().await.unwrap(), []);
    assert_eq!(harbor.row(made.id).await.state(), SandboxState::Started);
}

#[tokio::test(start_paused = true)]
async fn a_snapshot_whose_copy_fails_is_in_error_and_its_sandbox_goes_on() {
    let harbor = Installation::new().await;
    let id = harbor.started().await;
    for _ in 0..3 {
        harbor.engine.next_for(&id, Verb::Save, Act::Fail(refused()));
    }
    harbor.snapshot_of(id, "mine").await.unwrap();
    harbor.reaches(id, SandboxState::Started, Duration::from_secs(5)).await;
    let snapshot = harbor.named("mine").await.unwrap();
    assert_eq!(snapshot.state, SnapshotState::Error);
    assert!(snapshot.error.unwrap().starts_with("copy: "));
}

#[tokio::test(start_paused = true)]
async fn a_lost_one_is_brought_back_from_its_backup() {
    let harbor = Installation::new().await;
    let (backed_up, not) = (harbor.started().await, harbor.started().await);
    harbor.back_up(backed_up).await.unwrap();
    harbor.pass(SOON).await;
    assert_eq!(harbor.row(backed_up).await.state(), SandboxState::Started);
    for id in [backed_up, not] {
        harbor.engine.lose(&id);
        harbor.reaches(id, SandboxState::Error, SOON).await;
    }
    let failure = harbor.row(backed_up).await.failure.unwrap();
    assert!(failure.recoverable && failure.reason.contains("recover the sandbox"), "{failure:?}");
    assert_eq!(harbor.recover(backed_up, true).await.unwrap().state(), SandboxState::Started);
    assert!(!harbor.row(not).await.failure.unwrap().recoverable);
    assert!(harbor.recover(not, true).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_stopped_one_that_somebody_pruned_is_archived_if_its_files_are_stored() {
    let harbor = Installation::new().await;
    let id = harbor.stopped().await;
    harbor.back_up(id).await.unwrap();
    harbor.pass(SOON).await;
    harbor.engine.lose(&id);
    harbor.engine.lose_infra(&id);
    harbor.reaches(id, SandboxState::Archived, SOON).await;
    harbor.start(id).await.unwrap();
    harbor.reaches(id, SandboxState::Started, SOON).await;
    harbor.stop(id).await;
    harbor.reaches(id, SandboxState::Stopped, SOON).await;
    // it has run since
    harbor.engine.lose(&id);
    harbor.reaches(id, SandboxState::Error, SOON).await;
    assert_eq!(harbor.recover(id, false).await.unwrap().state(), SandboxState::Archived);
}

#[tokio::test(start_paused = true)]
async fn what_an_archive_left_behind_when_harbor_died_is_removed() {
    let mut harbor = Installation::new().await;
    let id = harbor.stopped().await;
    harbor.back_up(id).await.unwrap();
    harbor.pass(SOON).await;
    // removed first, and then harbor died
    harbor.engine.takes(Verb::Remove, Duration::from_secs(5));
    harbor.archive(id).await.unwrap();
    harbor.pass(SOON).await;
    harbor.engine.lose(&id);
    harbor.restart().await;
    harbor.reaches(id, SandboxState::Archived, SOON).await;
    harbor.pass(Duration::from_secs(10)).await;
    assert!(harbor.engine.list().await.unwrap().held.is_empty(), "its network keeper");
}

#[tokio::test(start_paused = true)]
async fn one_whose_start_failed_is_recovered_when_the_reason_is_gone() {
    let harbor = Installation::new().await;
    let id = harbor.stopped().await;
    for _ in 0..3 {
        harbor.engine.next_for(&id, Verb::Start, Act::Fail(refused()));
    }
    assert!(harbor.start(id).await.is_err());
    assert_eq!(harbor.row(id).await.state(), SandboxState::Error);
    assert_eq!(harbor.recover(id, true).await.unwrap().state(), SandboxState::Started);
    assert!(harbor.recover(id, true).await.is_err(), "nothing failed");
}

#[tokio::test(start_paused = true)]
async fn nothing_that_is_wanted_waits_for_a_copy() {
    let harbor = Installation::new().await;
    let id = harbor.started().await;
    harbor.engine.takes(Verb::Save, Duration::from_mins(10));
    harbor.back_up(id).await.unwrap();
    harbor.pass(SOON).await;
    assert!(harbor.back_up(id).await.is_err(), "one is being made");
    harbor.stop(id).await;
    harbor.reaches(id, SandboxState::Stopped, SOON).await;
    harbor.delete(id).await.unwrap();
    harbor.reaches(id, SandboxState::Destroyed, SOON).await;
}
