//! A sandbox whose infra container is gone keeps its files.

use std::time::Duration;

use harbor_model::ids::SandboxId;
use harbor_model::sandboxes::FoundSandbox;
use harbor_runner::{EngineError, SandboxSpec};

use harbor_runner::fixture::{Fixture, Started, configuration, docker};

/// Changes of every kind that a layer can hold.
pub(crate) const CHANGES: &str = "set -e; mkdir -p /new/deep; echo data > /new/deep/file; busybox ln /new/deep/file /new/twin; \
    busybox chown 12:34 /new/deep/file; busybox chmod 4750 /new/deep/file; busybox ln -s /lower/kept /new/link; \
    busybox rm /lower/deleted; busybox rm -r /lower/directory; busybox mkdir /lower/directory; \
    echo three > /lower/directory/three; busybox mkfifo /new/pipe; busybox touch -d '2001-02-03 04:05:06' /new/old";

/// The same facts before and after.
pub(crate) const FACTS: &str = "busybox ls -R /lower /new; busybox cat /new/deep/file /new/link /lower/directory/three; \
    busybox stat -c '%n %a %u %g %h %F %Y' /new /new/deep /new/deep/file /new/twin /new/pipe /new/old";

#[tokio::test]
async fn files_survive_the_loss_of_infra() {
    let fixture = Fixture::prepared().await;
    let id = survive(&fixture).await;
    assert_eq!(kept(&id), "", "as root on the engine's machine the layer is copied, not committed");
    fixture.finish().await;
}

#[tokio::test]
async fn files_survive_where_the_layer_cannot_be_reached() {
    let fixture = Fixture::over_tcp().await;
    fixture.runner.prepare().await.unwrap();
    let id = survive(&fixture).await;
    assert_ne!(kept(&id), "");
    fixture.runner.remove(&id).await.unwrap();
    assert_eq!(kept(&id), "");
    fixture.finish().await;
}

#[tokio::test]
async fn a_removal_that_died_half_way_leaves_no_kept_image() {
    let fixture = Fixture::prepared().await;
    let keep = |id: &SandboxId| docker(&["tag", &fixture.image, &format!("harbor/kept:{id}")]);
    // its sandbox container was removed, then also its infra
    let id = fixture.spec().id;
    fixture.runner.reserve(&id).await.unwrap();
    for _ in 0..2 {
        keep(&id);
        assert_ne!(kept(&id), "");
        fixture.runner.remove(&id).await.unwrap();
        assert_eq!(kept(&id), "");
    }
    fixture.finish().await;
}

/// The image that keeps a sandbox's files, if there is one.
fn kept(id: &SandboxId) -> String {
    docker(&["images", "-q", &format!("harbor/kept:{id}")])
}

/// A sandbox loses its infra three times and keeps its files.
async fn survive(fixture: &Fixture) -> SandboxId {
    let started = fixture.started().await;
    let id = started.id;
    Fixture::shell(&id, CHANGES);
    let facts = Fixture::shell(&id, FACTS);
    let spec = lose_infra(fixture, &started).await;

    let running = fixture.runner.remake(&spec, &started.container).await;
    assert!(matches!(&running, Err(EngineError::Conflict { .. })), "a running one is not remade: {running:?}");
    fixture.runner.stop(&id, &started.container, Duration::from_secs(5)).await.unwrap();
    let refused = fixture.runner.start(&id, &started.container).await;
    assert!(matches!(refused, Err(EngineError::InfraGone { .. })), "{refused:?}");

    let container = fixture.runner.remake(&spec, &started.container).await.unwrap();
    assert_ne!(container, started.container);
    let made = FoundSandbox::Made(container.clone());
    assert_eq!(fixture.runner.find(&id).await.unwrap().sandbox, Some(made));
    assert_eq!(docker(&["ps", "-aq", "--filter", &format!("label=harbor.sandbox={id}")]).lines().count(), 2);
    fixture.runner.start(&id, &container).await.unwrap();
    fixture.runner.configure(&id, &container, &configuration("token")).await.unwrap();
    assert_eq!(Fixture::shell(&id, FACTS), facts);
    assert!(facts.contains("/new/deep/file 4750 12 34 2 regular file"), "{facts}");

    // and once more, from the remade one that never ran again
    fixture.runner.stop(&id, &container, Duration::from_secs(5)).await.unwrap();
    docker(&["rm", "-f", &format!("harbor-infra-{id}")]);
    let again = fixture.runner.remake(&spec, &container).await.unwrap();
    docker(&["rm", "-f", &format!("harbor-infra-{id}")]);
    let kept = FoundSandbox::Exited { container: again.clone(), code: 0, connected: false };
    assert_eq!(fixture.runner.find(&id).await.unwrap().sandbox, Some(kept), "it holds files although it never ran");
    let third = fixture.runner.remake(&spec, &again).await.unwrap();
    fixture.runner.start(&id, &third).await.unwrap();
    assert_eq!(Fixture::shell(&id, FACTS), facts);
    id
}

