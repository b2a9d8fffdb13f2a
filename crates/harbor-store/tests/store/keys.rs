//! API keys and snapshots.

use harbor_model::actors::Actor;
use harbor_model::identity::{ApiKey, KeyEnds, KeyHash, Permission};
use harbor_model::ids::SnapshotId;
use harbor_model::organizations::MemberRole;
use harbor_model::resources::Resources;
use harbor_model::snapshots::{Snapshot, SnapshotState};
use harbor_store::StoreError;

use crate::fixture::{Fixture, fixture, now, tenant};

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
        image_id: None,
        build: None,
        layer: None,
        source: None,
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
