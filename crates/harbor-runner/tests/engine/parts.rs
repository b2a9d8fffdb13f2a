//! Parts of volumes (`subpath`) on the Docker engine, and whoever tries to get at more by them.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use harbor_model::ids::{ContainerId, VolumeId};
use harbor_model::volumes::Mount;
use harbor_runner::fixture::{Fixture, configuration, docker};
use harbor_runner::{DockerEngine, EngineError, SandboxSpec};
use rustix::fs::{CWD, RenameFlags, renameat_with};

const GRACE: Duration = Duration::from_secs(1);

fn part(volume: VolumeId, path: &str, subpath: &str) -> Mount {
    Mount::checked(volume, path, Some(subpath)).unwrap()
}

async fn begin(runner: &DockerEngine, spec: &SandboxSpec, container: &ContainerId) -> Result<(), EngineError> {
    runner.start(&spec.id, container).await?;
    runner.configure(&spec.id, container, &configuration("token")).await.map(drop)
}

fn directory(fixture: &Fixture, volume: VolumeId) -> PathBuf {
    fixture.volumes().join(volume.to_string())
}

fn astray(outcome: Result<(), EngineError>, says: &str) {
    let error = outcome.unwrap_err();
    assert!(matches!(&error, EngineError::Astray { reason, .. } if reason.contains(says)), "{error:?}");
}

fn runs(spec: &SandboxSpec) -> String {
    docker(&["inspect", "--format", "{{.State.Running}}", &format!("harbor-{}", spec.id)])
}

#[tokio::test]
async fn each_sandbox_has_its_part_and_no_other_one() {
    let fixture = Fixture::prepared().await;
    let volume = VolumeId::random();
    let whole = Mount::checked(volume, "/whole", None).unwrap();
    let mounts = vec![part(volume, "/home/one/data", "users/one"), part(volume, "/mnt/two", "users/two"), whole];
    let spec = SandboxSpec { mounts, ..fixture.spec() };
    let container = fixture.runner.create(&spec).await.unwrap();
    begin(&fixture.runner, &spec, &container).await.unwrap();
    let as_somebody = |line: &str| {
        docker(&["exec", "-u", "1234:1234", &format!("harbor-{}", spec.id), "/bin/busybox", "sh", "-c", line])
    };
    as_somebody("echo first >/home/one/data/file; echo second >/mnt/two/file");
    assert_eq!(
        as_somebody("cd /whole; cat users/one/file users/two/file; ls /home/one/data/..").replace('\n', " "),
        "first second data"
    );

    // asleep, and woken by a harbor that remembers nothing; then ended, and started by another one
    fixture.runner.sleep(&spec.id, &container, GRACE).await.unwrap();
    for ended in [false, true] {
        let runner = fixture.again().await;
        if ended {
            runner.stop(&spec.id, &container, GRACE).await.unwrap();
        }
        begin(&runner, &spec, &container).await.unwrap();
        assert_eq!(as_somebody("cat /home/one/data/file"), "first");
    }
    // what is missing is made
    fixture.runner.stop(&spec.id, &container, GRACE).await.unwrap();
    fs::remove_dir_all(directory(&fixture, volume).join("users")).unwrap();
    begin(&fixture.runner, &spec, &container).await.unwrap();
    assert_eq!(as_somebody("ls -A /mnt/two; echo again >/mnt/two/file; cat /whole/users/two/file"), "again");
    fixture.finish().await;
}

/// The engine makes the working directory of an image wherever it is, before anybody has looked at what is mounted there.
#[tokio::test]
async fn the_working_directory_of_an_image_is_made_by_the_toolbox() {
    let fixture = Fixture::prepared().await;
    let (volume, base) = (VolumeId::random(), fixture.spec().image);
    let image = format!("{}-workdir", base.split(':').next().unwrap_or(&base));
    let made = docker(&["create", &base]);
    docker(&["commit", "--change", "WORKDIR /mnt/part/made", &made, &image]);
    docker(&["rm", &made]);
    let mounts = vec![part(volume, "/mnt/part", "a")];
    let spec = SandboxSpec { mounts, image: image.clone(), ..fixture.spec() };
    let container = fixture.runner.create(&spec).await.unwrap();
    fixture.runner.start(&spec.id, &container).await.unwrap();
    let there = directory(&fixture, volume).join("a/made");
    assert!(!there.exists());
    fixture.runner.configure(&spec.id, &container, &configuration("token")).await.unwrap();
    assert!(there.is_dir());
    fixture.runner.remove(&spec.id).await.unwrap();
    docker(&["rmi", &image]);
    fixture.finish().await;
}

