//! What is stored of a sandbox's files is what they were.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use harbor_model::ids::{LayerId, SandboxId};
use harbor_runner::{Engine, EngineError, SandboxSpec, Storing};

use crate::remake::{CHANGES, FACTS};
use harbor_runner::fixture::{Fixture, configuration, docker};

#[tokio::test]
async fn a_copy_of_what_runs_is_what_it_was_and_disturbs_nothing() {
    copied(Fixture::prepared().await, Storing::Kept, false).await;
}

#[tokio::test]
async fn a_copy_that_is_read_once_is_the_same() {
    copied(Fixture::prepared().await, Storing::ReadOnce, true).await;
}

#[tokio::test]
async fn a_copy_is_the_same_where_only_the_engine_can_reach_the_files() {
    copied(out_of_reach().await, Storing::ReadOnce, false).await;
}

#[tokio::test]
async fn a_damaged_copy_is_refused_and_nothing_is_left_of_it() {
    damaged(Fixture::prepared().await).await;
}

#[tokio::test]
async fn a_damaged_copy_is_refused_where_only_the_engine_can_reach_the_files() {
    damaged(out_of_reach().await).await;
}

/// As to a harbor that does not run as root, or not on the engine's machine.
async fn out_of_reach() -> Fixture {
    let fixture = Fixture::over_tcp().await;
    fixture.runner.prepare().await.unwrap();
    fixture
}

async fn copied(fixture: Fixture, storing: Storing, as_directory: bool) {
    let started = fixture.started().await;
    Fixture::shell(&started.id, CHANGES);
    let facts = Fixture::shell(&started.id, FACTS);
    // not yet on the disk, and open
    Fixture::shell(&started.id, "while :; do echo x >>/ticks; busybox usleep 1000; done >/dev/null 2>&1 &");
    let layer = LayerId::random();
    let stored = fixture.runner.save(&started.id, &started.container, &layer, storing, true).await.unwrap();
    let ticks = || Fixture::shell(&started.id, "busybox wc -l </ticks").parse::<u32>().unwrap();
    let before = ticks();
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(ticks() > before, "its processes go on");

    let directory = fixture.layers().join(format!("{layer}.tree"));
    assert_eq!(directory.is_dir(), as_directory);
    if !as_directory {
        let found = fs::metadata(fixture.layers().join(format!("{layer}.tar.zst"))).unwrap();
        assert_eq!((found.len(), found.permissions().mode() & 0o777), (stored.bytes, 0o600));
    }

    let spec = SandboxSpec { id: SandboxId::random(), filling: Some(stored.clone()), ..fixture.spec() };
    // a crash of harbor's before the copy was complete
    docker(&[
        "create",
        "--name",
        &format!("harbor-{}-new", spec.id),
        "--label",
        "harbor.role=sandbox",
        "--label",
        &format!("harbor.sandbox={}", spec.id),
        "--label",
        &format!("harbor.instance={}", fixture.instance),
        &fixture.image,
    ]);
    let container = fixture.runner.create(&spec).await.unwrap();
    fixture.runner.discard(&layer).await.unwrap();
    assert_eq!(fixture.runner.layers().await.unwrap(), []);
    fixture.runner.start(&spec.id, &container).await.unwrap();
    fixture.runner.configure(&spec.id, &container, &configuration("token")).await.unwrap();
    assert_eq!(Fixture::shell(&spec.id, FACTS), facts);
    let copied: u32 = Fixture::shell(&spec.id, "busybox wc -l </ticks").parse().unwrap();
    assert!(copied > 0 && copied <= ticks(), "{copied}");

    // and a copy of the copy
    let again = LayerId::random();
    fixture.runner.stop(&spec.id, &container, Duration::from_secs(1)).await.unwrap();
    let stored = fixture.runner.save(&spec.id, &container, &again, storing, false).await.unwrap();
    let spec = SandboxSpec { id: SandboxId::random(), filling: Some(stored), ..fixture.spec() };
    let container = fixture.runner.create(&spec).await.unwrap();
    // its files may be those of the container until then, and count as links of them
    fixture.runner.discard(&again).await.unwrap();
    fixture.runner.start(&spec.id, &container).await.unwrap();
    assert_eq!(Fixture::shell(&spec.id, FACTS), facts);
    fixture.finish().await;
}

async fn damaged(fixture: Fixture) {
    let started = fixture.started().await;
    Fixture::shell(&started.id, "busybox seq 100000 >/numbers");
    let layer = LayerId::random();
    let stored = fixture.runner.save(&started.id, &started.container, &layer, Storing::Kept, true).await.unwrap();
    let file = fixture.layers().join(format!("{layer}.tar.zst"));
    let whole = fs::read(&file).unwrap();
    for damage in [whole[..whole.len() / 2].to_vec(), [&whole[..], b"more"].concat(), {
        let mut flipped = whole.clone();
        flipped[whole.len() / 2] ^= 1;
        flipped
    }] {
        fs::write(&file, damage).unwrap();
        let spec = SandboxSpec { id: SandboxId::random(), filling: Some(stored.clone()), ..fixture.spec() };
        let refused = fixture.runner.create(&spec).await;
        assert!(matches!(refused, Err(EngineError::Files { .. })), "{refused:?}");
        assert_eq!(fixture.runner.find(&spec.id).await.unwrap().sandbox, None);
        fixture.runner.remove(&spec.id).await.unwrap();
    }
    fs::write(&file, whole).unwrap();
    let spec = SandboxSpec { id: SandboxId::random(), filling: Some(stored), ..fixture.spec() };
    fixture.runner.create(&spec).await.unwrap();
    fixture.finish().await;
}

