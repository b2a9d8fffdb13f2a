//! What changes on the engine is told.

use std::collections::BTreeSet;
use std::pin::pin;
use std::time::Duration;

use futures_util::StreamExt;
use harbor_model::sandboxes::FoundSandbox;
use harbor_runner::Event;

use crate::fixture::{Fixture, docker};

#[tokio::test]
async fn changes_are_told_and_strangers_are_not() {
    let fixture = Fixture::prepared().await;
    let stranger = Fixture::prepared().await;
    let mut events = pin!(fixture.runner.events());
    assert_eq!(next(&mut events).await, Event::Reconnected);

    let other = stranger.started().await;
    let started = fixture.started().await;
    docker(&["kill", &format!("harbor-{}", started.id)]);
    let mut changes = 0;
    while let Ok(Some(event)) = tokio::time::timeout(Duration::from_secs(2), events.next()).await {
        assert_eq!(event, Event::Changed(started.id));
        changes += 1;
    }
    // both containers made and started, one ended
    assert!(changes >= 5, "{changes}");
    stranger.runner.remove(&other.id).await.unwrap();
    fixture.runner.remove(&started.id).await.unwrap();
    assert_eq!(next(&mut events).await, Event::Changed(started.id));
    stranger.finish().await;
    fixture.finish().await;
}

#[tokio::test]
async fn what_happens_before_the_stream_is_read_is_not_lost() {
    let fixture = Fixture::prepared().await;
    let mut events = pin!(fixture.runner.events());
    assert_eq!(next(&mut events).await, Event::Reconnected);
    let started = fixture.started().await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(next(&mut events).await, Event::Changed(started.id));
    fixture.finish().await;
}

async fn next(events: &mut (impl futures_util::Stream<Item = Event> + Unpin)) -> Event {
    tokio::time::timeout(Duration::from_secs(10), events.next()).await.expect("an event").expect("never ends")
}

#[tokio::test]
async fn the_listing_shows_everything_of_this_instance() {
    let fixture = Fixture::prepared().await;
    assert_eq!(fixture.runner.list().await.unwrap().held, []);
    let running = fixture.started().await;
    let stopped = fixture.started().await;
    fixture.runner.stop(&stopped.id, &stopped.container, Duration::from_secs(5)).await.unwrap();
    let reserved = fixture.spec().id;
    fixture.runner.reserve(&reserved).await.unwrap();
    let orphaned = fixture.started().await;
    docker(&["rm", "-f", &format!("harbor-infra-{}", orphaned.id)]);

    let held = fixture.again().await.list().await.unwrap().held;
    let ids: BTreeSet<_> = held.iter().map(|held| held.sandbox).collect();
    assert_eq!(ids, BTreeSet::from([running.id, stopped.id, reserved, orphaned.id]));
    for held in held {
        let infra = held.infra.as_ref().map(|infra| infra.running);
        let seen = (held.found.sandbox, infra);
        match held.sandbox {
            id if id == running.id => {
                assert!(matches!(seen, (Some(FoundSandbox::Running { connected: true, .. }), Some(true))), "{seen:?}");
            }
            id if id == stopped.id => {
                assert!(matches!(seen, (Some(FoundSandbox::Exited { connected: true, .. }), Some(false))), "{seen:?}");
            }
            id if id == reserved => assert!(matches!(seen, (None, Some(true))), "{seen:?}"),
            _ => assert!(matches!(seen, (Some(FoundSandbox::Running { connected: false, .. }), None)), "{seen:?}"),
        }
    }
    fixture.finish().await;
}
