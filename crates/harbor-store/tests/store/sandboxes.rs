//! Sandboxes, their events, names and stock.

use std::time::Duration;

use harbor_model::actors::Actor;
use harbor_model::ids::{ContainerId, SandboxId};
use harbor_model::sandboxes::{Boot, Desired, Generation, Outcome, Sandbox, SandboxState, Seen};
use harbor_model::secrets::Secret;
use harbor_store::{Change, FromStock, StoreError};

use crate::fixture::{assert_same_in_memory, fixture, insert, now, sandbox, tenant};

#[tokio::test]
async fn every_field_comes_back_in_every_way_of_being_seen() {
    let fixture = fixture().await;
    let container = ContainerId::new("c1");
    let seen = [
        Seen::Absent,
        Seen::Made { container: container.clone() },
        Seen::Running { container: container.clone(), boot: Boot("b".into()), configured: true, connected: false },
        Seen::Running { container: container.clone(), boot: Boot("b".into()), configured: false, connected: true },
        Seen::Exited { container: container.clone(), code: -1, asked: true, connected: false, to_sleep: true },
        Seen::Exited { container, code: 137, asked: false, connected: true, to_sleep: false },
        Seen::Lost,
    ];
    for (index, seen) in seen.into_iter().enumerate() {
        let row = Sandbox { seen, ..sandbox(fixture.organization, &format!("s{index}")) };
        insert(&fixture.store, row.clone()).await.unwrap();
        assert_eq!(fixture.again().sandbox(row.id).await.unwrap(), Some(row));
    }
    assert_same_in_memory(&fixture).await;
}

#[tokio::test]
async fn a_name_is_taken_only_within_its_organization() {
    let fixture = fixture().await;
    let (other, _) = tenant(&fixture.store, "two").await;
    insert(&fixture.store, sandbox(fixture.organization, "box")).await.unwrap();
    let again = insert(&fixture.store, sandbox(fixture.organization, "box")).await;
    assert!(matches!(again, Err(StoreError::NameTaken)), "{again:?}");
    insert(&fixture.store, sandbox(other, "box")).await.unwrap();
    assert_eq!(fixture.store.sandboxes_of(fixture.organization).unwrap().len(), 1);
    assert_same_in_memory(&fixture).await;
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
    assert_same_in_memory(&fixture).await;
}

#[tokio::test]
async fn a_name_in_the_shape_of_an_id_is_found() {
    let fixture = fixture().await;
    let name = SandboxId::random().to_string();
    let row = insert(&fixture.store, sandbox(fixture.organization, &name)).await.unwrap();
    let found = fixture.store.find_sandbox(fixture.organization, &harbor_model::names::SandboxRef::new(name)).await;
    assert_eq!(found.unwrap().map(|found| found.id), Some(row.id));
    assert_same_in_memory(&fixture).await;
}

#[tokio::test]
async fn a_name_that_is_the_id_of_one_that_is_gone_is_found() {
    let fixture = fixture().await;
    let gone = insert(&fixture.store, sandbox(fixture.organization, "gone")).await.unwrap();
    let heir = insert(&fixture.store, sandbox(fixture.organization, &gone.id.to_string())).await.unwrap();
    let reference = harbor_model::names::SandboxRef::from(gone.id);
    let found = async || {
        let found = fixture.store.find_sandbox(fixture.organization, &reference).await;
        found.unwrap().map(|found| found.id)
    };
    assert_eq!(found().await, Some(gone.id), "an id comes before a name");
    let remove = |row: &mut Sandbox| row.seen = Seen::Removed;
    fixture.store.by(Actor::Harbor).change_sandbox(gone.id, now(), remove).await.unwrap();
    assert_eq!(found().await, Some(heir.id));
    fixture.store.by(Actor::Harbor).change_sandbox(heir.id, now(), remove).await.unwrap();
    assert_eq!(found().await, Some(gone.id));
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
    assert_same_in_memory(&fixture).await;
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
    assert_same_in_memory(&fixture).await;
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
    assert_same_in_memory(&fixture).await;
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
        .insert_sandbox(sandbox(fixture.organization, "x"), FromStock::Infra, None, name_by_id)
        .await
        .unwrap();
    assert_eq!((first.id, first.name.as_str()), (ready, ready.to_string().as_str()));
    let second = sandbox(fixture.organization, "second");
    let own = second.id;
    let second = fixture.store.by(Actor::Harbor).insert_sandbox(second, FromStock::Infra, None, |_| {}).await.unwrap();
    assert_eq!(second.id, own, "an unready one was claimed");
    assert!(!fixture.store.by(Actor::Harbor).drop_infra(ready).await.unwrap(), "still in stock after its claim");
    assert_same_in_memory(&fixture).await;
}

