//! Giving sandboxes other limits.

use std::time::Duration;

use harbor_model::resources::Asked;
use harbor_model::sandboxes::SandboxState;
use harbor_runner::pretend::{Act, Verb};

use crate::installation::{Installation, refused};

const SOON: Duration = Duration::from_secs(1);

fn cpu(count: u32) -> Asked {
    Asked { cpu: Some(count), ..Asked::default() }
}

#[tokio::test(start_paused = true)]
async fn a_started_one_grows_and_goes_on() {
    let harbor = Installation::new().await;
    let id = harbor.started().await;
    let boot = harbor.row(id).await.seen.boot().cloned();
    let resized = harbor.resize(id, cpu(2)).await.unwrap();
    assert_eq!((resized.state(), resized.resources.cpu), (SandboxState::Started, 2));
    assert_eq!(resized.seen.boot().cloned(), boot);
    for wrong in [cpu(2), cpu(1), cpu(5), Asked { disk_gib: Some(9), ..Asked::default() }, Asked::default()] {
        assert!(harbor.resize(id, wrong).await.is_err(), "{wrong:?}");
    }
    assert_eq!(harbor.called(Verb::Resize, id), 1);
}

#[tokio::test(start_paused = true)]
async fn a_stopped_one_may_shrink() {
    let harbor = Installation::new().await;
    let id = harbor.started().await;
    harbor.resize(id, cpu(3)).await.unwrap();
    harbor.stop(id).await;
    harbor.reaches(id, SandboxState::Stopped, SOON).await;
    let to = Asked { cpu: Some(1), disk_gib: Some(9), ..Asked::default() };
    let resized = harbor.resize(id, to).await.unwrap();
    assert_eq!((resized.state(), resized.resources.cpu, resized.resources.disk_gib), (SandboxState::Stopped, 1, 9));
    assert!(harbor.resize(id, Asked { disk_gib: Some(8), ..Asked::default() }).await.is_err());
    assert_eq!(harbor.start(id).await.unwrap().state(), SandboxState::Started);
}

#[tokio::test(start_paused = true)]
async fn one_that_cannot_be_resized_stays_as_it_is_and_says_why() {
    let harbor = Installation::new().await;
    let id = harbor.started().await;
    for _ in 0..3 {
        harbor.engine.next_for(&id, Verb::Resize, Act::Fail(refused()));
    }
    let after = harbor.resize(id, cpu(2)).await.unwrap();
    assert_eq!((after.state(), after.resources.cpu), (SandboxState::Started, 1));
    assert!(after.note.unwrap().starts_with("it could not be resized: resize: "));
}

#[tokio::test(start_paused = true)]
async fn one_that_ends_meanwhile_is_resized_as_a_stopped_one() {
    let harbor = Installation::new().await;
    let id = harbor.started().await;
    harbor.engine.next_for(&id, Verb::Resize, Act::Fail(refused()));
    harbor.engine.kill(&id, 0);
    let after = harbor.resize(id, cpu(2)).await.unwrap();
    assert_eq!((after.state(), after.resources.cpu), (SandboxState::Stopped, 2), "{:?}", after.note);
}
