//! The store on a real SQLite file: what a caller may rely on.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test's fixtures fail loudly and speak to their parent"
)]

use std::collections::BTreeMap;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};
use std::time::Duration;

use harbor_model::actors::Actor;
use harbor_model::identity::{ApiKey, KeyEnds, KeyHash, Permission};
use harbor_model::ids::{ContainerId, OrganizationId, RegionId, SandboxId, SnapshotId, UserId};
use harbor_model::organizations::{MemberRole, Organization, User};
use harbor_model::resources::Resources;
use harbor_model::sandboxes::{
    Boot, Desired, Failure, Generation, Network, Origin, Outcome, Sandbox, SandboxState, Seen, Settings,
};
use harbor_model::secrets::Secret;
use harbor_model::snapshots::{Snapshot, SnapshotState};
use harbor_model::{Timestamp, to_millisecond};
use harbor_store::{Change, EncryptionKey, Store, StoreError};
use tempfile::TempDir;

struct Fixture {
    directory: TempDir,
    store: Store,
    organization: OrganizationId,
    user: UserId,
}

fn encryption_key() -> EncryptionKey {
    EncryptionKey::derive(&Secret::new("key"), &Secret::new("salt"))
}

fn now() -> Timestamp {
    to_millisecond(Timestamp::now_utc())
}

async fn fixture() -> Fixture {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(&directory.path().join("harbor.db"), &encryption_key()).unwrap();
    let (organization, user) = tenant(&store, "one").await;
    Fixture { directory, store, organization, user }
}

async fn tenant(store: &Store, name: &str) -> (OrganizationId, UserId) {
    let user = User {
        id: UserId::new(name),
        name: name.parse().unwrap(),
        email: format!("{name}@example.org"),
        administrator: false,
        created_at: now(),
    };
    let organization = Organization {
        id: OrganizationId::random(),
        name: "Personal".parse().unwrap(),
        created_by: user.id.clone(),
        personal: true,
        default_region: RegionId::new("us"),
        created_at: now(),
        updated_at: now(),
    };
    let id = user.id.clone();
    (store.by(Actor::Harbor).ensure_user(user, organization).await.unwrap().id, id)
}

fn sandbox(organization: OrganizationId, name: &str) -> Sandbox {
    let id = SandboxId::random();
    Sandbox {
        id,
        organization,
        name: name.parse().unwrap(),
        origin: Origin {
            snapshot: "base".into(),
            image: "image:1".into(),
            entrypoint: Some(vec!["sleep".into(), "a b".into()]),
            user: "daytona".into(),
            env: BTreeMap::from([("A".into(), "1=2\n\"ü\"".into())]),
            target: RegionId::new("us"),
        },
        resources: Resources { cpu: 2, memory_gib: 4, disk_gib: 10, gpu: 0 },
        settings: Settings {
            labels: BTreeMap::from([("team".into(), "blue".into())]),
            public: true,
            auto_stop_minutes: 15,
            auto_archive_minutes: 10_080,
            auto_delete_minutes: Some(0),
            network: Network { block_all: true, allow_networks: Some("10.0.0.0/8".into()), allow_domains: None },
        },
        preview_token: Secret::new(format!("preview-{id}")),
        toolbox_token: Secret::new("toolbox"),
        desired: Desired::Started,
        force: true,
        seen: Seen::Absent,
        failure: Some(Failure { reason: "no".into(), recoverable: true }),
        note: Some("note".into()),
        toolbox_version: Some("1.2.3".into()),
        started_once: true,
        generation: Generation(7),
        created_at: now(),
        updated_at: now(),
        last_activity_at: now(),
    }
}

async fn insert(store: &Store, sandbox: Sandbox) -> Result<Sandbox, StoreError> {
    store.by(Actor::Harbor).insert_sandbox(sandbox, false, |_| {}).await
}