#[tokio::test]
async fn retired_stock_is_not_claimed_and_stays_until_it_is_dropped() {
    let fixture = fixture().await;
    let id = SandboxId::random();
    fixture.store.by(Actor::Harbor).add_infra(id, now()).await.unwrap();
    fixture.store.by(Actor::Harbor).infra_ready(id).await.unwrap();
    assert!(fixture.store.by(Actor::Harbor).retire_infra(id).await.unwrap());
    let made = fixture
        .store
        .by(Actor::Harbor)
        .insert_sandbox(sandbox(fixture.organization, "x"), FromStock::Infra, None, |_| {})
        .await
        .unwrap();
    assert_ne!(made.id, id, "claimed although it is about to be removed");
    assert_eq!(fixture.store.infra_stock().await.unwrap(), [(id, false)]);
    assert!(fixture.store.by(Actor::Harbor).drop_infra(id).await.unwrap());
    assert!(!fixture.store.by(Actor::Harbor).retire_infra(id).await.unwrap(), "nothing is there to retire");
    assert_same_in_memory(&fixture).await;
}

#[tokio::test]
async fn a_refused_insert_claims_nothing() {
    let fixture = fixture().await;
    let id = SandboxId::random();
    fixture.store.by(Actor::Harbor).add_infra(id, now()).await.unwrap();
    fixture.store.by(Actor::Harbor).infra_ready(id).await.unwrap();
    insert(&fixture.store, sandbox(fixture.organization, "taken")).await.unwrap();
    let refused = fixture
        .store
        .by(Actor::Harbor)
        .insert_sandbox(sandbox(fixture.organization, "taken"), FromStock::Infra, None, |_| {})
        .await;
    assert!(matches!(refused, Err(StoreError::NameTaken)));
    assert_eq!(fixture.store.infra_stock().await.unwrap(), [(id, true)]);
    assert_same_in_memory(&fixture).await;
}

#[tokio::test]
async fn removed_sandboxes_are_not_live_and_go_after_their_time() {
    let fixture = fixture().await;
    let row = insert(&fixture.store, sandbox(fixture.organization, "box")).await.unwrap();
    fixture.store.by(Actor::Harbor).change_sandbox(row.id, now(), |row| row.seen = Seen::Removed).await.unwrap();
    assert!(fixture.store.sandboxes_of(fixture.organization).unwrap().is_empty());
    assert_eq!(
        fixture.store.by(Actor::Harbor).purge_removed_sandboxes(now() - Duration::from_mins(1)).await.unwrap(),
        0
    );
    assert_eq!(
        fixture.store.by(Actor::Harbor).purge_removed_sandboxes(now() + Duration::from_mins(1)).await.unwrap(),
        1
    );
    assert_eq!(fixture.store.sandbox(row.id).await.unwrap(), None);
    assert_same_in_memory(&fixture).await;
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
    assert_same_in_memory(&fixture).await;
}