#[tokio::test]
async fn a_crash_while_containers_are_exchanged_loses_nothing() {
    let fixture = Fixture::prepared().await;
    let started = fixture.started().await;
    let id = started.id;
    let name = format!("harbor-{id}");
    Fixture::shell(&id, "echo kept > /file");
    fixture.runner.stop(&id, &started.container, Duration::from_secs(5)).await.unwrap();

    // before the successor was complete
    docker(&["rename", &name, &format!("{name}-old")]);
    let found = fixture.again().await.find(&id).await.unwrap().sandbox;
    let exited = |found: &Option<FoundSandbox>| matches!(found, Some(FoundSandbox::Exited { container, .. }) if *container == started.container);
    assert!(exited(&found), "{found:?}");

    // after: the old one has lost its name and the new one has not got it yet
    docker(&["rm", "-f", &format!("harbor-infra-{id}")]);
    let spec = SandboxSpec { id, ..fixture.spec() };
    let container = fixture.again().await.remake(&spec, &started.container).await.unwrap();
    docker(&["rename", &name, &format!("{name}-new")]);
    let old = format!("{name}-old");
    make_alike(&fixture, &old, container.as_str());
    let found = fixture.again().await.find(&id).await.unwrap().sandbox;
    assert_eq!(found, Some(FoundSandbox::Made(container.clone())));
    assert_eq!(docker(&["ps", "-aq", "--filter", &format!("name={old}")]), "");
    fixture.runner.start(&id, &container).await.unwrap();
    assert_eq!(Fixture::shell(&id, "busybox cat /file"), "kept");
    fixture.finish().await;
}

#[tokio::test]
async fn a_predecessor_that_a_crash_left_is_in_nobodys_way() {
    let fixture = Fixture::prepared().await;
    let started = fixture.started().await;
    let id = started.id;
    Fixture::shell(&id, "echo kept > /file");
    let spec = lose_infra(&fixture, &started).await;
    fixture.runner.stop(&id, &started.container, Duration::from_secs(5)).await.unwrap();

    let old = format!("harbor-{id}-old");
    make_alike(&fixture, &old, started.container.as_str());
    let container = fixture.again().await.remake(&spec, &started.container).await.unwrap();
    assert_eq!(docker(&["ps", "-aq", "--filter", &format!("name={old}")]), "");
    fixture.runner.start(&id, &container).await.unwrap();
    assert_eq!(Fixture::shell(&id, "busybox cat /file"), "kept");
    fixture.finish().await;
}

/// Makes a container under a name of its own that has the sandbox's labels.
fn make_alike(fixture: &Fixture, name: &str, container: &str) {
    let labels = ["instance", "sandbox", "role"].map(|label| {
        let format = format!("harbor.{label}={{{{index .Config.Labels \"harbor.{label}\"}}}}");
        docker(&["inspect", "--format", &format, container])
    });
    let mut create = vec!["create", "--name", name];
    for label in &labels {
        create.extend(["--label", label]);
    }
    create.push(&fixture.image);
    docker(&create);
}

/// Removes the infra container and makes sure that it is noticed.
async fn lose_infra(fixture: &Fixture, started: &Started) -> SandboxSpec {
    docker(&["rm", "-f", &format!("harbor-infra-{}", started.id)]);
    let found = fixture.runner.find(&started.id).await.unwrap().sandbox;
    assert!(matches!(found, Some(FoundSandbox::Running { connected: false, .. })), "{found:?}");
    SandboxSpec { id: started.id, ..fixture.spec() }
}
