//! Volumes that nobody wants any more: their files go once no sandbox has them, and not before.

use std::time::Duration;

use harbor_control::NewMount;
use harbor_control::sandboxes::NewSandbox;
use harbor_model::ids::VolumeId;
use harbor_model::sandboxes::SandboxState;
use harbor_model::volumes::VolumeState;
use harbor_runner::pretend::{Act, Verb};
use harbor_runner::{Engine, EngineError, EngineSaid};

use crate::installation::Installation;

const SOON: Duration = Duration::from_secs(3);

fn with(volume: &str) -> NewSandbox {
    let mount = NewMount { volume: volume.to_owned(), path: "/v".to_owned(), subpath: None };
    NewSandbox { mounts: vec![mount], ..NewSandbox::default() }
}

async fn state(harbor: &Installation, id: VolumeId) -> (VolumeState, Option<String>) {
    let row = harbor.store.volume(id).await.unwrap().unwrap();
    (row.state, row.error)
}

#[tokio::test(start_paused = true)]
async fn files_go_when_the_last_sandbox_that_had_them_is_gone() {
    let harbor = Installation::new().await;
    let volume = harbor.volume("data").await;
    let sandbox = harbor.create_as(with("data")).await.unwrap();
    assert_eq!(sandbox.state(), SandboxState::Started);
    assert!(harbor.store.volume(volume.id).await.unwrap().unwrap().last_used_at.is_some());
    let refused = harbor.delete_volume(volume.id).await.unwrap_err().to_string();
    assert!(refused.contains(sandbox.name.as_str()), "{refused}");
    let fork = harbor.fork(sandbox.id).await.unwrap();
    assert_eq!(fork.origin.mounts, sandbox.origin.mounts);
    harbor.delete(fork.id).await.unwrap();
    harbor.reaches(fork.id, SandboxState::Destroyed, SOON).await;
    harbor.delete_volume(volume.id).await.unwrap_err();

    // wanted gone, and still there
    harbor.engine.takes(Verb::Remove, Duration::from_secs(5));
    harbor.delete(sandbox.id).await.unwrap();
    harbor.delete_volume(volume.id).await.unwrap();
    let again = harbor.volume("data").await;
    harbor.pass(SOON).await;
    assert_eq!(state(&harbor, volume.id).await.0, VolumeState::Deleting);
    assert_eq!(harbor.engine.volumes().await.unwrap(), [volume.id]);
    harbor.create_as(with(&volume.id.to_string())).await.unwrap_err();
    harbor.reaches(sandbox.id, SandboxState::Destroyed, SOON * 2).await;
    harbor.pass(SOON).await;
    assert_eq!(state(&harbor, volume.id).await, (VolumeState::Deleted, None));
    assert_eq!(state(&harbor, again.id).await.0, VolumeState::Ready);
    assert_eq!(harbor.engine.volumes().await.unwrap(), []);
}

#[tokio::test(start_paused = true)]
async fn what_could_not_be_removed_says_why_and_goes_later_whoever_dies() {
    let mut harbor = Installation::new().await;
    let volume = harbor.volume("data").await;
    let sandbox = harbor.create_as(with("data")).await.unwrap();
    harbor.delete(sandbox.id).await.unwrap();
    harbor.reaches(sandbox.id, SandboxState::Destroyed, SOON).await;
    let failed = EngineError::Refused { doing: "remove it".to_owned(), source: EngineSaid::new("no right to") };
    harbor.engine.next(Verb::RemoveVolume, Act::Fail(failed));
    harbor.delete_volume(volume.id).await.unwrap();
    harbor.pass(SOON).await;
    let (found, error) = state(&harbor, volume.id).await;
    assert_eq!(found, VolumeState::Deleting);
    assert!(error.unwrap().contains("no right to"));
    let failed = EngineError::Refused { doing: "remove it".to_owned(), source: EngineSaid::new("still no right to") };
    harbor.engine.next(Verb::RemoveVolume, Act::Fail(failed));
    harbor.idle(Duration::from_secs(61)).await;
    assert!(state(&harbor, volume.id).await.1.unwrap().contains("still"));
    harbor.engine.next(Verb::RemoveVolume, Act::Hang);
    harbor.restart().await;
    harbor.pass(SOON).await;
    harbor.restart().await;
    harbor.pass(SOON).await;
    assert_eq!(state(&harbor, volume.id).await, (VolumeState::Deleted, None));
}

#[tokio::test(start_paused = true)]
async fn an_archived_sandbox_keeps_its_volume_and_a_pool_has_none() {
    let harbor = Installation::new().await;
    let volume = harbor.volume("data").await;
    harbor.keep_warm(1).await;
    harbor.pass(SOON).await;
    let sandbox = harbor.create_as(with("data")).await.unwrap();
    assert_eq!(sandbox.warm_pool, None);
    assert_eq!(sandbox.origin.mounts.len(), 1);
    harbor.stop(sandbox.id).await;
    harbor.reaches(sandbox.id, SandboxState::Stopped, SOON).await;
    harbor.archive(sandbox.id).await.unwrap();
    harbor.reaches(sandbox.id, SandboxState::Archived, SOON).await;
    harbor.delete_volume(volume.id).await.unwrap_err();
    harbor.start(sandbox.id).await.unwrap();
    harbor.reaches(sandbox.id, SandboxState::Started, SOON).await;
}
