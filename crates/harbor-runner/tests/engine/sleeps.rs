//! A sandbox that sleeps: nothing of it is left but its files, and whoever prunes loses nothing.

use std::time::{Duration, Instant};

use harbor_runner::fixture::{Fixture, configuration, docker};

const GRACE: Duration = Duration::from_secs(5);

#[tokio::test]
async fn everything_ends_and_files_stay() {
    let fixture = Fixture::prepared().await;
    let started = fixture.started().await;
    let id = started.id;
    Fixture::shell(&id, "echo kept >/file; echo shared >/dev/shm/gone; busybox mkdir /dev/shm/deep");
    // daemons, one that ignores being asked, and one that has stopped
    Fixture::shell(&id, "busybox setsid busybox sleep 1000 >/dev/null 2>&1 &");
    Fixture::shell(
        &id,
        "busybox setsid busybox sh -c 'trap \"\" TERM; while :; do busybox sleep 1; done' >/dev/null 2>&1 &",
    );
    Fixture::shell(&id, "busybox sh -c 'kill -STOP $$; busybox sleep 1000' >/dev/null 2>&1 &");
    let processes = || docker(&["top", &format!("harbor-{id}"), "-o", "pid"]).lines().count() - 1;
    assert!(processes() >= 4);
    let begun = Instant::now();
    fixture.runner.sleep(&id, &started.container, Duration::from_secs(1)).await.unwrap();
    assert!(begun.elapsed() < Duration::from_secs(8), "{:?}", begun.elapsed());
    assert_eq!(processes(), 1);

    fixture.prune_containers();
    fixture.runner.start(&id, &started.container).await.unwrap();
    fixture.runner.configure(&id, &started.container, &configuration("token")).await.unwrap();
    assert_eq!(Fixture::shell(&id, "busybox cat /file; busybox ls /dev/shm"), "kept");
    fixture.finish().await;
}

/// Nothing in a paused container ends, nor does the command that puts it to sleep.
#[tokio::test]
async fn it_sleeps_although_somebody_pauses_it_meanwhile() {
    let fixture = Fixture::prepared().await;
    let started = fixture.started().await;
    let id = started.id;
    Fixture::shell(
        &id,
        "busybox setsid busybox sh -c 'trap \"\" TERM; while :; do busybox sleep 1; done' >/dev/null 2>&1 &",
    );
    let name = format!("harbor-{id}");
    let pauses = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        tokio::task::spawn_blocking(move || docker(&["pause", &name])).await.unwrap()
    };
    let sleeps = fixture.runner.sleep(&id, &started.container, Duration::from_secs(4));
    let (slept, _paused) = tokio::join!(sleeps, pauses);
    slept.unwrap();
    assert_eq!(docker(&["top", &format!("harbor-{id}"), "-o", "pid"]).lines().count(), 2, "the head and process 1");
    fixture.finish().await;
}

#[tokio::test]
async fn it_sleeps_at_once_when_it_is_told_to() {
    let fixture = Fixture::prepared().await;
    let started = fixture.started().await;
    Fixture::shell(&started.id, "busybox sh -c 'trap \"\" TERM; while :; do busybox sleep 1; done' >/dev/null 2>&1 &");
    let begun = Instant::now();
    fixture.runner.sleep(&started.id, &started.container, Duration::ZERO).await.unwrap();
    assert!(begun.elapsed() < GRACE, "{:?}", begun.elapsed());
    fixture.finish().await;
}
