//! What nobody needs any more.

use std::collections::BTreeSet;

use harbor_model::actors::Actor;
use harbor_model::garbage::Unneeded;
use harbor_model::ids::OrganizationId;
use harbor_model::images::Recipe;
use harbor_model::objects::{Condition, Freshness, Part, Piece, StoredObject, Upload};
use harbor_store::{Collection, Store};

use crate::fixture::{fixture, insert, now, sandbox};

const BUCKET: &str = "contexts";

fn collection() -> Collection {
    Collection { before: now() + time::Duration::HOUR, noted: now(), now: now(), contexts_in: BUCKET.to_owned() }
}

fn piece(blob: &str) -> Piece {
    Piece { blob: blob.to_owned(), start: 0, size: 1 }
}

async fn put(store: &Store, key: &str) {
    let (etag, attributes) = (String::new(), "{}".to_owned());
    let object = StoredObject { size: 1, etag, modified_at: now(), attributes, pieces: vec![piece(key)] };
    let writer = store.by(Actor::Harbor);
    writer.put_object(BUCKET.to_owned(), key.to_owned(), object, Condition::Always, Freshness::Written).await.unwrap();
}

fn context(organization: OrganizationId, digit: char) -> String {
    format!("{organization}/{}/context.tar", digest(digit))
}

fn digest(digit: char) -> String {
    digit.to_string().repeat(32)
}

#[tokio::test]
async fn contexts_go_that_nothing_is_made_with() {
    let fixture = fixture().await;
    let (store, organization) = (&fixture.store, fixture.organization);
    let writer = store.by(Actor::Harbor);
    writer.create_bucket(BUCKET.to_owned(), now()).await.unwrap();
    let recipe = |digit| Recipe {
        reference: format!("daytona-{}:daytona", digest(digit)),
        dockerfile: "FROM a".to_owned(),
        contexts: vec![digest(digit)],
    };
    let mut made = sandbox(organization, "made");
    made.origin.build = Some(recipe('a'));
    insert(store, made).await.unwrap();
    let others = format!("{}/{}/context.tar", OrganizationId::random(), digest('a'));
    let own = format!("{organization}/notes/context.tar");
    for key in [&context(organization, 'a'), &context(organization, 'b'), &others, &own] {
        put(store, key).await;
    }

    let early = Collection { before: now() - time::Duration::HOUR, ..collection() };
    assert_eq!(writer.let_go_of(Unneeded::BuildContexts, early).await.unwrap().count, 0, "they are new");
    let rehearsed = writer.rehearse(collection(), 1).await.unwrap();
    let let_go = writer.let_go_of(Unneeded::BuildContexts, collection()).await.unwrap();
    assert!(rehearsed.iter().any(|(what, told)| *what == Unneeded::BuildContexts && told.count == let_go.count));
    let gone: BTreeSet<String> = let_go.blobs.into_iter().collect();
    assert_eq!(gone, BTreeSet::from([context(organization, 'b'), others]), "another organization's is another one");
    for kept in [context(organization, 'a'), own] {
        assert!(store.object(BUCKET.to_owned(), kept).await.unwrap().is_some());
    }
}

#[tokio::test]
async fn an_upload_stays_while_parts_of_it_come() {
    let fixture = fixture().await;
    let store = &fixture.store;
    let writer = store.by(Actor::Harbor);
    writer.create_bucket(BUCKET.to_owned(), now()).await.unwrap();
    let (began, before) = (now() - time::Duration::DAY, now() - time::Duration::HOUR);
    for id in ["idle", "busy"] {
        let (bucket, attributes) = (BUCKET.to_owned(), "{}".to_owned());
        let upload = Upload { id: id.to_owned(), bucket, key: id.to_owned(), attributes, started_at: began };
        writer.begin_upload(upload).await.unwrap();
        let modified_at = if id == "busy" { now() } else { began };
        let (etag, checksums) = (String::new(), "{}".to_owned());
        let part = Part { number: 1, size: 1, etag, modified_at, checksums, pieces: vec![piece(id)] };
        writer.add_upload_part(id.to_owned(), part, Freshness::Written).await.unwrap();
    }
    let let_go = writer.let_go_of(Unneeded::Uploads, Collection { before, ..collection() }).await.unwrap();
    assert_eq!((let_go.count, let_go.blobs), (1, vec!["idle".to_owned()]));
    assert!(store.upload("busy".to_owned()).await.unwrap().is_some());
}

#[tokio::test]
async fn a_rehearsal_changes_nothing() {
    let fixture = fixture().await;
    let (store, organization) = (&fixture.store, fixture.organization);
    let writer = store.by(Actor::Harbor);
    writer.create_bucket(BUCKET.to_owned(), now()).await.unwrap();
    for digit in '0'..='9' {
        put(store, &context(organization, digit)).await;
    }
    let first = writer.rehearse(collection(), 1).await.unwrap();
    assert_eq!(first, writer.rehearse(collection(), 1).await.unwrap());
    assert_eq!(first.iter().map(|(_, told)| told.count).sum::<u64>(), 10);
    assert_eq!(writer.forget_blobs(now() + time::Duration::DAY, 100).await.unwrap(), [""; 0]);
}