#[tokio::test]
async fn a_damaged_copy_that_is_read_once_is_refused() {
    let fixture = Fixture::prepared().await;
    let started = fixture.started().await;
    Fixture::shell(&started.id, "busybox seq 100000 >/numbers; echo x >/other");
    for harm in [
        |tree: &Path| fs::remove_file(tree.join("other")).unwrap(),
        |tree: &Path| fs::write(tree.join("numbers"), "1").unwrap(),
        |tree: &Path| fs::set_permissions(tree.join("other"), fs::Permissions::from_mode(0o777)).unwrap(),
        |tree: &Path| fs::write(tree.join("more"), "x").unwrap(),
    ] {
        let layer = LayerId::random();
        let save = fixture.runner.save(&started.id, &started.container, &layer, Storing::ReadOnce, true);
        let stored = save.await.unwrap();
        harm(&fixture.layers().join(format!("{layer}.tree")));
        let spec = SandboxSpec { id: SandboxId::random(), filling: Some(stored), ..fixture.spec() };
        let refused = fixture.runner.create(&spec).await;
        assert!(matches!(refused, Err(EngineError::Files { .. })), "{refused:?}");
        assert_eq!(fixture.runner.find(&spec.id).await.unwrap().sandbox, None);
        fixture.runner.remove(&spec.id).await.unwrap();
    }
    fixture.finish().await;
}

#[tokio::test]
async fn a_copy_that_does_not_come_to_its_end_leaves_no_file() {
    let fixture = Fixture::prepared().await;
    let started = fixture.started().await;
    Fixture::shell(&started.id, "busybox dd if=/dev/urandom of=/large bs=1M count=64 2>/dev/null");
    let layer = LayerId::random();
    let save = fixture.runner.save(&started.id, &started.container, &layer, Storing::Kept, true);
    assert!(tokio::time::timeout(Duration::from_millis(60), save).await.is_err(), "too quick to be cut short");
    let kept = || fs::read_dir(fixture.layers()).unwrap().count();
    let begun = std::time::Instant::now();
    while kept() > 0 {
        assert!(begun.elapsed() < Duration::from_secs(5), "{} files are left", kept());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // it is frozen until the next attempt
    fixture.runner.save(&started.id, &started.container, &layer, Storing::Kept, true).await.unwrap();
    assert_eq!(Fixture::shell(&started.id, "echo runs"), "runs");
    fixture.finish().await;
}

#[tokio::test]
async fn the_image_that_stored_files_lie_on_outlives_a_clean_up() {
    let fixture = Fixture::prepared().await;
    let started = fixture.started().await;
    Fixture::shell(&started.id, "echo kept >/kept");
    let layer = LayerId::random();
    let stored = fixture.runner.save(&started.id, &started.container, &layer, Storing::Kept, true).await.unwrap();
    fixture.runner.remove(&started.id).await.unwrap();
    let image = stored.image.clone();
    let keeper = || {
        let instance = format!("label=harbor.instance={}", fixture.instance);
        docker(&["ps", "--quiet", "--filter", &instance, "--filter", "label=harbor.role=base"])
    };
    // as a clean-up does, which leaves what a running container is made of
    fixture.prune_containers();
    assert!(Command::new("docker").args(["image", "rm", &image]).output().unwrap().stderr.starts_with(b"Error"));
    // and somebody takes the keeper away, which is found when all is looked at
    docker(&["rm", "--force", &keeper()]);
    let needed = BTreeSet::from([image.clone()]);
    fixture.runner.keep_images(&needed, true).await.unwrap();
    let kept = keeper();
    assert!(!kept.is_empty() && !kept.contains('\n'), "{kept}");
    fixture.runner.keep_images(&needed, true).await.unwrap();
    fixture.runner.keep_images(&BTreeSet::new(), false).await.unwrap();
    assert_eq!(keeper(), kept);

    let spec = SandboxSpec { id: SandboxId::random(), filling: Some(stored), ..fixture.spec() };
    let container = fixture.runner.create(&spec).await.unwrap();
    fixture.runner.start(&spec.id, &container).await.unwrap();
    assert_eq!(Fixture::shell(&spec.id, "busybox cat /kept"), "kept");
    fixture.runner.remove(&spec.id).await.unwrap();
    fixture.runner.keep_images(&BTreeSet::new(), true).await.unwrap();
    assert_eq!(keeper(), "");
    let gone = BTreeSet::from([format!("sha256:{}", "0".repeat(64))]);
    let gone = fixture.runner.keep_images(&gone, true).await;
    assert!(matches!(gone, Err(EngineError::ImageMissing { .. })), "{gone:?}");
    fixture.finish().await;
}
