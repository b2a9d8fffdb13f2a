//! Warm pools: what is kept ready, and to whom it is given.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use harbor_control::sandboxes::NewSandbox;
use harbor_model::actors::Actor;
use harbor_model::ids::{OrganizationId, RegionId, SandboxId, WarmPoolId};
use harbor_model::pools::WarmPool;
use harbor_model::sandboxes::{Desired, Sandbox, SandboxState};
use harbor_runner::pretend::{Act, Verb};

use crate::installation::{Installation, now, refused};

const SOON: Duration = Duration::from_secs(3);

/// The pools are looked at, and the engine listed, at least this often.
const INTERVAL: Duration = Duration::from_secs(100);

/// An installation that keeps so many ready for everybody.
async fn with_pool(size: u32) -> (Installation, WarmPoolId) {
    let harbor = Installation::new().await;
    let id = add(&harbor, OrganizationId::NOBODY, size).await;
    harbor.stays_at(size as usize, async || ready(&harbor).await.len()).await;
    (harbor, id)
}

async fn add(harbor: &Installation, organization: OrganizationId, size: u32) -> WarmPoolId {
    let snapshot = harbor.snapshot().await;
    let pool = WarmPool {
        id: WarmPoolId::random(),
        organization,
        snapshot: snapshot.id,
        target: RegionId::new("us"),
        size,
        error: None,
        created_at: now(),
        updated_at: now(),
    };
    harbor.store.by(Actor::Harbor).add_warm_pool(pool).await.unwrap().id
}

async fn members(harbor: &Installation) -> Vec<Sandbox> {
    harbor.store.pool_members().await.unwrap()
}

async fn ready(harbor: &Installation) -> HashSet<SandboxId> {
    members(harbor).await.into_iter().filter(Sandbox::claimable).map(|member| member.id).collect()
}

#[tokio::test(start_paused = true)]
async fn a_create_is_given_one_that_is_started_and_another_takes_its_place() {
    let (harbor, _) = with_pool(1).await;
    let waiting = ready(&harbor).await;
    let labels = BTreeMap::from([("a".to_owned(), "b".to_owned())]);
    let new = NewSandbox { labels: labels.clone(), auto_stop: Some(7), ..NewSandbox::default() };
    let given = harbor.create_at_once(new).await;
    assert!(waiting.contains(&given.id));
    assert_eq!((given.state(), given.warm_pool), (SandboxState::Started, None));
    assert_eq!((given.settings.labels, given.settings.auto_stop_minutes), (labels, 7));
    assert_eq!(given.name.as_str(), given.id.to_string());
    assert_ne!(given.organization, OrganizationId::NOBODY);
    harbor.pass(SOON).await;
    let next = ready(&harbor).await;
    assert!(next.len() == 1 && next.is_disjoint(&waiting));
    assert!(harbor.report("warm pools").last.unwrap().outcome.contains("1 given, 0 missed"));
}

#[tokio::test(start_paused = true)]
async fn what_a_member_cannot_be_is_made_cold() {
    let (harbor, _) = with_pool(1).await;
    let waiting = ready(&harbor).await;
    let env = NewSandbox { env: BTreeMap::from([("A".to_owned(), "1".to_owned())]), ..NewSandbox::default() };
    let root = NewSandbox { user: Some("root".to_owned()), ..NewSandbox::default() };
    let mut large = NewSandbox::default();
    large.asked.cpu = Some(2);
    for new in [env, root, large] {
        let made = harbor.create_as(new).await.unwrap();
        assert!(!waiting.contains(&made.id) && made.state() == SandboxState::Started);
    }
    assert_eq!(ready(&harbor).await, waiting);
}

#[tokio::test(start_paused = true)]
async fn a_pool_of_another_organization_serves_it_alone() {
    let harbor = Installation::new().await;
    let stranger = harbor.another_organization().await;
    add(&harbor, stranger, 1).await;
    harbor.pass(SOON).await;
    let waiting = ready(&harbor).await;
    assert_eq!(waiting.len(), 1);
    assert!(!waiting.contains(&harbor.started().await));
}

#[tokio::test(start_paused = true)]
async fn two_creates_at_once_are_never_given_the_same() {
    let (harbor, _) = with_pool(3).await;
    let made = futures_util::future::join_all((0..8).map(|_| harbor.create())).await;
    let ids: HashSet<SandboxId> = made.into_iter().map(|made| made.unwrap().id).collect();
    assert_eq!(ids.len(), 8);
    assert!(members(&harbor).await.iter().all(|member| !ids.contains(&member.id)));
}

