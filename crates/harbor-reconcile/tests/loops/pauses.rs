//! Freezing sandboxes, by their owner and behind harbor's back.

use std::time::Duration;

use harbor_control::sandboxes::NewSandbox;
use harbor_model::sandboxes::SandboxState;
use harbor_runner::pretend::{Act, Verb};

use crate::installation::{Installation, refused};

const SOON: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn a_paused_one_goes_on_where_it_was() {
    let harbor = Installation::new().await;
    let id = harbor.started().await;
    let token = harbor.row(id).await.preview_token;
    assert_eq!(harbor.pause(id).await.unwrap().state(), SandboxState::Pausing);
    harbor.reaches(id, SandboxState::Paused, SOON).await;
    assert!(harbor.pause(id).await.is_err(), "it is paused already");
    let boot = harbor.row(id).await.seen.boot().cloned();
    let resumed = harbor.start(id).await.unwrap();
    assert_eq!((resumed.state(), resumed.seen.boot().cloned()), (SandboxState::Started, boot));
    assert_eq!(resumed.preview_token, token, "only another run has another one");
    assert_eq!(harbor.called(Verb::Configure, id), 1, "its toolbox knows everything");
}

#[tokio::test(start_paused = true)]
async fn a_paused_one_can_be_stopped_and_deleted() {
    let harbor = Installation::new().await;
    let (first, second) = (harbor.started().await, harbor.started().await);
    for id in [first, second] {
        harbor.pause(id).await.unwrap();
        harbor.reaches(id, SandboxState::Paused, SOON).await;
    }
    harbor.stop(first).await;
    harbor.reaches(first, SandboxState::Stopped, SOON).await;
    assert_eq!(harbor.start(first).await.unwrap().state(), SandboxState::Started);
    harbor.delete(second).await.unwrap();
    harbor.reaches(second, SandboxState::Destroyed, SOON).await;
}

#[tokio::test(start_paused = true)]
async fn one_that_somebody_froze_is_paused_and_says_so() {
    let harbor = Installation::new().await;
    let id = harbor.started().await;
    harbor.engine.pause(&id);
    harbor.reaches(id, SandboxState::Paused, SOON).await;
    assert!(harbor.row(id).await.note.unwrap().contains("on the engine"));
    let resumed = harbor.start(id).await.unwrap();
    assert_eq!((resumed.state(), resumed.note), (SandboxState::Started, None));
}

#[tokio::test(start_paused = true)]
async fn one_that_cannot_be_paused_goes_on_and_says_why() {
    let harbor = Installation::new().await;
    let id = harbor.started().await;
    for _ in 0..3 {
        harbor.engine.next_for(&id, Verb::Pause, Act::Fail(refused()));
    }
    harbor.pause(id).await.unwrap();
    harbor.reaches(id, SandboxState::Started, Duration::from_secs(5)).await;
    assert!(harbor.row(id).await.note.unwrap().starts_with("it could not be paused: pause: "));
    assert_eq!(harbor.called(Verb::Pause, id), 3);
}

#[tokio::test(start_paused = true)]
async fn a_frozen_one_that_died_is_stopped() {
    let harbor = Installation::new().await;
    let id = harbor.started().await;
    harbor.pause(id).await.unwrap();
    harbor.reaches(id, SandboxState::Paused, SOON).await;
    harbor.engine.power_cut();
    harbor.reaches(id, SandboxState::Stopped, Duration::from_secs(100)).await;
    assert_eq!(harbor.start(id).await.unwrap().state(), SandboxState::Started);
}

#[tokio::test(start_paused = true)]
async fn a_frozen_one_without_its_network_is_stopped_before_anybody_starts_it() {
    let harbor = Installation::new().await;
    let id = harbor.started().await;
    harbor.pause(id).await.unwrap();
    harbor.reaches(id, SandboxState::Paused, SOON).await;
    harbor.engine.kill_infra(&id);
    harbor.reaches(id, SandboxState::Stopped, SOON).await;
    assert!(harbor.row(id).await.note.unwrap().starts_with("stopped because its network keeper ended"));
    assert_eq!(harbor.start(id).await.unwrap().state(), SandboxState::Started);
}

#[tokio::test(start_paused = true)]
async fn a_frozen_one_that_lost_its_network_begins_anew_where_it_is_started_meanwhile() {
    let harbor = Installation::new().await;
    let id = harbor.started().await;
    harbor.pause(id).await.unwrap();
    harbor.reaches(id, SandboxState::Paused, SOON).await;
    harbor.engine.unplug();
    harbor.engine.kill_infra(&id);
    let (started, ()) = tokio::join!(harbor.start(id), async {
        harbor.pass(SOON).await;
        harbor.engine.plug_in();
    });
    assert_eq!(started.unwrap().state(), SandboxState::Started);
}

#[tokio::test(start_paused = true)]
async fn one_that_nobody_uses_is_paused_where_that_is_wanted() {
    let harbor = Installation::new().await;
    let id = harbor.create_as(NewSandbox { auto_pause: Some(1), ..NewSandbox::default() }).await.unwrap().id;
    harbor.idle(Duration::from_secs(50)).await;
    assert_eq!(harbor.row(id).await.state(), SandboxState::Started);
    harbor.idle(Duration::from_secs(15)).await;
    harbor.reaches(id, SandboxState::Paused, SOON).await;
    assert_eq!(
        harbor.row(id).await.note.unwrap(),
        "paused because nobody used it for 1 minute; start it to use it again"
    );
    harbor.idle(Duration::from_hours(1)).await;
    assert_eq!(harbor.row(id).await.state(), SandboxState::Paused, "a paused one stays");
    for (stop, pause, delete) in [(Some(5), Some(5), None), (None, Some(5), Some(0)), (None, Some(-1), None)] {
        let new = NewSandbox { auto_stop: stop, auto_pause: pause, auto_delete: delete, ..NewSandbox::default() };
        assert!(harbor.create_as(new).await.is_err(), "{stop:?} {pause:?} {delete:?}");
    }
}