#[tokio::test]
async fn a_link_in_the_volume_leads_nobody_out_of_it() {
    let fixture = Fixture::prepared().await;
    let volume = VolumeId::random();
    let spec = SandboxSpec { mounts: vec![part(volume, "/mnt/part", "users/one")], ..fixture.spec() };
    let container = fixture.runner.create(&spec).await.unwrap();
    let users = directory(&fixture, volume).join("users");
    let outside = tempfile::tempdir().unwrap();
    fs::create_dir(outside.path().join("one")).unwrap();
    let replace = |target: &std::path::Path| {
        fs::rename(&users, users.with_extension("aside")).unwrap();
        symlink(target, &users).unwrap();
    };
    replace(outside.path());
    let refused = begin(&fixture.runner, &spec, &container).await.unwrap_err();
    assert!(matches!(refused, EngineError::Files { .. }), "{refused:?}");
    assert_eq!(runs(&spec), "false");
    // nor is another one made of it
    let other = SandboxSpec { mounts: spec.mounts.clone(), ..fixture.spec() };
    fixture.runner.create(&other).await.unwrap_err();

    // who starts it without harbor: it is begun anew
    docker(&["start", &format!("harbor-infra-{}", spec.id), &format!("harbor-{}", spec.id)]);
    let configured = fixture.runner.configure(&spec.id, &container, &configuration("token")).await;
    assert!(matches!(configured, Err(EngineError::Files { .. })), "{configured:?}");
    assert_eq!(runs(&spec), "false");

    // a link within the volume is none out of it, but it is not what was asked for
    fs::remove_file(&users).unwrap();
    symlink("users.aside", &users).unwrap();
    begin(&fixture.runner, &spec, &container).await.unwrap_err();
    fs::remove_file(&users).unwrap();
    fs::rename(users.with_extension("aside"), &users).unwrap();
    docker(&["start", &format!("harbor-infra-{}", spec.id), &format!("harbor-{}", spec.id)]);
    // and by a harbor that knows nothing of it
    let runner = fixture.again().await;
    runner.configure(&spec.id, &container, &configuration("token")).await.unwrap();
    assert_eq!(runs(&spec), "true");
    fixture.finish().await;
}

/// Labels of an image are those of its containers, too.
#[tokio::test]
async fn an_image_says_nothing_of_volumes() {
    let fixture = Fixture::prepared().await;
    let base = fixture.spec().image;
    let image = format!("{}-labels", base.split(':').next().unwrap_or(&base));
    let made = docker(&["create", &base]);
    let label = format!("LABEL harbor.parts='[[\"{}\",\"/m\",\"a\"]]' harbor.work-dir=/m/made", VolumeId::random());
    docker(&["commit", "--change", &label, &made, &image]);
    docker(&["rm", &made]);
    let spec = SandboxSpec { image: image.clone(), ..fixture.spec() };
    let container = fixture.runner.create(&spec).await.unwrap();
    begin(&fixture.again().await, &spec, &container).await.unwrap();
    assert!(fixture.runner.volumes().unwrap().is_empty());
    fixture.runner.remove(&spec.id).await.unwrap();
    docker(&["rmi", &image]);
    fixture.finish().await;
}

/// Whoever has the volume is now and then quicker than harbor and the engine.
#[tokio::test]
async fn a_link_that_comes_and_goes_leads_nobody_elsewhere() {
    let fixture = Fixture::prepared().await;
    let volume = VolumeId::random();
    let spec = SandboxSpec { mounts: vec![part(volume, "/mnt/part", "users/one")], ..fixture.spec() };
    let container = fixture.runner.create(&spec).await.unwrap();
    let users = directory(&fixture, volume).join("users");
    fs::write(users.join("one/mine"), "").unwrap();
    let other = tempfile::tempdir().unwrap();
    fs::create_dir(other.path().join("one")).unwrap();
    fs::write(other.path().join("one/theirs"), "").unwrap();
    let link = users.with_extension("link");
    symlink(other.path(), &link).unwrap();
    let ended = Arc::new(AtomicBool::new(false));
    let swaps = std::thread::spawn({
        let (users, ended) = (users.clone(), Arc::clone(&ended));
        move || {
            while !ended.load(Ordering::Relaxed) {
                renameat_with(CWD, &users, CWD, &link, RenameFlags::EXCHANGE).unwrap();
                std::thread::sleep(Duration::from_micros(300));
            }
        }
    });
    let (mut began, mut lost) = (0, 0);
    for _ in 0..30 {
        match begin(&fixture.runner, &spec, &container).await {
            Ok(()) => {
                began += 1;
                assert_eq!(Fixture::shell(&spec.id, "ls /mnt/part"), "mine");
            }
            Err(EngineError::Astray { .. }) => lost += 1,
            Err(EngineError::Files { .. } | EngineError::Refused { .. }) => {}
            Err(error) => panic!("{error:?}"),
        }
        fixture.runner.stop(&spec.id, &container, Duration::ZERO).await.unwrap();
        assert_eq!(runs(&spec), "false");
    }
    ended.store(true, Ordering::Relaxed);
    swaps.join().unwrap();
    println!("began {began} times, and was ended {lost} times because the link had won");
    assert!(began > 0, "it never was the directory when it was looked for");
    fixture.finish().await;
}

#[tokio::test]
async fn a_link_in_the_sandbox_leads_no_mount_elsewhere() {
    let fixture = Fixture::prepared().await;
    // over harbor's own programs, so that one of the user's becomes process 1
    for (line, link) in [
        ("busybox mv /srv/users /srv/aside; busybox ln -s /opt /srv/users", "/srv/users"),
        ("busybox mv /opt /aside; busybox ln -s /srv/users/harbor /opt", "/opt"),
    ] {
        let spec = SandboxSpec { mounts: vec![part(VolumeId::random(), "/srv/users/harbor", "a")], ..fixture.spec() };
        let container = fixture.runner.create(&spec).await.unwrap();
        begin(&fixture.runner, &spec, &container).await.unwrap();
        Fixture::shell(&spec.id, line);
        fixture.runner.stop(&spec.id, &container, GRACE).await.unwrap();
        astray(begin(&fixture.runner, &spec, &container).await, &format!("{link} is a link"));
        assert_eq!(runs(&spec), "false");
    }
    fixture.finish().await;
}