#[tokio::test]
async fn every_field_comes_back_in_every_way_of_being_seen() {
    let fixture = fixture().await;
    let container = ContainerId::new("c1");
    let seen = [
        Seen::Absent,
        Seen::Made { container: container.clone() },
        Seen::Running { container: container.clone(), boot: Boot("b".into()), configured: true, connected: false },
        Seen::Running { container: container.clone(), boot: Boot("b".into()), configured: false, connected: true },
        Seen::Exited { container: container.clone(), code: -1, asked: true, connected: false },
        Seen::Exited { container, code: 137, asked: false, connected: true },
        Seen::Lost,
    ];
    for (index, seen) in seen.into_iter().enumerate() {
        let row = Sandbox { seen, ..sandbox(fixture.organization, &format!("s{index}")) };
        insert(&fixture.store, row.clone()).await.unwrap();
        assert_eq!(fixture.store.sandbox(row.id).await.unwrap(), Some(row));
    }
}

#[tokio::test]
async fn a_name_is_taken_only_within_its_organization() {
    let fixture = fixture().await;
    let (other, _) = tenant(&fixture.store, "two").await;
    insert(&fixture.store, sandbox(fixture.organization, "box")).await.unwrap();
    let again = insert(&fixture.store, sandbox(fixture.organization, "box")).await;
    assert!(matches!(again, Err(StoreError::NameTaken)), "{again:?}");
    insert(&fixture.store, sandbox(other, "box")).await.unwrap();
    assert_eq!(fixture.store.sandboxes_of(fixture.organization).await.unwrap().len(), 1);
}

#[tokio::test]
async fn another_tenants_sandbox_is_not_found_by_id_or_name() {
    let fixture = fixture().await;
    let (other, _) = tenant(&fixture.store, "two").await;
    let theirs = insert(&fixture.store, sandbox(other, "theirs")).await.unwrap();
    for text in [theirs.id.to_string(), "theirs".to_owned()] {
        let reference = harbor_model::names::SandboxRef::new(text);
        assert_eq!(fixture.store.find_sandbox(fixture.organization, &reference).await.unwrap(), None);
        assert!(fixture.store.find_sandbox(other, &reference).await.unwrap().is_some());
    }
}

#[tokio::test]
async fn a_name_in_the_shape_of_an_id_is_found() {
    let fixture = fixture().await;
    let name = SandboxId::random().to_string();
    let row = insert(&fixture.store, sandbox(fixture.organization, &name)).await.unwrap();
    let found = fixture.store.find_sandbox(fixture.organization, &harbor_model::names::SandboxRef::new(name)).await;
    assert_eq!(found.unwrap().map(|found| found.id), Some(row.id));
}

#[tokio::test]
async fn a_name_is_free_as_soon_as_its_sandbox_is_wanted_gone() {
    let fixture = fixture().await;
    let store = &fixture.store;
    let named = async || insert(store, sandbox(fixture.organization, "box")).await;
    let found = async || {
        let reference = harbor_model::names::SandboxRef::new("box");
        store.find_sandbox(fixture.organization, &reference).await.unwrap().map(|found| found.id)
    };
    let ways: [fn(&mut Sandbox); 3] = [
        |row| row.desired = Desired::Destroyed,
        |row| row.seen = Seen::Removed,
        |row| (row.desired, row.seen) = (Desired::Destroyed, Seen::Removed),
    ];
    for (index, way) in ways.into_iter().enumerate() {
        let going = named().await.unwrap();
        assert!(matches!(named().await, Err(StoreError::NameTaken)), "way {index}");
        let (going, ()) = store.by(Actor::Harbor).change_sandbox(going.id, now(), way).await.unwrap();
        assert_eq!(found().await, None, "way {index}");
        let next = named().await.unwrap();
        assert_eq!(found().await, Some(next.id), "way {index}");
        store.by(Actor::Harbor).change_sandbox(next.id, now(), |row| row.seen = Seen::Removed).await.unwrap();
        store.by(Actor::Harbor).change_sandbox(going.id, now(), |row| row.seen = Seen::Removed).await.unwrap();
    }
    let other = insert(store, sandbox(fixture.organization, "other")).await.unwrap();
    named().await.unwrap();
    let renamed =
        store.by(Actor::Harbor).change_sandbox(other.id, now(), |row| row.name = "box".parse().unwrap()).await;
    assert!(matches!(renamed, Err(StoreError::NameTaken)), "{renamed:?}");
}

