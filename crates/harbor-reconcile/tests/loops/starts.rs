//! Starts, stops and removals that go well, badly, late, or whose answer is lost.

use std::time::Duration;

use harbor_control::Kind;
use harbor_model::actors::Actor;
use harbor_model::sandboxes::SandboxState;
use harbor_runner::fixture::PRETEND_IMAGE;
use harbor_runner::pretend::{Act, DEADLINE, Verb};
use tokio::time::Instant;

use crate::installation::{BUDGET, Installation, START_DEADLINE, now, refused};

const SOON: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn a_sandbox_is_made_started_and_configured_once() {
    let harbor = Installation::new().await;
    let id = harbor.started().await;
    harbor.pass(SOON).await;
    for verb in [Verb::Create, Verb::Start, Verb::Configure] {
        assert_eq!(harbor.called(verb, id), 1, "{verb:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_stopped_sandbox_starts_again_and_a_deleted_one_goes() {
    let harbor = Installation::new().await;
    let id = harbor.started().await;
    harbor.stop(id).await;
    harbor.reaches(id, SandboxState::Stopped, SOON).await;
    assert_eq!(harbor.start(id).await.unwrap().state(), SandboxState::Started);
    harbor.delete(id).await.unwrap();
    harbor.reaches(id, SandboxState::Destroyed, SOON).await;
}

#[tokio::test(start_paused = true)]
async fn a_missing_image_fails_the_create_at_once() {
    let harbor = Installation::new().await;
    harbor.engine.remove_image(PRETEND_IMAGE);
    let began = Instant::now();
    let error = harbor.create().await.unwrap_err();
    assert_eq!(error.kind(), Kind::Invalid);
    assert!(error.to_string().contains("pull or build it first"), "{error}");
    assert!(began.elapsed() < SOON);
    assert_eq!(harbor.engine.calls().iter().filter(|call| call.verb == Verb::Create).count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_start_that_is_refused_is_tried_three_times() {
    let harbor = Installation::new().await;
    for _ in 0..2 {
        harbor.engine.next(Verb::Start, Act::Fail(refused()));
    }
    harbor.pass(SOON).await;
    let began = Instant::now();
    let id = harbor.started().await;
    assert_eq!(harbor.called(Verb::Start, id), 3);
    // its own events, which are looked at, shorten one of the pauses of 0.2 and 0.4 s
    assert!(began.elapsed() >= Duration::from_millis(300), "without a pause: {:?}", began.elapsed());

    for _ in 0..3 {
        harbor.engine.next(Verb::Start, Act::Fail(refused()));
    }
    let error = harbor.create().await.unwrap_err();
    assert!(error.to_string().ends_with("start: could not do it: no"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn while_the_engine_is_away_create_answers_within_its_budget_and_the_start_goes_on() {
    let harbor = Installation::new().await;
    harbor.engine.unplug();
    let began = Instant::now();
    let created = harbor.create().await.unwrap();
    assert_eq!(created.state(), SandboxState::Creating);
    assert!(began.elapsed() >= BUDGET && began.elapsed() < BUDGET + SOON, "{:?}", began.elapsed());
    harbor.engine.plug_in();
    harbor.reaches(created.id, SandboxState::Started, SOON).await;
}

#[tokio::test(start_paused = true)]
async fn an_engine_that_stays_away_fails_a_start_after_its_deadline_and_not_before() {
    let harbor = Installation::new().await;
    harbor.engine.unplug();
    let id = harbor.create().await.unwrap().id;
    let failed_after = BUDGET + harbor.reaches(id, SandboxState::Error, START_DEADLINE * 2).await;
    assert!(failed_after >= START_DEADLINE && failed_after < START_DEADLINE + BUDGET * 2, "{failed_after:?}");
    let attempts = harbor.called(Verb::Create, id) + harbor.called(Verb::Look, id);
    assert!((8..25).contains(&attempts), "{attempts} attempts in {failed_after:?}");
    let reason = harbor.row(id).await.failure.unwrap().reason;
    assert!(reason.contains("does not answer"), "{reason}");
}

#[tokio::test(start_paused = true)]
async fn a_running_sandbox_loses_nothing_while_the_engine_is_away() {
    let harbor = Installation::new().await;
    let id = harbor.started().await;
    harbor.engine.unplug();
    harbor.pass(START_DEADLINE * 2).await;
    assert_eq!(harbor.row(id).await.state(), SandboxState::Started);
}

#[tokio::test(start_paused = true)]
async fn what_was_made_although_its_answer_was_lost_is_not_made_again() {
    let harbor = Installation::new().await;
    harbor.engine.next(Verb::Create, Act::Lost);
    let id = harbor.create().await.unwrap().id;
    harbor.reaches(id, SandboxState::Started, DEADLINE + SOON).await;
    assert_eq!((harbor.called(Verb::Create, id), harbor.called(Verb::Start, id)), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_start_whose_answer_is_lost_is_configured_in_its_own_boot() {
    let harbor = Installation::new().await;
    harbor.engine.next(Verb::Start, Act::Lost);
    let id = harbor.create().await.unwrap().id;
    harbor.reaches(id, SandboxState::Started, DEADLINE + SOON).await;
    assert_eq!((harbor.called(Verb::Start, id), harbor.called(Verb::Configure, id)), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_comes_late_counts() {
    let harbor = Installation::new().await;
    harbor.engine.next(Verb::Start, Act::Late(Duration::from_secs(7)));
    let began = Instant::now();
    let id = harbor.started().await;
    assert!(began.elapsed() >= Duration::from_secs(7));
    assert_eq!((harbor.called(Verb::Start, id), harbor.called(Verb::Configure, id)), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_stop_is_never_given_up() {
    let harbor = Installation::new().await;
    let id = harbor.started().await;
    for _ in 0..6 {
        harbor.engine.next_for(&id, Verb::Stop, Act::Fail(refused()));
    }
    harbor.stop(id).await;
    harbor.pass(Duration::from_secs(2)).await;
    let row = harbor.row(id).await;
    assert_eq!((row.state(), row.failure), (SandboxState::Stopping, None));
    harbor.reaches(id, SandboxState::Stopped, Duration::from_mins(1)).await;
    assert_eq!(harbor.called(Verb::Stop, id), 7);
}

#[tokio::test(start_paused = true)]
async fn a_delete_supersedes_a_stop_that_does_not_end() {
    let harbor = Installation::new().await;
    let id = harbor.started().await;
    for _ in 0..100 {
        harbor.engine.next_for(&id, Verb::Stop, Act::Hang);
    }
    harbor.stop(id).await;
    harbor.pass(DEADLINE).await;
    let early = harbor.delete(id).await.unwrap_err();
    assert_eq!(early.kind(), Kind::Conflict);
    // rows carry the time of day, which no test moves
    let asked = now() - Duration::from_mins(2);
    harbor.store.by(Actor::Harbor).change_sandbox(id, now(), move |row| row.last_activity_at = asked).await.unwrap();
    harbor.delete(id).await.unwrap();
    harbor.reaches(id, SandboxState::Destroyed, DEADLINE + SOON).await;
}

#[tokio::test(start_paused = true)]
async fn marks_while_a_step_is_under_way_are_one() {
    let harbor = Installation::new().await;
    let id = harbor.started().await;
    harbor.pass(SOON).await;
    let looks = harbor.called(Verb::Look, id);
    harbor.engine.takes(Verb::Look, Duration::from_millis(500));
    for _ in 0..50 {
        harbor.engine.listen(&id, 80);
        harbor.engine.kill_infra(&id);
        harbor.pass(Duration::from_millis(20)).await;
    }
    harbor.reaches(id, SandboxState::Stopped, Duration::from_secs(5)).await;
    harbor.pass(Duration::from_secs(5)).await;
    let looked = harbor.called(Verb::Look, id) - looks;
    assert!(looked <= 6, "{looked} looks for 50 events");
}
