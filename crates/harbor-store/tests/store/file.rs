//! The database as a file: its rights, its key, and what a crash leaves.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};

use harbor_model::actors::Actor;
use harbor_model::ids::{InstanceId, SandboxId};
use harbor_model::sandboxes::{Desired, Sandbox, Seen};
use harbor_model::secrets::Secret;
use harbor_store::{EncryptionKey, FromStock, Store, StoreError};

use crate::fixture::{Fixture, encryption_key, fixture, insert, now, sandbox, tenant};

#[tokio::test]
async fn what_returned_survives_a_reopening() {
    let Fixture { directory, store, organization, .. } = fixture().await;
    let row = insert(&store, sandbox(organization, "box")).await.unwrap();
    drop(store);
    let store = Store::open(&directory.path().join("harbor.db"), &encryption_key()).unwrap();
    assert_eq!(store.sandbox(row.id).await.unwrap(), Some(row));
}

#[tokio::test]
async fn a_database_belongs_to_the_first_installation_that_claims_it() {
    let Fixture { directory, store, .. } = fixture().await;
    let (first, second) = (InstanceId::random(), InstanceId::random());
    let claimed = async |store: &Store, instance| store.by(Actor::Harbor).claim(instance).await.unwrap();
    assert_eq!(claimed(&store, first).await, first);
    drop(store);
    let store = Store::open(&directory.path().join("harbor.db"), &encryption_key()).unwrap();
    assert_eq!(claimed(&store, second).await, first);
    assert_eq!(claimed(&store, first).await, first);
}

#[test]
fn a_file_that_is_no_database_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("harbor.db");
    std::fs::write(&path, b"not a database, but long enough to be looked at as one".repeat(50)).unwrap();
    let error = Store::open(&path, &encryption_key()).err().unwrap().to_string();
    assert!(error.contains(&path.display().to_string()), "{error}");
}

/// Kills a process in the middle of its writes, again and again; each time every acknowledged row must be there.
#[test]
fn acknowledged_rows_survive_kill_9() {
    if let Ok(path) = std::env::var("HARBOR_STORE_TEST_WRITER") {
        return write_until_killed(&path);
    }
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("harbor.db");
    let mut acknowledged = 0;
    for round in 0..5 {
        let mut writer = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "file::acknowledged_rows_survive_kill_9", "--nocapture"])
            .env("HARBOR_STORE_TEST_WRITER", &path)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = std::io::BufReader::new(writer.stdout.take().unwrap());
        let mut ids = Vec::new();
        for line in std::io::BufRead::lines(lines).map_while(Result::ok) {
            if let Some(id) = line.strip_prefix("wrote ") {
                ids.push(id.parse::<SandboxId>().unwrap());
            }
            if ids.len() == 20 + round {
                writer.kill().unwrap();
            }
        }
        writer.wait().unwrap();
        assert!(ids.len() >= 20, "the writer ended early");
        acknowledged += ids.len();
        let store = Store::open(&path, &encryption_key()).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        for id in ids {
            assert!(runtime.block_on(store.sandbox(id)).unwrap().is_some(), "{id} was acknowledged and is lost");
        }
        let rows = store.all_sandboxes().unwrap().len();
        assert!(rows >= acknowledged, "{rows} rows of {acknowledged}");
    }
}

fn write_until_killed(path: &str) {
    let store = Store::open(path.as_ref(), &encryption_key()).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let (organization, _) = tenant(&store, "one").await;
        for _ in 0..100_000 {
            let row = sandbox(organization, &SandboxId::random().to_string());
            println!("wrote {}", insert(&store, row).await.unwrap().id);
        }
    });
}

#[tokio::test]
async fn only_the_owner_reads_the_database() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("harbor.db");
    for mode_before in [None, Some(0o644)] {
        if let Some(mode) = mode_before {
            std::fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        }
        let store = Store::open(&path, &encryption_key()).unwrap();
        tenant(&store, "one").await;
        let files: Vec<_> = std::fs::read_dir(directory.path()).unwrap().map(|file| file.unwrap()).collect();
        assert!(files.len() >= 2, "{files:?}");
        for file in files {
            let mode = file.metadata().unwrap().permissions().mode() & 0o777;
            assert_eq!(mode, 0o600, "{file:?} after {mode_before:?}");
        }
    }
}

