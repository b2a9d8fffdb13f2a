//! Volumes on the Docker engine: shared, and kept.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::Duration;

use harbor_model::ids::{SandboxId, VolumeId};
use harbor_model::volumes::Mount;
use harbor_runner::fixture::{Fixture, configuration, docker};
use harbor_runner::{EngineError, SandboxSpec};

fn mount(volume: VolumeId, path: &str) -> Mount {
    Mount::checked(volume, path, None).unwrap()
}

async fn begun(fixture: &Fixture, mounts: Vec<Mount>) -> Result<SandboxId, EngineError> {
    let spec = SandboxSpec { mounts, ..fixture.spec() };
    let container = fixture.runner.create(&spec).await?;
    fixture.runner.start(&spec.id, &container).await?;
    fixture.runner.configure(&spec.id, &container, &configuration("token")).await?;
    Ok(spec.id)
}

fn directory(fixture: &Fixture, volume: VolumeId) -> PathBuf {
    fixture.volumes().join(volume.to_string())
}

/// As any user of the sandbox.
fn as_somebody(id: &SandboxId, line: &str) -> String {
    docker(&["exec", "-u", "1234:1234", &format!("harbor-{id}"), "/bin/busybox", "sh", "-c", line])
}

#[tokio::test]
async fn sandboxes_share_a_volume_which_stays_when_they_go() {
    let fixture = Fixture::prepared().await;
    let (volume, other) = (VolumeId::random(), VolumeId::random());
    let odd = "/mnt/with space,comma:colon ü";
    let one = begun(&fixture, vec![mount(volume, "/deep/er"), mount(other, "/mnt/other")]).await.unwrap();
    let two = begun(&fixture, vec![mount(volume, odd)]).await.unwrap();
    as_somebody(&one, "echo shared >/deep/er/file; mkfifo /deep/er/pipe; mkdir /deep/er/d; mv /deep/er/d /deep/er/e");
    assert_eq!(as_somebody(&two, &format!("cd '{odd}'; ls -A; cat file")).replace('\n', " "), "e file pipe shared");
    as_somebody(&two, &format!("cd '{odd}'; ln file twin; echo more >>twin"));
    assert_eq!(as_somebody(&one, "cat /deep/er/file").replace('\n', " "), "shared more");
    assert_eq!(as_somebody(&one, "ls -A /mnt/other"), "");

    fixture.runner.remove(&one).await.unwrap();
    fixture.runner.remove(&two).await.unwrap();
    let (mut left, mut both) = (fixture.runner.volumes().unwrap(), vec![volume, other]);
    left.sort_unstable();
    both.sort_unstable();
    assert_eq!(left, both);
    let mode = |path: PathBuf| fs::metadata(path).unwrap().mode() & 0o7777;
    assert_eq!((mode(directory(&fixture, volume)), mode(fixture.volumes())), (0o777, 0o700));
    fixture.runner.remove_volume(&volume).await.unwrap();
    fixture.runner.remove_volume(&volume).await.unwrap();
    assert_eq!(fixture.runner.volumes().unwrap(), [other]);
    fixture.finish().await;
}

#[tokio::test]
async fn a_volume_is_there_after_every_start_and_in_a_sandbox_that_was_made_anew() {
    let fixture = Fixture::prepared().await;
    let volume = VolumeId::random();
    let spec = SandboxSpec { mounts: vec![mount(volume, "/v")], ..fixture.spec() };
    let mut container = fixture.runner.create(&spec).await.unwrap();
    for round in 0..3 {
        // a harbor that remembers nothing of it
        let runner = fixture.again().await;
        runner.start(&spec.id, &container).await.unwrap();
        runner.configure(&spec.id, &container, &configuration("token")).await.unwrap();
        assert_eq!(Fixture::shell(&spec.id, "ls /v"), if round == 0 { "" } else { "file" });
        Fixture::shell(&spec.id, "echo x >/v/file");
        runner.stop(&spec.id, &container, Duration::ZERO).await.unwrap();
        if round == 1 {
            docker(&["rm", "-f", &format!("harbor-infra-{}", spec.id)]);
            container = runner.remake(&spec, &container).await.unwrap();
        }
    }
    // one that somebody removed is not replaced by an empty one without a word
    fs::remove_dir_all(directory(&fixture, volume)).unwrap();
    let refused = fixture.runner.start(&spec.id, &container).await.unwrap_err();
    assert!(harbor_model::errors::chain(&refused).contains(&volume.to_string()), "{refused:?}");
    fixture.finish().await;
}
