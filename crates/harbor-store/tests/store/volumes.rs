//! Volumes, and the rows of sandboxes that have them.

use harbor_model::actors::Actor;
use harbor_model::ids::{OrganizationId, VolumeId};
use harbor_model::sandboxes::{Desired, Sandbox};
use harbor_model::volumes::{Mount, Volume, VolumeState};
use harbor_store::{Change, Store, StoreError};

use crate::fixture::{assert_same_in_memory, fixture, insert, now, sandbox, tenant};

async fn add(store: &Store, organization: OrganizationId, name: &str) -> Result<Volume, StoreError> {
    let volume = Volume {
        id: VolumeId::random(),
        organization,
        name: name.parse().unwrap(),
        state: VolumeState::Ready,
        error: None,
        last_used_at: None,
        created_at: now(),
        updated_at: now(),
    };
    store.by(Actor::Harbor).add_volume(volume).await
}

fn having(organization: OrganizationId, name: &str, mounts: Vec<Mount>) -> Sandbox {
    let mut row = sandbox(organization, name);
    row.origin.mounts = mounts;
    row
}

#[tokio::test]
async fn a_name_is_free_again_as_soon_as_its_volume_is_to_go() {
    let fixture = fixture().await;
    let (store, organization) = (&fixture.store, fixture.organization);
    let (other, _) = tenant(store, "two").await;
    let first = add(store, organization, "data").await.unwrap();
    assert!(matches!(add(store, organization, "data").await, Err(StoreError::NameTaken)));
    add(store, other, "data").await.unwrap();
    let delete = |volume: &mut Volume, _| volume.delete(now());
    store.by(Actor::Harbor).change_volume(first.id, delete).await.unwrap().unwrap();
    let second = add(store, organization, "data").await.unwrap();
    assert_eq!(store.volume_named(organization, "data".to_owned()).await.unwrap().unwrap().id, second.id);
    assert_eq!(store.volume(first.id).await.unwrap().unwrap().name.as_str(), "data-deleted");
    assert_eq!(store.volumes_to_remove().await.unwrap(), [first.id]);

    store.by(Actor::Harbor).change_volume(first.id, |row, _| row.note_removal(Ok(()), now())).await.unwrap().unwrap();
    assert_eq!(store.volumes_to_remove().await.unwrap(), []);
    assert_eq!(store.volume(first.id).await.unwrap().unwrap().state, VolumeState::Deleted);
    let nobody = store.by(Actor::Harbor).change_volume(VolumeId::random(), |_, _| ()).await;
    assert_eq!(nobody.unwrap(), None);
}

#[tokio::test]
async fn a_sandbox_has_volumes_that_are_ready_and_keeps_them() {
    let fixture = fixture().await;
    let (store, organization) = (&fixture.store, fixture.organization);
    let (data, unused) =
        (add(store, organization, "data").await.unwrap(), add(store, organization, "un").await.unwrap());
    let mounts = vec![
        Mount::checked(data.id, "/mnt/ü \"x\"", None).unwrap(),
        // what another one is called is nothing but a path
        Mount::checked(data.id, &format!("/mnt/{}", unused.id), None).unwrap(),
    ];
    let mut changes = store.changes();
    let row = insert(store, having(organization, "one", mounts.clone())).await.unwrap();
    assert_eq!(fixture.again().sandbox(row.id).await.unwrap().unwrap().origin.mounts, mounts);
    let Change::Volume { before: Some(before), after } = changes.recv().await.unwrap() else { panic!("nothing told") };
    assert_eq!((before.last_used_at, after.last_used_at), (None, Some(row.created_at)));
    assert!(matches!(changes.recv().await.unwrap(), Change::Sandbox { .. }), "told once");
    let used: Vec<VolumeId> = store.volumes(organization).await.unwrap().iter().map(|volume| volume.id).collect();
    assert_eq!(used, [data.id, unused.id]);

    // the row tells who has it, for as long as that one is live
    let who = async |id| store.by(Actor::Harbor).change_volume(id, |_, has| has).await.unwrap().unwrap();
    assert_eq!(who(data.id).await, Some("one".parse().unwrap()));
    assert_eq!(who(unused.id).await, None);
    let gone = |row: &mut Sandbox| row.desired = Desired::Destroyed;
    store.by(Actor::Harbor).change_sandbox(row.id, now(), gone).await.unwrap();
    assert_eq!(who(data.id).await, None);

    store.by(Actor::Harbor).change_volume(data.id, |volume, _| volume.delete(now())).await.unwrap();
    let refused = insert(store, having(organization, "two", mounts)).await;
    assert!(matches!(refused, Err(StoreError::NoVolume(id)) if id == data.id), "{refused:?}");
    assert_same_in_memory(&fixture).await;
}
