//! Stops and deletes that nobody asks for.

use std::time::Duration;

use harbor_control::sandboxes::NewSandbox;
use harbor_model::actors::Actor;
use harbor_model::ids::SandboxId;
use harbor_model::sandboxes::SandboxState;
use harbor_reconcile::Clock;

use crate::installation::Installation;

const SOON: Duration = Duration::from_secs(1);

/// A little less and a little more than a minute: steps of the clock are five seconds.
const NEARLY_A_MINUTE: Duration = Duration::from_secs(50);
const OVER_A_MINUTE: Duration = Duration::from_secs(15);

async fn started(harbor: &Installation, new: NewSandbox) -> SandboxId {
    let made = harbor.create_as(new).await.unwrap();
    assert_eq!(made.state(), SandboxState::Started);
    made.id
}

fn one_minute() -> NewSandbox {
    NewSandbox { auto_stop: Some(1), ..NewSandbox::default() }
}

async fn state(harbor: &Installation, id: SandboxId) -> SandboxState {
    harbor.row(id).await.state()
}

#[tokio::test(start_paused = true)]
async fn one_that_nobody_uses_is_stopped_and_says_why() {
    let harbor = Installation::new().await;
    let (idle, forever) = (
        started(&harbor, one_minute()).await,
        started(&harbor, NewSandbox { auto_stop: Some(0), ..one_minute() }).await,
    );
    harbor.idle(NEARLY_A_MINUTE).await;
    assert_eq!(state(&harbor, idle).await, SandboxState::Started);
    harbor.idle(OVER_A_MINUTE).await;
    harbor.reaches(idle, SandboxState::Stopped, SOON).await;
    assert_eq!(
        harbor.row(idle).await.note.unwrap(),
        "stopped because nobody used it for 1 minute; start it to use it again"
    );
    assert_eq!(state(&harbor, forever).await, SandboxState::Started);
}

#[tokio::test(start_paused = true)]
async fn use_puts_it_off() {
    let harbor = Installation::new().await;
    let id = started(&harbor, one_minute()).await;
    harbor.idle(NEARLY_A_MINUTE).await;
    harbor.store.by(Actor::Harbor).touch_sandbox(id, harbor.clock.wall()).await.unwrap();
    harbor.idle(NEARLY_A_MINUTE).await;
    assert_eq!(state(&harbor, id).await, SandboxState::Started);
    harbor.idle(OVER_A_MINUTE).await;
    harbor.reaches(id, SandboxState::Stopped, SOON).await;
}

#[tokio::test(start_paused = true)]
async fn a_stopped_one_is_deleted_when_its_time_has_come() {
    let harbor = Installation::new().await;
    let id = started(&harbor, NewSandbox { auto_delete: Some(2), ..one_minute() }).await;
    harbor.idle(Duration::from_secs(65)).await;
    harbor.reaches(id, SandboxState::Stopped, SOON).await;
    harbor.idle(Duration::from_secs(110)).await;
    assert_eq!(state(&harbor, id).await, SandboxState::Stopped, "two minutes from its stop");
    harbor.idle(OVER_A_MINUTE).await;
    harbor.reaches(id, SandboxState::Destroyed, SOON).await;
}

#[tokio::test(start_paused = true)]
async fn a_time_to_live_ends_it_in_whatever_state() {
    let harbor = Installation::new().await;
    let ttl = |minutes| NewSandbox { ttl: Some(minutes), auto_stop: Some(0), ..NewSandbox::default() };
    let (running, stopped) = (started(&harbor, ttl(1)).await, started(&harbor, ttl(1)).await);
    let forever = started(&harbor, ttl(0)).await;
    harbor.stop(stopped).await;
    harbor.idle(NEARLY_A_MINUTE).await;
    assert_eq!(
        (state(&harbor, running).await, state(&harbor, stopped).await),
        (SandboxState::Started, SandboxState::Stopped)
    );
    harbor.idle(OVER_A_MINUTE).await;
    harbor.reaches(running, SandboxState::Destroyed, SOON).await;
    harbor.reaches(stopped, SandboxState::Destroyed, SOON).await;
    assert_eq!(state(&harbor, forever).await, SandboxState::Started);
}

#[tokio::test(start_paused = true)]
async fn a_shorter_interval_counts_at_once() {
    let harbor = Installation::new().await;
    let id = started(&harbor, NewSandbox::default()).await;
    harbor.idle(Duration::from_mins(2)).await;
    harbor
        .store
        .by(Actor::Harbor)
        .change_sandbox(id, harbor.clock.wall(), |row| row.settings.auto_stop_minutes = 1)
        .await
        .unwrap();
    harbor.reaches(id, SandboxState::Stopped, SOON).await;
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_is_set_brings_nothing_about_early_nor_a_day_late() {
    for days in [1, -1] {
        let harbor = Installation::new().await;
        let new = NewSandbox { ttl: Some(3), ..one_minute() };
        let id = started(&harbor, new).await;
        harbor.idle(Duration::from_secs(20)).await;
        harbor.clock.set_by(time::Duration::days(days));
        harbor.idle(Duration::from_secs(30)).await;
        assert_eq!(state(&harbor, id).await, SandboxState::Started, "{days}");
        harbor.idle(Duration::from_secs(20)).await;
        harbor.reaches(id, SandboxState::Stopped, SOON).await;
        harbor.idle(Duration::from_secs(90)).await;
        assert_eq!(state(&harbor, id).await, SandboxState::Stopped, "{days}");
        harbor.idle(Duration::from_secs(30)).await;
        harbor.reaches(id, SandboxState::Destroyed, SOON).await;
    }
}