#[tokio::test]
async fn the_outbox_names_who_did_it() {
    let fixture = fixture().await;
    let key = Actor::Key { user: fixture.user.clone(), key: "ci".parse().unwrap() };
    let actors = [key, Actor::User(fixture.user.clone()), Actor::Harbor];
    let row = Sandbox { failure: None, ..sandbox(fixture.organization, "box") };
    let id = row.id;
    fixture.store.by(actors[0].clone()).insert_sandbox(row, FromStock::Nothing, None, |_| {}).await.unwrap();
    for (actor, desired) in actors.iter().zip([Desired::Started, Desired::Stopped, Desired::Destroyed]).skip(1) {
        let want = move |row: &mut Sandbox| row.desired = desired;
        fixture.store.by(actor.clone()).change_sandbox(id, now(), want).await.unwrap();
    }
    let mut told: Vec<_> = fixture.store.outbox_after(0, 10).await.unwrap();
    told.dedup_by(|one, other| one.actor == other.actor);
    assert_eq!(told.into_iter().map(|entry| entry.actor.unwrap()).collect::<Vec<_>>(), actors);
}

#[tokio::test]
async fn a_look_at_the_database_writes_and_converts_nothing() {
    let fixture = fixture().await;
    let path = fixture.directory.path().join("harbor.db");
    let row = insert(&fixture.store, sandbox(fixture.organization, "box")).await.unwrap();
    let looks = Store::open_read_only(&path).unwrap(); // beside the one that writes
    assert_eq!(looks.sandbox_ids().await.unwrap(), [row.id]);
    let refused = looks.by(Actor::Harbor).add_infra(SandboxId::random(), now()).await;
    assert!(matches!(refused, Err(StoreError::ReadOnly)), "{refused:?}");
    drop((looks, fixture.store));
    let looks = Store::open_read_only(&path).unwrap(); // and without it
    assert_eq!(looks.sandbox_ids().await.unwrap(), [row.id]);
    let missing = Store::open_read_only(&fixture.directory.path().join("none.db"));
    assert!(missing.is_err() && !fixture.directory.path().join("none.db").exists());
}

#[tokio::test]
async fn another_key_is_refused_and_changes_nothing() {
    let Fixture { directory, store, organization, .. } = fixture().await;
    let path = directory.path().join("harbor.db");
    let row = insert(&store, sandbox(organization, "box")).await.unwrap();
    drop(store);
    for (key, salt) in [("other", "salt"), ("key", "other")] {
        let other = EncryptionKey::derive(&Secret::new(key), &Secret::new(salt));
        let refused = Store::open(&path, &other).err().unwrap();
        assert!(matches!(refused, StoreError::WrongKey { .. }), "{refused:?}");
        assert!(refused.to_string().contains("keys/encryption_key"), "{refused}");
    }
    let store = Store::open(&path, &encryption_key()).unwrap();
    assert_eq!(store.sandbox(row.id).await.unwrap(), Some(row));
}

#[tokio::test]
async fn secrets_are_unreadable_in_the_files_and_go_with_their_sandbox() {
    let fixture = fixture().await;
    let made = sandbox(fixture.organization, "legible");
    let made = Sandbox { toolbox_token: Secret::new("tool-secret"), failure: None, ..made };
    let row = insert(&fixture.store, made).await.unwrap();
    let preview = row.preview_token.reveal().to_owned();
    let store = fixture.store.by(Actor::Harbor);
    store.ensure_signing_key(row.id, Secret::new("sign-secret")).await.unwrap();
    let files = std::fs::read_dir(fixture.directory.path()).unwrap();
    let all = files.map(|file| std::fs::read(file.unwrap().path()).unwrap()).collect::<Vec<_>>().concat();
    let holds = |text: &str| all.windows(text.len()).any(|window| window == text.as_bytes());
    assert!(holds("legible"));
    for secret in ["tool-secret", "sign-secret", "1=2", preview.as_str()] {
        assert!(!holds(secret), "{secret}");
    }

    let (gone, ()) = store
        .change_sandbox(row.id, now(), |row| (row.desired, row.seen) = (Desired::Destroyed, Seen::Removed))
        .await
        .unwrap();
    assert!(gone.origin.env.is_empty() && gone.toolbox_token.reveal().is_empty());
    assert_eq!(fixture.store.sandbox(row.id).await.unwrap(), Some(gone));
    let looks = Store::open_read_only(&fixture.directory.path().join("harbor.db")).unwrap();
    assert!(matches!(looks.sandbox(row.id).await, Err(StoreError::NoKey)));
}