#[tokio::test]
async fn changes_are_announced_in_order_and_after_the_commit() {
    let fixture = fixture().await;
    let mut changes = fixture.store.changes();
    let row = Sandbox { failure: None, ..sandbox(fixture.organization, "box") };
    let id = row.id;
    insert(&fixture.store, row).await.unwrap();
    fixture.store.by(Actor::Harbor).change_sandbox(id, now(), |_| {}).await.unwrap(); // nothing altered: nothing announced
    let (stopped, ()) =
        fixture.store.by(Actor::Harbor).change_sandbox(id, now(), |row| row.desired = Desired::Stopped).await.unwrap();
    assert_eq!(stopped.generation, Generation(8));

    let Change::Sandbox { before: None, after } = changes.recv().await.unwrap() else { panic!("not the insert") };
    assert_eq!(after.generation, Generation(7));
    let Change::Sandbox { before: Some(before), after } = changes.recv().await.unwrap() else { panic!("no change") };
    assert_eq!((before.generation, after.generation), (Generation(7), Generation(8)));
    assert!(changes.try_recv().is_err());

    let outbox = fixture.store.outbox_after(0, 10).await.unwrap();
    let told: Vec<_> = outbox.iter().map(|entry| (entry.kind.as_str(), entry.after.as_deref())).collect();
    let expected = [
        ("sandbox.created", Some("creating")),
        ("sandbox.desired-state.updated", Some("stopped")),
        ("sandbox.state.updated", Some("stopped")),
    ];
    assert_eq!(SandboxState::Starting.word(), "starting");
    assert_eq!(told[1..], expected[1..]);
    assert_eq!(told[0].0, expected[0].0);
}

#[tokio::test]
async fn concurrent_changes_lose_nothing() {
    let fixture = fixture().await;
    let row = insert(&fixture.store, sandbox(fixture.organization, "box")).await.unwrap();
    let mut tasks = tokio::task::JoinSet::new();
    for index in 0..50 {
        let store = fixture.store.clone();
        tasks.spawn(async move {
            let add = move |row: &mut Sandbox| row.settings.labels.insert(index.to_string(), String::new());
            store.by(Actor::Harbor).change_sandbox(row.id, now(), add).await.unwrap();
        });
    }
    tasks.join_all().await;
    let row = fixture.store.sandbox(row.id).await.unwrap().unwrap();
    assert_eq!((row.settings.labels.len(), row.generation), (51, Generation(57)));
}

#[tokio::test]
async fn stock_is_claimed_once_and_its_id_becomes_the_sandboxs() {
    let fixture = fixture().await;
    let (ready, unready) = (SandboxId::random(), SandboxId::random());
    fixture.store.by(Actor::Harbor).add_infra(unready, now()).await.unwrap();
    fixture.store.by(Actor::Harbor).add_infra(ready, now()).await.unwrap();
    fixture.store.by(Actor::Harbor).infra_ready(ready).await.unwrap();
    let name_by_id = |row: &mut Sandbox| row.name = row.id.to_string().parse().unwrap();
    let first = fixture
        .store
        .by(Actor::Harbor)
        .insert_sandbox(sandbox(fixture.organization, "x"), true, name_by_id)
        .await
        .unwrap();
    assert_eq!((first.id, first.name.as_str()), (ready, ready.to_string().as_str()));
    let second = sandbox(fixture.organization, "second");
    let own = second.id;
    let second = fixture.store.by(Actor::Harbor).insert_sandbox(second, true, |_| {}).await.unwrap();
    assert_eq!(second.id, own, "an unready one was claimed");
    assert!(!fixture.store.by(Actor::Harbor).drop_infra(ready).await.unwrap(), "still in stock after its claim");
}

