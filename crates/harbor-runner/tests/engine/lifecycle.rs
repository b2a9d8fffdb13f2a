//! A sandbox from its making to its end, each call done twice.

use std::time::{Duration, Instant};

use harbor_model::sandboxes::{Found, FoundSandbox};
use harbor_runner::{Runner, EngineError, Transport};

use crate::fixture::{Fixture, configuration, docker, eventually};

#[tokio::test]
async fn a_sandbox_lives_stops_and_lives_again() {
    lives(Fixture::prepared().await).await;
}

#[tokio::test]
async fn a_sandbox_lives_in_the_streaming_form_too() {
    let fixture = Fixture::with(Transport::Streaming).await;
    fixture.runner.prepare().await.unwrap();
    lives(fixture).await;
}

async fn lives(fixture: Fixture) {
    let runner = &fixture.runner;
    let spec = fixture.spec();
    let id = spec.id;
    assert_eq!(runner.find(&id).await.unwrap(), Found { sandbox: None });

    runner.reserve(&id).await.unwrap();
    runner.reserve(&id).await.unwrap();
    assert_eq!(runner.find(&id).await.unwrap(), Found { sandbox: None });

    let container = runner.create(&spec).await.unwrap();
    assert_eq!(runner.create(&spec).await.unwrap(), container);
    let made = FoundSandbox::Made(container.clone());
    assert_eq!(runner.find(&id).await.unwrap().sandbox, Some(made));

    let boot = runner.start(&id, &container).await.unwrap();
    assert_eq!(runner.start(&id, &container).await.unwrap(), boot);
    let running = FoundSandbox::Running { container: container.clone(), boot: boot.clone(), connected: true };
    assert_eq!(runner.find(&id).await.unwrap().sandbox, Some(running));

    let configured = runner.configure(&id, &container, &configuration("first")).await.unwrap();
    assert_eq!(configured.protocol, harbor_protocol::toolbox::PROTOCOL);
    runner.configure(&id, &container, &configuration("first")).await.unwrap();
    assert_eq!(Fixture::serves(runner, &id, 3000).await, "hello\n");
    assert!(matches!(runner.dial(&id, 3001).await, Err(harbor_runner::DialError::Refused(3001))));

    let stopping = Instant::now();
    runner.stop(&id, &container, Duration::from_secs(20)).await.unwrap();
    assert!(stopping.elapsed() < Duration::from_secs(10), "process 1 heeds SIGTERM");
    runner.stop(&id, &container, Duration::from_secs(20)).await.unwrap();
    let found = runner.find(&id).await.unwrap().sandbox;
    assert!(matches!(found, Some(FoundSandbox::Exited { connected: true, .. })), "{found:?}");
    assert!(runner.dial(&id, 3000).await.is_err());

    let second = runner.start(&id, &container).await.unwrap();
    assert_ne!(second, boot);
    runner.configure(&id, &container, &configuration("second")).await.unwrap();
    assert_eq!(Fixture::serves(runner, &id, 3000).await, "hello\n");

    runner.remove(&id).await.unwrap();
    runner.remove(&id).await.unwrap();
    assert_eq!(runner.find(&id).await.unwrap(), Found { sandbox: None });
    fixture.finish().await;
}

#[tokio::test]
async fn a_restarted_harbor_goes_on_where_the_old_one_was() {
    let fixture = Fixture::prepared().await;
    let started = fixture.started().await;

    let runner = fixture.again().await;
    let found = runner.find(&started.id).await.unwrap().sandbox;
    let running = FoundSandbox::Running { container: started.container.clone(), boot: started.boot, connected: true };
    assert_eq!(found, Some(running));
    runner.configure(&started.id, &started.container, &configuration("token")).await.unwrap();

    let runner = fixture.again().await;
    runner.stop(&started.id, &started.container, Duration::from_secs(5)).await.unwrap();
    let runner = fixture.again().await;
    runner.start(&started.id, &started.container).await.unwrap();
    runner.configure(&started.id, &started.container, &configuration("token")).await.unwrap();
    fixture.finish().await;
}

