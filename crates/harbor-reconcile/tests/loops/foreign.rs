//! What happens to containers behind harbor's back, and how it is noticed.

use std::time::Duration;

use harbor_model::actors::Actor;
use harbor_model::ids::SandboxId;
use harbor_model::resources::Resources;
use harbor_model::sandboxes::SandboxState;
use harbor_reconcile::Clock;
use harbor_runner::pretend::{Act, DEADLINE, Verb};
use harbor_runner::{Engine, SandboxSpec};

use crate::installation::Installation;

const SOON: Duration = Duration::from_secs(1);

/// A listing comes at least this often.
const LISTING: Duration = Duration::from_secs(70);

#[tokio::test(start_paused = true)]
async fn what_ends_by_itself_is_stopped_or_in_error() {
    let harbor = Installation::new().await;
    let (well, badly, lost) = (harbor.started().await, harbor.started().await, harbor.started().await);
    harbor.engine.kill(&well, 0);
    harbor.engine.kill(&badly, 3);
    harbor.engine.lose(&lost);
    harbor.reaches(well, SandboxState::Stopped, SOON).await;
    harbor.reaches(badly, SandboxState::Error, SOON).await;
    harbor.reaches(lost, SandboxState::Error, SOON).await;
    assert!(harbor.row(well).await.note.unwrap().contains("without being asked"));
    assert!(harbor.row(badly).await.failure.unwrap().reason.contains("code 3"));
    assert!(harbor.row(lost).await.failure.unwrap().reason.contains("removed by somebody else"));
    assert_eq!(harbor.start(well).await.unwrap().state(), SandboxState::Started);
}

#[tokio::test(start_paused = true)]
async fn a_sandbox_without_network_keeper_is_stopped_and_made_anew_when_it_is_wanted() {
    let harbor = Installation::new().await;
    let id = harbor.started().await;
    harbor.engine.lose_infra(&id);
    harbor.reaches(id, SandboxState::Stopped, SOON).await;
    assert!(harbor.row(id).await.note.unwrap().contains("network keeper"));
    assert_eq!(harbor.start(id).await.unwrap().state(), SandboxState::Started);
    assert_eq!(harbor.called(Verb::Remake, id), 1);
}

#[tokio::test(start_paused = true)]
async fn a_delete_does_not_wait_until_a_sandbox_is_made_anew() {
    let harbor = Installation::new().await;
    let id = harbor.started().await;
    harbor.engine.lose_infra(&id);
    harbor.reaches(id, SandboxState::Stopped, SOON).await;
    harbor.engine.next(Verb::Remake, Act::Slow(Duration::from_mins(14)));
    assert_eq!(harbor.start(id).await.unwrap().state(), SandboxState::Starting, "its files are copied for long");
    assert_eq!(harbor.delete(id).await.unwrap().state(), SandboxState::Destroying);
    harbor.reaches(id, SandboxState::Destroyed, SOON).await;
    assert_eq!((harbor.called(Verb::Remake, id), harbor.called(Verb::Remove, id)), (1, 1));
    // nor is it made when the copy would have been done
    harbor.pass(Duration::from_mins(15)).await;
    assert_eq!(Engine::list(&harbor.engine).await.unwrap().held.len(), 0);
    assert_eq!(harbor.row(id).await.state(), SandboxState::Destroyed);
    harbor.store.by(Actor::Harbor).purge_removed_sandboxes(harbor.clock.wall() + Duration::from_secs(1)).await.unwrap();
    assert!(harbor.store.sandbox(id).await.unwrap().is_none());
}

#[tokio::test(start_paused = true)]
async fn a_listing_finds_what_no_event_told() {
    let harbor = Installation::new().await;
    let ids = harbor.many_started(3).await;
    harbor.pass(SOON).await;
    harbor.engine.power_cut();
    for id in ids {
        harbor.reaches(id, SandboxState::Stopped, LISTING).await;
    }
}

#[tokio::test(start_paused = true)]
async fn one_sandbox_that_cannot_be_looked_at_hides_no_other() {
    let harbor = Installation::new().await;
    let (hanging, other) = (harbor.started().await, harbor.started().await);
    harbor.pass(SOON).await;
    for _ in 0..100 {
        harbor.engine.next_for(&hanging, Verb::Look, Act::Hang);
    }
    harbor.engine.power_cut();
    harbor.reaches(other, SandboxState::Stopped, LISTING).await;
    assert_eq!(harbor.row(hanging).await.state(), SandboxState::Started, "nothing is known of it");
}

#[tokio::test(start_paused = true)]
async fn events_do_not_wait_for_a_listing_that_hangs() {
    let harbor = Installation::new().await;
    let id = harbor.started().await;
    for _ in 0..100 {
        harbor.engine.next(Verb::List, Act::Hang);
    }
    harbor.pass(LISTING).await;
    assert_eq!(harbor.report("listing").under_way.len(), 1, "it hangs");
    harbor.engine.kill(&id, 0);
    harbor.reaches(id, SandboxState::Stopped, SOON).await;
}

#[tokio::test(start_paused = true)]
async fn a_listing_that_fails_is_tried_again_soon() {
    let harbor = Installation::new().await;
    let id = harbor.started().await;
    harbor.engine.unplug();
    harbor.pass(LISTING).await;
    assert!(harbor.report("listing").last_failure.unwrap().outcome.contains("does not answer"));
    harbor.engine.power_cut();
    harbor.engine.plug_in();
    harbor.reaches(id, SandboxState::Stopped, SOON * 3).await;
}

#[tokio::test(start_paused = true)]
async fn infra_of_nobody_goes_and_files_of_nobody_stay() {
    let harbor = Installation::new().await;
    let (infra, files) = (SandboxId::random(), SandboxId::random());
    Engine::reserve(&harbor.engine, &infra).await.unwrap();
    let spec = SandboxSpec {
        id: files,
        image: harbor_runner::fixture::PRETEND_IMAGE.to_owned(),
        filling: None,
        entrypoint: Vec::new(),
        resources: Resources::DEFAULT,
        mounts: Vec::new(),
        link: None,
    };
    Engine::create(&harbor.engine, &spec).await.unwrap();
    harbor.pass(LISTING).await;
    let held = Engine::list(&harbor.engine).await.unwrap().held;
    assert_eq!(held.iter().map(|held| held.sandbox).collect::<Vec<_>>(), [files]);
}

#[tokio::test(start_paused = true)]
async fn what_was_wanted_while_nobody_worked_is_done_at_the_start() {
    let harbor = Installation::new().await;
    let id = harbor.started().await;
    // as after a crash: the row says that it never ran
    harbor.engine.power_cut();
    harbor.engine.unplug();
    harbor.stop(id).await;
    harbor.pass(DEADLINE).await;
    assert_eq!(harbor.row(id).await.state(), SandboxState::Stopping);
    harbor.engine.plug_in();
    harbor.reaches(id, SandboxState::Stopped, Duration::from_secs(20)).await;
}