#[tokio::test]
async fn retired_stock_is_not_claimed_and_stays_until_it_is_dropped() {
    let fixture = fixture().await;
    let id = SandboxId::random();
    fixture.store.by(Actor::Harbor).add_infra(id, now()).await.unwrap();
    fixture.store.by(Actor::Harbor).infra_ready(id).await.unwrap();
    assert!(fixture.store.by(Actor::Harbor).retire_infra(id).await.unwrap());
    let made =
        fixture.store.by(Actor::Harbor).insert_sandbox(sandbox(fixture.organization, "x"), true, |_| {}).await.unwrap();
    assert_ne!(made.id, id, "claimed although it is about to be removed");
    assert_eq!(fixture.store.infra_stock().await.unwrap(), [(id, false)]);
    assert!(fixture.store.by(Actor::Harbor).drop_infra(id).await.unwrap());
    assert!(!fixture.store.by(Actor::Harbor).retire_infra(id).await.unwrap(), "nothing is there to retire");
}

#[tokio::test]
async fn a_refused_insert_claims_nothing() {
    let fixture = fixture().await;
    let id = SandboxId::random();
    fixture.store.by(Actor::Harbor).add_infra(id, now()).await.unwrap();
    fixture.store.by(Actor::Harbor).infra_ready(id).await.unwrap();
    insert(&fixture.store, sandbox(fixture.organization, "taken")).await.unwrap();
    let refused =
        fixture.store.by(Actor::Harbor).insert_sandbox(sandbox(fixture.organization, "taken"), true, |_| {}).await;
    assert!(matches!(refused, Err(StoreError::NameTaken)));
    assert_eq!(fixture.store.infra_stock().await.unwrap(), [(id, true)]);
}

#[tokio::test]
async fn removed_sandboxes_are_not_live_and_go_after_their_time() {
    let fixture = fixture().await;
    let row = insert(&fixture.store, sandbox(fixture.organization, "box")).await.unwrap();
    fixture.store.by(Actor::Harbor).change_sandbox(row.id, now(), |row| row.seen = Seen::Removed).await.unwrap();
    assert!(fixture.store.sandboxes_of(fixture.organization).await.unwrap().is_empty());
    assert_eq!(
        fixture.store.by(Actor::Harbor).purge_removed_sandboxes(now() - Duration::from_mins(1)).await.unwrap(),
        0
    );
    assert_eq!(
        fixture.store.by(Actor::Harbor).purge_removed_sandboxes(now() + Duration::from_mins(1)).await.unwrap(),
        1
    );
    assert_eq!(fixture.store.sandbox(row.id).await.unwrap(), None);
}

#[tokio::test]
async fn a_signing_key_is_made_once_replaced_at_once_and_goes_with_its_sandbox() {
    let fixture = fixture().await;
    let store = &fixture.store;
    let id = insert(store, Sandbox { failure: None, ..sandbox(fixture.organization, "box") }).await.unwrap().id;
    let other = insert(store, sandbox(fixture.organization, "other")).await.unwrap().id;
    assert_eq!(store.signing_key(id).await.unwrap(), None);
    let writer = store.by(Actor::Harbor);
    let offers = ["a", "b", "c", "d"].map(|offer| writer.ensure_signing_key(id, Secret::new(offer)));
    let [first, second, third, fourth] = offers;
    let answers = tokio::join!(first, second, third, fourth);
    let kept = store.signing_key(id).await.unwrap().unwrap();
    for answer in [answers.0, answers.1, answers.2, answers.3] {
        assert_eq!(answer.unwrap(), kept);
    }
    store.by(Actor::Harbor).replace_signing_key(id, Secret::new("new")).await.unwrap();
    store.by(Actor::Harbor).replace_signing_key(other, Secret::new("others")).await.unwrap();
    let stopped =
        store.by(Actor::Harbor).change_sandbox(id, now(), |row| row.desired = Desired::Stopped).await.unwrap().0;
    assert_eq!(stopped.state(), SandboxState::Stopped);
    assert_eq!(store.by(Actor::Harbor).ensure_signing_key(id, Secret::new("late")).await.unwrap(), Secret::new("new"));

    store.by(Actor::Harbor).change_sandbox(id, now(), |row| row.desired = Desired::Destroyed).await.unwrap();
    assert_eq!(store.signing_key(id).await.unwrap(), None);
    for gone in [id, SandboxId::random()] {
        let refused = store.by(Actor::Harbor).ensure_signing_key(gone, Secret::new("x")).await;
        assert!(matches!(refused, Err(StoreError::NoSandbox(_))), "{refused:?}");
        let refused = store.by(Actor::Harbor).replace_signing_key(gone, Secret::new("x")).await;
        assert!(matches!(refused, Err(StoreError::NoSandbox(_))), "{refused:?}");
    }
    assert_eq!(store.signing_key(other).await.unwrap(), Some(Secret::new("others")));
}