#[tokio::test]
async fn a_token_is_changed_with_the_one_in_force() {
    let fixture = Fixture::prepared().await;
    let started = fixture.started().await;
    let (id, container) = (&started.id, &started.container);
    let mut change = configuration("other");
    change.previous = Some(configuration("token").token);
    fixture.runner.configure(id, container, &change).await.unwrap();
    // the same again, as after a crash: the old token is no longer in force
    fixture.runner.configure(id, container, &change).await.unwrap();
    fixture.finish().await;
}

#[tokio::test]
async fn an_infra_that_died_is_seen_and_replaced_by_stop_and_start() {
    let fixture = Fixture::prepared().await;
    let started = fixture.started().await;
    let infra = format!("harbor-infra-{}", started.id);

    docker(&["kill", &infra]);
    assert!(!connected(&fixture.runner, &started.id).await);
    // started by somebody else, it has another namespace than the sandbox that still runs
    docker(&["start", &infra]);
    assert!(!connected(&fixture.runner, &started.id).await);

    fixture.runner.stop(&started.id, &started.container, Duration::from_secs(5)).await.unwrap();
    fixture.runner.start(&started.id, &started.container).await.unwrap();
    fixture.runner.configure(&started.id, &started.container, &configuration("token")).await.unwrap();
    assert!(connected(&fixture.runner, &started.id).await);
    fixture.finish().await;
}

async fn connected(runner: &Runner, id: &harbor_model::ids::SandboxId) -> bool {
    match runner.find(id).await.unwrap().sandbox {
        Some(FoundSandbox::Running { connected, .. }) => connected,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_reserved_infra_that_died_is_started_again() {
    let fixture = Fixture::prepared().await;
    let spec = fixture.spec();
    fixture.runner.reserve(&spec.id).await.unwrap();
    docker(&["kill", &format!("harbor-infra-{}", spec.id)]);
    let container = fixture.runner.create(&spec).await.unwrap();
    fixture.runner.start(&spec.id, &container).await.unwrap();
    fixture.runner.configure(&spec.id, &container, &configuration("token")).await.unwrap();
    fixture.finish().await;
}

#[tokio::test]
async fn a_reserved_infra_that_a_crash_left_without_token_is_given_one() {
    let fixture = Fixture::with(Transport::Streaming).await;
    fixture.runner.prepare().await.unwrap();
    let id = fixture.spec().id;
    fixture.runner.reserve(&id).await.unwrap();
    let infra = format!("harbor-infra-{id}");
    docker(&["kill", &infra]);
    std::fs::remove_file(fixture.run_directory().join(id.to_string()).join("token")).unwrap();
    let empty = tempfile::NamedTempFile::new().unwrap();
    docker(&["cp", empty.path().to_str().unwrap(), &format!("{infra}:/harbor-token")]);

    fixture.runner.reserve(&id).await.unwrap();
    // one that runs keeps the token that it has read
    std::fs::remove_file(fixture.run_directory().join(id.to_string()).join("token")).unwrap();
    fixture.runner.reserve(&id).await.unwrap();
    fixture.finish().await;
}

#[tokio::test]
async fn a_made_sandbox_whose_infra_was_removed_is_made_again() {
    let fixture = Fixture::prepared().await;
    let spec = fixture.spec();
    let first = fixture.runner.create(&spec).await.unwrap();
    docker(&["rm", "-f", &format!("harbor-infra-{}", spec.id)]);
    let refused = fixture.runner.start(&spec.id, &first).await;
    assert!(matches!(refused, Err(EngineError::InfraGone { .. })), "{refused:?}");
    assert_eq!(fixture.runner.find(&spec.id).await.unwrap().sandbox, None);
    let second = fixture.runner.create(&spec).await.unwrap();
    assert_ne!(first, second);
    fixture.runner.start(&spec.id, &second).await.unwrap();
    fixture.runner.configure(&spec.id, &second, &configuration("token")).await.unwrap();
    fixture.finish().await;
}

#[tokio::test]
async fn a_sandbox_that_ends_on_its_own_shows_its_exit_code() {
    let fixture = Fixture::prepared().await;
    let started = fixture.started().await;
    docker(&["kill", &format!("harbor-{}", started.id)]);
    eventually("seen as ended", || async {
        let found = fixture.runner.find(&started.id).await.unwrap().sandbox;
        matches!(found, Some(FoundSandbox::Exited { code: 137, connected: true, .. }))
    })
    .await;
    fixture.finish().await;
}
