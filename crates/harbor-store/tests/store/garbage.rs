//! What nobody needs any more.

use std::collections::BTreeSet;
use std::sync::Arc;

use harbor_model::actors::Actor;
use harbor_model::garbage::{Collection, Unneeded};
use harbor_model::ids::OrganizationId;
use harbor_model::images::{ImageState, Recipe};
use harbor_model::objects::{Condition, Freshness, Part, Piece, StoredObject, Upload};
use harbor_model::repositories::{BlobUpload, Digest, Manifest, ManifestPush, Named, NewManifest, RepositoryName};
use harbor_model::sandboxes::{Beginning, Desired};
use harbor_store::Store;

use crate::fixture::{fixture, insert, now, sandbox};

const BUCKET: &str = "contexts";

fn collection() -> Collection {
    Collection { before: now() + time::Duration::HOUR, now: now(), parts_too: true, busy: Arc::from([]) }
}

async fn let_go_of(store: &Store, what: Unneeded, collection: Collection) -> (u64, BTreeSet<String>) {
    let let_go = store.by(Actor::Harbor).let_go_of(what, collection.clone(), BUCKET.to_owned()).await.unwrap();
    (let_go.count, store.let_go_at(collection.now).await.unwrap().into_iter().collect())
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
    assert_eq!(let_go_of(store, Unneeded::BuildContexts, early).await.0, 0, "they are new");
    let rehearsed = writer.rehearse(collection(), BUCKET.to_owned(), 1).await.unwrap();
    let (count, gone) = let_go_of(store, Unneeded::BuildContexts, collection()).await;
    assert!(rehearsed.iter().any(|(what, told)| *what == Unneeded::BuildContexts && told.count == count));
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
    let busy = Arc::from(["idle".to_owned()]);
    let while_it_comes = let_go_of(store, Unneeded::Uploads, Collection { before, busy, ..collection() }).await;
    assert_eq!(while_it_comes.0, 0);
    let let_go = let_go_of(store, Unneeded::Uploads, Collection { before, ..collection() }).await;
    assert_eq!(let_go, (1, BTreeSet::from(["idle".to_owned()])));
    assert!(store.upload("busy".to_owned()).await.unwrap().is_some());
}

#[tokio::test]
async fn a_rehearsal_tells_what_goes_with_an_image_and_changes_nothing() {
    let fixture = fixture().await;
    let (store, organization) = (&fixture.store, fixture.organization);
    let writer = store.by(Actor::Harbor);
    writer.create_bucket(BUCKET.to_owned(), now()).await.unwrap();
    for digit in '0'..='9' {
        put(store, &context(organization, digit)).await;
    }
    // one of them is what an image was built with that nobody has any more
    let recipe = Recipe {
        reference: format!("daytona-{}:daytona", digest('0')),
        dockerfile: "FROM a".to_owned(),
        contexts: vec![digest('0')],
    };
    let mut made = sandbox(organization, "made");
    made.origin.build = Some(recipe.clone());
    made.origin.image.clone_from(&recipe.reference);
    (made.files.beginning, made.failure) = (Beginning::Unbuilt { begun: true }, None);
    let made = insert(store, made).await.unwrap();
    let image = store.image_of(organization, recipe.reference).await.unwrap().unwrap();
    writer.change_image(image.id, |image| image.state = ImageState::Ready).await.unwrap();
    let told = async |count| {
        let first = writer.rehearse(collection(), BUCKET.to_owned(), 1).await.unwrap();
        assert_eq!(first, writer.rehearse(collection(), BUCKET.to_owned(), 1).await.unwrap());
        assert_eq!(first.iter().map(|(_, told)| told.count).sum::<u64>(), count);
    };
    told(9).await;
    writer.change_sandbox(made.id, now(), |row| row.desired = Desired::Destroyed).await.unwrap();
    told(10).await;
    assert_eq!(writer.forget_blobs(now() + time::Duration::DAY, 100).await.unwrap(), [""; 0]);
    assert!(store.image(image.id).await.unwrap().is_some());
}

#[tokio::test]
async fn what_a_list_listed_goes_with_it_and_its_blobs_too() {
    let fixture = fixture().await;
    let store = &fixture.store;
    let writer = store.by(Actor::Harbor);
    let repository: RepositoryName = "team/app".parse().unwrap();
    let blob = Digest::of_sha256([1; 32]);
    let upload =
        BlobUpload { id: "a".to_owned(), repository: repository.clone(), size: 0, pieces: vec![], touched_at: now() };
    writer.begin_blob_upload(upload, 3).await.unwrap();
    let (to, id) = (repository.clone(), "a".to_owned());
    writer.add_to_blob_upload(to.clone(), id.clone(), 0, piece("layer"), now()).await.unwrap();
    writer.complete_blob_upload(to, id, 1, blob.clone(), now()).await.unwrap();
    let push = async |number: u8, named: Vec<(Digest, u64)>, tag: Option<&str>| {
        let (digest, media_type) = (Digest::of_sha256([number; 32]), "m".to_owned());
        let (content, pushed_at) = (b"{}".to_vec(), now());
        let (subject, artifact_type, annotations) = (None, None, None);
        let manifest =
            Manifest { digest: digest.clone(), media_type, content, subject, artifact_type, annotations, pushed_at };
        let named = named.into_iter().map(|(digest, size)| Named { digest, size, elsewhere: false }).collect();
        let new = NewManifest { manifest, named, tag: tag.map(|tag| tag.parse().unwrap()) };
        assert!(matches!(writer.push_manifest(repository.clone(), new).await.unwrap(), ManifestPush::Done));
        digest
    };
    let child = push(2, vec![(blob, 1)], None).await;
    push(3, vec![(child, 2)], Some("v1")).await;
    // the tag comes to mean something else
    push(4, vec![], Some("v1")).await;
    let (mut gone, collection) = ((0, BTreeSet::new()), collection());
    for what in [Unneeded::RegistryImages, Unneeded::RegistryBlobs] {
        let mut more = true;
        while more {
            let let_go = writer.let_go_of(what, collection.clone(), BUCKET.to_owned()).await.unwrap();
            (gone.0, more) = (gone.0 + let_go.count, let_go.more);
        }
    }
    gone.1.extend(store.let_go_at(collection.now).await.unwrap());
    assert_eq!(gone, (3, BTreeSet::from(["layer".to_owned()])), "the list, what it listed, and the blob of that");
}
