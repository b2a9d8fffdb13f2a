//! What changes on the engine is told.

use std::pin::pin;
use std::time::Duration;

use futures_util::StreamExt;
use harbor_runner::Event;

use harbor_runner::fixture::{Fixture, docker};

#[tokio::test]
async fn what_strangers_do_is_not_told() {
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
