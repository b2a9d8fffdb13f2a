//! A store with one tenant, and rows to put there.

use std::collections::BTreeMap;

use harbor_model::actors::Actor;
use harbor_model::ids::{OrganizationId, RegionId, SandboxId, UserId};
use harbor_model::organizations::{Organization, User};
use harbor_model::resources::Resources;
use harbor_model::sandboxes::{Desired, Failure, Files, Generation, Network, Origin, Sandbox, Seen, Settings};
use harbor_model::secrets::Secret;
use harbor_model::{Timestamp, to_millisecond};
use harbor_store::{EncryptionKey, FromStock, Store, StoreError};
use tempfile::TempDir;

pub(crate) struct Fixture {
    pub(crate) directory: TempDir,
    pub(crate) store: Store,
    pub(crate) organization: OrganizationId,
    pub(crate) user: UserId,
}

impl Fixture {
    /// The same file, opened anew.
    pub(crate) fn again(&self) -> Store {
        Store::open(&self.directory.path().join("harbor.db"), &encryption_key()).unwrap()
    }
}

pub(crate) fn encryption_key() -> EncryptionKey {
    EncryptionKey::derive(&Secret::new("key"), &Secret::new("salt"))
}

pub(crate) fn now() -> Timestamp {
    to_millisecond(Timestamp::now_utc())
}

pub(crate) async fn fixture() -> Fixture {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(&directory.path().join("harbor.db"), &encryption_key()).unwrap();
    let (organization, user) = tenant(&store, "one").await;
    Fixture { directory, store, organization, user }
}

pub(crate) async fn tenant(store: &Store, name: &str) -> (OrganizationId, UserId) {
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

pub(crate) fn sandbox(organization: OrganizationId, name: &str) -> Sandbox {
    let id = SandboxId::random();
    Sandbox {
        id,
        organization,
        name: name.parse().unwrap(),
        origin: Origin {
            snapshot: "base".into(),
            image: "image:1".into(),
            build: None,
            entrypoint: Some(vec!["sleep".into(), "a b".into()]),
            user: "daytona".into(),
            env: BTreeMap::from([("A".into(), "1=2\n\"ü\"".into())]),
            mounts: Vec::new(), // each has to name a volume
            target: RegionId::new("us"),
        },
        resources: Resources { cpu: 2, memory_gib: 4, disk_gib: 10, gpu: 0 },
        resize_to: None,
        files: Files::default(),
        settings: Settings {
            labels: BTreeMap::from([("team".into(), "blue".into())]),
            public: true,
            auto_stop_minutes: 15,
            auto_pause_minutes: 0,
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
        linked: None,
        warm_pool: None,
        destroy_at: None,
    }
}

pub(crate) async fn insert(store: &Store, sandbox: Sandbox) -> Result<Sandbox, StoreError> {
    store.by(Actor::Harbor).insert_sandbox(sandbox, FromStock::Nothing, None, |_| {}).await
}

/// Checks that what is kept in memory is what the file says.
pub(crate) async fn assert_same_in_memory(fixture: &Fixture) {
    let mut rows = fixture.store.all_sandboxes().unwrap();
    let mut stored = fixture.again().all_sandboxes().unwrap();
    for rows in [&mut rows, &mut stored] {
        rows.sort_unstable_by_key(|row| row.id);
    }
    assert_eq!(rows, stored);
}
