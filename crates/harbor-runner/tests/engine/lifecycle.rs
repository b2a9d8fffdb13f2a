//! A sandbox's life where it is Docker's own: the forms of dialling, and containers that others started or emptied.

use std::time::{Duration, Instant};

use harbor_model::sandboxes::FoundSandbox;
use harbor_runner::{DialError, DockerEngine, Transport};

use harbor_runner::fixture::{Fixture, configuration, docker};

#[tokio::test]
async fn bytes_pass_in_both_forms() {
    for transport in [None, Some(Transport::Streaming)] {
        let fixture = Fixture::with(transport).await;
        fixture.runner.prepare().await.unwrap();
        let started = fixture.started().await;
        assert_eq!(Fixture::serves(&fixture.runner, &started.id, 3000).await, "hello\n");
        assert!(matches!(fixture.runner.dial(&started.id, 3001).await, Err(DialError::Refused(3001))));

        let stopping = Instant::now();
        fixture.runner.stop(&started.id, &started.container, Duration::from_secs(20)).await.unwrap();
        assert!(stopping.elapsed() < Duration::from_secs(10), "process 1 heeds SIGTERM");
        assert!(fixture.runner.dial(&started.id, 3000).await.is_err());
        fixture.runner.start(&started.id, &started.container).await.unwrap();
        fixture.runner.configure(&started.id, &started.container, &configuration("second")).await.unwrap();
        assert_eq!(Fixture::serves(&fixture.runner, &started.id, 3000).await, "hello\n");
        fixture.finish().await;
    }
}

#[tokio::test]
async fn an_infra_that_somebody_started_again_is_another_network() {
    let fixture = Fixture::prepared().await;
    let started = fixture.started().await;
    let infra = format!("harbor-infra-{}", started.id);

    docker(&["kill", &infra]);
    // started by somebody else, it has another namespace than the sandbox that still runs
    docker(&["start", &infra]);
    assert!(!connected(&fixture.runner, &started.id).await);
    fixture.finish().await;
}

#[tokio::test]
async fn containers_that_somebody_renamed_get_their_names_back() {
    let fixture = Fixture::prepared().await;
    let started = fixture.started().await;
    let id = started.id;
    let [sandbox, infra] = [format!("harbor-{id}"), format!("harbor-infra-{id}")];
    docker(&["rename", &sandbox, &format!("mine-{id}")]);
    docker(&["rename", &infra, &format!("mine-infra-{id}")]);
    assert!(connected(&fixture.again().await, &id).await);
    assert_eq!(docker(&["inspect", "--format", "{{.Id}}", &sandbox]), started.container.as_str());
    assert_eq!(docker(&["ps", "-aq", "--filter", &format!("name={id}")]).lines().count(), 2);

    // one of an image that somebody made of it
    docker(&["commit", &sandbox, &format!("{}-mine", fixture.image)]);
    docker(&["rm", "--force", &sandbox]);
    let foreign = docker(&["create", "--name", &format!("mine-{id}"), &format!("{}-mine", fixture.image)]);
    let runner = fixture.again().await;
    assert_eq!(runner.find(&id).await.unwrap().sandbox, None);
    assert_eq!(docker(&["inspect", "--format", "{{.Name}}", &foreign]), format!("/mine-{id}"));
    docker(&["rm", &foreign]);
    docker(&["rmi", &format!("{}-mine", fixture.image)]);
    fixture.finish().await;
}

#[tokio::test]
async fn an_infra_whose_socket_was_removed_is_started_anew() {
    let fixture = Fixture::prepared().await;
    let started = fixture.started().await;
    let id = started.id;
    std::fs::remove_dir_all(fixture.run_directory()).unwrap();
    let patience = Instant::now();
    let runner = fixture.again().await;
    runner.prepare().await.unwrap();
    // one that has just been started may not have made it yet
    while connected(&runner, &id).await {
        assert!(patience.elapsed() < Duration::from_secs(30));
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    runner.stop(&id, &started.container, Duration::from_secs(1)).await.unwrap();
    runner.start(&id, &started.container).await.unwrap();
    runner.configure(&id, &started.container, &configuration("second")).await.unwrap();
    assert_eq!(Fixture::serves(&runner, &id, 3000).await, "hello\n");
    fixture.finish().await;
}

async fn connected(runner: &DockerEngine, id: &harbor_model::ids::SandboxId) -> bool {
    match runner.find(id).await.unwrap().sandbox {
        Some(FoundSandbox::Running { connected, .. }) => connected,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_reserved_infra_that_a_crash_left_without_token_is_given_one() {
    let fixture = Fixture::with(Some(Transport::Streaming)).await;
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