#[tokio::test(start_paused = true)]
async fn a_burst_raises_what_is_kept_ready_for_an_hour() {
    let (harbor, _) = with_pool(1).await;
    for _ in 0..3 {
        harbor.started().await;
    }
    // as many as were asked for within a minute
    harbor.stays_at(3, async || ready(&harbor).await.len()).await;
    for _ in 0..6 {
        harbor.started().await;
    }
    // no more than the bound
    harbor.stays_at(4, async || ready(&harbor).await.len()).await;
    harbor.idle(Duration::from_mins(62)).await;
    // demand is gone
    harbor.stays_at(1, async || ready(&harbor).await.len()).await;
}

#[tokio::test(start_paused = true)]
async fn one_that_ended_or_was_removed_is_not_given_to_anybody() {
    let (harbor, _) = with_pool(2).await;
    let waiting: Vec<SandboxId> = ready(&harbor).await.into_iter().collect();
    harbor.engine.kill(&waiting[0], 0);
    harbor.engine.lose_infra(&waiting[1]);
    harbor.pass(INTERVAL).await;
    let now = ready(&harbor).await;
    assert!(now.len() == 2 && waiting.iter().all(|id| !now.contains(id)));
    for id in waiting {
        assert_eq!(harbor.row(id).await.desired, Desired::Destroyed);
    }
}

#[tokio::test(start_paused = true)]
async fn members_of_an_earlier_harbor_and_of_an_older_image_are_replaced() {
    let (mut harbor, _) = with_pool(1).await;
    let first = ready(&harbor).await;
    let mut snapshot = harbor.snapshot().await;
    (snapshot.size_bytes, snapshot.updated_at) = (Some(7), now() + Duration::from_hours(1));
    harbor.store.by(Actor::Harbor).put_snapshot(snapshot).await.unwrap();
    harbor.pass(SOON).await;
    let second = ready(&harbor).await;
    assert!(second.len() == 1 && second.is_disjoint(&first));
    harbor.restart().await;
    harbor.pass(SOON).await;
    let third = ready(&harbor).await;
    assert!(third.len() == 1 && third.is_disjoint(&second));
}

#[tokio::test(start_paused = true)]
async fn a_pool_that_goes_takes_its_members_along_and_leaves_what_was_given() {
    let (harbor, pool) = with_pool(2).await;
    let given = harbor.started().await;
    harbor.pass(SOON).await;
    assert!(harbor.store.by(Actor::Harbor).remove_warm_pool(OrganizationId::NOBODY, pool).await.unwrap());
    harbor.pass(SOON).await;
    assert!(members(&harbor).await.is_empty());
    assert_eq!(harbor.row(given).await.state(), SandboxState::Started);
}

#[tokio::test(start_paused = true)]
async fn one_that_cannot_be_started_is_told_and_tried_again_later() {
    let harbor = Installation::new().await;
    for _ in 0..3 {
        harbor.engine.next(Verb::Create, Act::Fail(refused()));
    }
    add(&harbor, OrganizationId::NOBODY, 1).await;
    harbor.pass(Duration::from_secs(5)).await;
    let pool = harbor.store.warm_pools().await.unwrap().remove(0);
    assert!(pool.error.unwrap().contains("do it"));
    assert_eq!(harbor.engine.calls().iter().filter(|call| call.verb == Verb::Create).count(), 3, "not at once");
    harbor.pass(INTERVAL).await;
    assert_eq!(ready(&harbor).await.len(), 1);
    assert_eq!(harbor.store.warm_pools().await.unwrap().remove(0).error, None);
}

#[tokio::test(start_paused = true)]
async fn nothing_stops_a_member_and_nobody_sees_it() {
    let (harbor, _) = with_pool(1).await;
    let waiting = ready(&harbor).await;
    harbor.idle(Duration::from_mins(30)).await;
    assert_eq!(ready(&harbor).await, waiting);
    let id = *waiting.iter().next().unwrap();
    assert!(harbor.store.outbox_after(0, 100).await.unwrap().iter().all(|entry| entry.subject != id.to_string()));
    assert!(harbor.delete(id).await.is_err());
}
