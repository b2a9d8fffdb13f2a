//! The stock of infra containers.

use std::time::Duration;

use futures_util::future::join_all;
use harbor_model::ids::SandboxId;
use harbor_runner::Engine;
use harbor_runner::pretend::{Act, Verb};

use crate::installation::{Installation, refused};

const SOON: Duration = Duration::from_secs(1);

/// The stock is looked at, and the engine listed, at least this often.
const INTERVAL: Duration = Duration::from_secs(100);

async fn ready(harbor: &Installation) -> Vec<SandboxId> {
    let stock = harbor.store.infra_stock().await.unwrap();
    stock.into_iter().filter(|(_, ready)| *ready).map(|(id, _)| id).collect()
}

#[tokio::test(start_paused = true)]
async fn a_create_takes_one_from_the_stock_which_is_filled_again() {
    let harbor = Installation::with_stock(2).await;
    harbor.pass(SOON).await;
    let before = ready(&harbor).await;
    assert_eq!(before.len(), 2);
    let id = harbor.started().await;
    assert!(before.contains(&id), "its infra was there before");
    harbor.pass(SOON).await;
    let after = ready(&harbor).await;
    assert_eq!(after.len(), 2);
    assert!(!after.contains(&id));
}

#[tokio::test(start_paused = true)]
async fn a_burst_fills_it_for_an_hour() {
    let harbor = Installation::with_stock(1).await;
    harbor.pass(SOON).await;
    join_all((0..3).map(|_| harbor.started())).await;
    // as many as were asked for at once
    harbor.stays_at(3, async || ready(&harbor).await.len()).await;
    join_all((0..6).map(|_| harbor.started())).await;
    // no more than the bound
    harbor.stays_at(4, async || ready(&harbor).await.len()).await;
    harbor.idle(Duration::from_mins(62)).await;
    assert_eq!(ready(&harbor).await.len(), 1, "demand is gone");
    assert_eq!(Engine::list(&harbor.engine).await.unwrap().held.len(), 10);
}

#[tokio::test(start_paused = true)]
async fn what_somebody_stopped_or_removed_is_not_handed_out() {
    let harbor = Installation::with_stock(2).await;
    harbor.pass(SOON).await;
    let before = ready(&harbor).await;
    harbor.engine.kill_infra(&before[0]);
    harbor.engine.lose_infra(&before[1]);
    harbor.pass(INTERVAL).await;
    let after = ready(&harbor).await;
    assert_eq!(after.len(), 2);
    assert!(after.iter().all(|id| !before.contains(id)));
    let held = Engine::list(&harbor.engine).await.unwrap().held;
    assert_eq!(held.len(), 2, "what was put aside is removed: {held:?}");
}

#[tokio::test(start_paused = true)]
async fn one_that_cannot_be_made_is_tried_again_and_leaves_nothing() {
    let harbor = Installation::with_stock(1).await;
    harbor.engine.next(Verb::Reserve, Act::Fail(refused()));
    harbor.engine.next(Verb::Reserve, Act::Lost);
    harbor.pass(INTERVAL).await;
    assert_eq!(ready(&harbor).await.len(), 1);
    assert_eq!(Engine::list(&harbor.engine).await.unwrap().held.len(), 1);
    assert!(harbor.report("infra stock").failures >= 2);
}

#[tokio::test(start_paused = true)]
async fn sandboxes_come_first_and_stops_that_hang_do_not_count() {
    let harbor = Installation::with_stock(1).await;
    harbor.pass(SOON).await;
    let id = harbor.started().await;
    for _ in 0..10 {
        harbor.engine.next_for(&id, Verb::Stop, Act::Hang);
    }
    harbor.stop(id).await;
    harbor.pass(SOON).await;
    assert_eq!(ready(&harbor).await.len(), 1);
    harbor.engine.takes(Verb::Create, Duration::from_secs(3));
    let reserved = || harbor.engine.calls().iter().filter(|call| call.verb == Verb::Reserve).count();
    let before = reserved();
    let creating = async {
        harbor.pass(Duration::from_secs(2)).await;
        reserved()
    };
    let (_, during) = tokio::join!(harbor.started(), creating);
    assert_eq!(during, before, "the stock was filled while a sandbox was being started");
    harbor.pass(SOON).await;
    assert_eq!(ready(&harbor).await.len(), 2, "two were asked for within a minute");
}