#[tokio::test]
async fn use_never_moves_back() {
    let fixture = fixture().await;
    let row = insert(&fixture.store, sandbox(fixture.organization, "box")).await.unwrap();
    let later = row.last_activity_at + Duration::from_mins(1);
    fixture.store.by(Actor::Harbor).touch_sandbox(row.id, later).await.unwrap();
    fixture.store.by(Actor::Harbor).touch_sandbox(row.id, row.last_activity_at).await.unwrap();
    assert_eq!(fixture.store.sandbox(row.id).await.unwrap().unwrap().last_activity_at, later);
    assert_same_in_memory(&fixture).await;
}

#[tokio::test]
async fn times_follow_a_clock_that_was_set() {
    let fixture = fixture().await;
    let store = fixture.store.by(Actor::Harbor);
    let before = insert(&fixture.store, sandbox(fixture.organization, "before")).await.unwrap();
    let after = insert(&fixture.store, sandbox(fixture.organization, "after")).await.unwrap();
    let day = time::Duration::days(1);
    let set = before.updated_at + day;
    let (soon, used) = (before.updated_at + Duration::from_mins(5), set + Duration::from_secs(3));
    store.change_sandbox(before.id, soon, move |row| row.destroy_at = Some(soon)).await.unwrap();
    store
        .change_sandbox(after.id, used, move |row| (row.destroy_at, row.last_activity_at) = (Some(used), used))
        .await
        .unwrap();
    // forwards by a day, noticed five seconds later
    assert_eq!(store.move_times(day, set, set + Duration::from_secs(5)).await.unwrap(), 2);
    let row = async |id| fixture.store.sandbox(id).await.unwrap().unwrap();
    let moved = row(before.id).await;
    assert_eq!((moved.last_activity_at, moved.destroy_at), (before.last_activity_at + day, Some(soon + day)));
    let stayed = row(after.id).await;
    assert_eq!((stayed.last_activity_at, stayed.destroy_at), (used, Some(used)), "the new clock gave these");
    // by more than there are years
    let never = set + 10 * day;
    store.move_times(time::Duration::MAX, never, never).await.unwrap();
    assert_eq!(row(before.id).await.destroy_at.unwrap().year(), 9999);
    store.move_times(time::Duration::MIN, never, never).await.unwrap();
    assert_eq!(row(before.id).await.last_activity_at.unix_timestamp(), 0);
    assert_same_in_memory(&fixture).await;
}

#[tokio::test]
async fn a_change_of_state_is_use_and_another_change_is_not() {
    let fixture = fixture().await;
    let row = insert(&fixture.store, sandbox(fixture.organization, "box")).await.unwrap();
    let store = fixture.store.by(Actor::Harbor);
    let at = |minutes| row.updated_at + Duration::from_mins(minutes);
    store.change_sandbox(row.id, at(1), |row| row.settings.public = !row.settings.public).await.unwrap();
    assert_eq!(fixture.store.sandbox(row.id).await.unwrap().unwrap().last_activity_at, row.last_activity_at);
    store.change_sandbox(row.id, at(2), |row| row.desired = Desired::Destroyed).await.unwrap();
    assert_eq!(fixture.store.sandbox(row.id).await.unwrap().unwrap().last_activity_at, at(2));
    assert_same_in_memory(&fixture).await;
}

#[tokio::test]
async fn what_goes_on_during_a_stop_is_no_use() {
    let fixture = fixture().await;
    let row = insert(&fixture.store, sandbox(fixture.organization, "box")).await.unwrap();
    let (asked, later) = (row.last_activity_at + Duration::from_mins(1), row.last_activity_at + Duration::from_mins(2));
    let writer = fixture.store.by(Actor::Harbor);
    let stops = move |row: &mut Sandbox| {
        row.record(Outcome::Started(ContainerId::new("c"), Boot("1".to_owned())));
        (row.settings.auto_delete_minutes, row.failure) = (None, None);
        row.want_stopped(false, asked);
    };
    writer.change_sandbox(row.id, asked, stops).await.unwrap();
    writer.touch_sandbox(row.id, later).await.unwrap();
    assert_eq!(fixture.store.sandbox(row.id).await.unwrap().unwrap().last_activity_at, asked);
    assert_same_in_memory(&fixture).await;
}