#[tokio::test]
async fn use_never_moves_back() {
    let fixture = fixture().await;
    let row = insert(&fixture.store, sandbox(fixture.organization, "box")).await.unwrap();
    let later = row.last_activity_at + Duration::from_mins(1);
    fixture.store.by(Actor::Harbor).touch_sandbox(row.id, later).await.unwrap();
    fixture.store.by(Actor::Harbor).touch_sandbox(row.id, row.last_activity_at).await.unwrap();
    assert_eq!(fixture.store.sandbox(row.id).await.unwrap().unwrap().last_activity_at, later);
}

#[tokio::test]
async fn what_goes_on_during_a_stop_is_no_use() {
    let fixture = fixture().await;
    let row = insert(&fixture.store, sandbox(fixture.organization, "box")).await.unwrap();
    let (asked, later) = (row.last_activity_at + Duration::from_mins(1), row.last_activity_at + Duration::from_mins(2));
    let writer = fixture.store.by(Actor::Harbor);
    let stops = move |row: &mut Sandbox| {
        row.record(Outcome::Started(ContainerId::new("c"), Boot("1".to_owned())));
        row.settings.auto_delete_minutes = None;
        row.want_stopped(false, asked);
    };
    writer.change_sandbox(row.id, asked, stops).await.unwrap();
    writer.touch_sandbox(row.id, later).await.unwrap();
    assert_eq!(fixture.store.sandbox(row.id).await.unwrap().unwrap().last_activity_at, asked);
}

fn key(fixture: &Fixture, name: &str, hash: u8) -> ApiKey {
    ApiKey {
        organization: fixture.organization,
        user: fixture.user.clone(),
        name: name.parse().unwrap(),
        hash: KeyHash([hash; 32]),
        ends: KeyEnds { first: "dtn".into(), last: "9f2".into() },
        permissions: vec![Permission::WriteSandboxes],
        created_at: now(),
        last_used_at: None,
        expires_at: Some(now()),
        parent: None,
    }
}

#[tokio::test]
async fn keys_come_back_with_their_owner_and_go_at_once() {
    let fixture = fixture().await;
    let made = key(&fixture, "ci/nightly 1", 1);
    fixture.store.by(Actor::Harbor).insert_api_key(made.clone()).await.unwrap();
    let taken = fixture.store.by(Actor::Harbor).insert_api_key(key(&fixture, "ci/nightly 1", 2)).await;
    assert!(matches!(taken, Err(StoreError::NameTaken)));
    let found = fixture.store.api_key_by_hash(made.hash).await.unwrap().unwrap();
    assert_eq!((found.key, found.role), (made.clone(), MemberRole::Owner));
    fixture.store.by(Actor::Harbor).replace_api_key(key(&fixture, "ci/nightly 1", 3)).await.unwrap();
    assert!(fixture.store.api_key_by_hash(made.hash).await.unwrap().is_none(), "the replaced key still opens");
    let user = fixture.user.clone();
    assert!(
        fixture
            .store
            .by(Actor::Harbor)
            .delete_api_key(fixture.organization, user, "ci/nightly 1".into())
            .await
            .unwrap()
    );
    assert!(fixture.store.api_keys(fixture.organization, None).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_key_goes_with_the_one_that_made_it() {
    let fixture = fixture().await;
    let store = &fixture.store;
    let child = |name, hash, parent: u8| ApiKey { parent: Some(KeyHash([parent; 32])), ..key(&fixture, name, hash) };
    let there = async |hash: u8| store.api_key_by_hash(KeyHash([hash; 32])).await.unwrap().is_some();
    store.by(Actor::Harbor).insert_api_key(key(&fixture, "parent", 1)).await.unwrap();
    store.by(Actor::Harbor).insert_api_key(child("child", 2, 1)).await.unwrap();
    store.by(Actor::Harbor).insert_api_key(child("grandchild", 3, 2)).await.unwrap();
    store.by(Actor::Harbor).insert_api_key(key(&fixture, "other", 4)).await.unwrap();
    // the same text with other permissions is the same key
    store
        .by(Actor::Harbor)
        .replace_api_key(ApiKey { permissions: Vec::new(), ..key(&fixture, "parent", 1) })
        .await
        .unwrap();
    assert!(there(1).await && there(2).await && there(3).await);
    assert!(
        store
            .by(Actor::Harbor)
            .delete_api_key(fixture.organization, fixture.user.clone(), "parent".into())
            .await
            .unwrap()
    );
    assert!(!there(1).await && !there(2).await && !there(3).await && there(4).await);
    let orphan = store.by(Actor::Harbor).insert_api_key(child("orphan", 5, 1)).await;
    assert!(matches!(orphan, Err(StoreError::KeyGone)), "{orphan:?}");
    store.by(Actor::Harbor).insert_api_key(child("child", 6, 4)).await.unwrap();
    store.by(Actor::Harbor).replace_api_key(key(&fixture, "other", 7)).await.unwrap();
    assert!(there(7).await && !there(4).await && !there(6).await, "a key with another text is another key");
}

#[tokio::test]
async fn an_own_snapshot_wins_over_a_general_one() {
    let fixture = fixture().await;
    let (other, _) = tenant(&fixture.store, "two").await;
    let general = Snapshot {
        id: SnapshotId::random(),
        organization: fixture.organization,
        name: "img/x:1".into(),
        general: true,
        image: "x:1".into(),
        entrypoint: None,
        resources: Resources::DEFAULT,
        state: SnapshotState::Active,
        error: None,
        size_bytes: Some(1 << 40),
        last_used_at: None,
        created_at: now(),
        updated_at: now(),
    };
    let put = fixture.store.by(Actor::Harbor).put_snapshot(general.clone()).await.unwrap();
    assert_eq!(put, general);
    let again = fixture
        .store
        .by(Actor::Harbor)
        .put_snapshot(Snapshot { id: SnapshotId::random(), ..general.clone() })
        .await
        .unwrap();
    assert_eq!(again.id, general.id, "a second row for the same name");
    let found = |text: &str| fixture.store.find_snapshot(other, text.to_owned());
    assert_eq!(found("img/x:1").await.unwrap().map(|found| found.id), Some(general.id));
    assert_eq!(found(&general.id.to_string().to_uppercase()).await.unwrap().map(|found| found.id), Some(general.id));
    let own = Snapshot { id: SnapshotId::random(), organization: other, general: false, ..general };
    fixture.store.by(Actor::Harbor).put_snapshot(own.clone()).await.unwrap();
    assert_eq!(found("img/x:1").await.unwrap().map(|found| found.id), Some(own.id));
}

#[tokio::test]
async fn what_returned_survives_a_reopening() {
    let Fixture { directory, store, organization, .. } = fixture().await;
    let row = insert(&store, sandbox(organization, "box")).await.unwrap();
    drop(store);
    let store = Store::open(&directory.path().join("harbor.db"), &encryption_key()).unwrap();
    assert_eq!(store.sandbox(row.id).await.unwrap(), Some(row));
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
            .args(["--exact", "acknowledged_rows_survive_kill_9", "--nocapture"])
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
        let rows = runtime.block_on(store.all_sandboxes()).unwrap().len();
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
    fixture.store.by(actors[0].clone()).insert_sandbox(row, false, |_| {}).await.unwrap();
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
