//! Blobs are counted right, whatever needs them: objects, parts of uploads, and the registry's blobs and pushes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use harbor_model::actors::Actor;
use harbor_model::garbage::Collection;
use harbor_model::objects::{Condition, Freshness, Part, Piece, StoredObject, Upload};
use harbor_model::repositories::{
    Addition, BlobUpload, Digest, Manifest, ManifestKey, ManifestPush, Named, NewManifest, Removal, RepositoryName, Tag,
};
use harbor_store::Writer;
use proptest::prelude::*;
use rusqlite::Connection;

use crate::fixture::{Fixture, fixture, now};

const BUCKET: &str = "daytona";

/// Something that is done. Numbers choose among a few keys, repositories, digests and tags.
#[derive(Clone, Debug)]
enum Act {
    Put(u8),
    Copy(u8, u8),
    Remove(u8),
    BeginUpload(u8),
    AddPart(u8, u32),
    CompleteUpload(u8),
    AbortUpload(u8),
    BeginPush(u8, u8),
    AddToPush(u8),
    CompletePush(u8, u8),
    AbortPush(u8),
    Mount(u8, u8, u8),
    RemoveBlob(u8, u8),
    PushManifest(u8, u8, Vec<u8>, Option<u8>),
    RemoveManifest(u8, u8),
    RemoveTag(u8, u8),
    RemoveUnneeded,
}

fn act() -> impl Strategy<Value = Act> {
    let few = || 0_u8..3;
    prop_oneof![
        few().prop_map(Act::Put),
        (few(), few()).prop_map(|(from, to)| Act::Copy(from, to)),
        few().prop_map(Act::Remove),
        few().prop_map(Act::BeginUpload),
        (few(), 1_u32..4).prop_map(|(upload, number)| Act::AddPart(upload, number)),
        few().prop_map(Act::CompleteUpload),
        few().prop_map(Act::AbortUpload),
        (few(), few()).prop_map(|(push, repository)| Act::BeginPush(push, repository)),
        few().prop_map(Act::AddToPush),
        (few(), few()).prop_map(|(push, digest)| Act::CompletePush(push, digest)),
        few().prop_map(Act::AbortPush),
        (few(), few(), few()).prop_map(|(to, from, digest)| Act::Mount(to, from, digest)),
        (few(), few()).prop_map(|(repository, digest)| Act::RemoveBlob(repository, digest)),
        (few(), few(), prop::collection::vec(few(), 0..3), prop::option::of(few()))
            .prop_map(|(repository, manifest, blobs, tag)| Act::PushManifest(repository, manifest, blobs, tag)),
        (few(), few()).prop_map(|(repository, manifest)| Act::RemoveManifest(repository, manifest)),
        (few(), few()).prop_map(|(repository, tag)| Act::RemoveTag(repository, tag)),
        Just(Act::RemoveUnneeded),
    ]
}

/// What is done to a store.
struct Doing<'a> {
    fixture: &'a Fixture,
    /// Blobs that were written so far.
    written: u64,
    /// Which repository each push is to.
    pushes: BTreeMap<u8, u8>,
    collections: i64,
}

impl Doing<'_> {
    fn writer(&self) -> Writer {
        self.fixture.store.by(Actor::Harbor)
    }

    fn piece(&mut self) -> Piece {
        self.written += 1;
        Piece { blob: format!("blob-{}", self.written), start: 0, size: 1 }
    }

    async fn act(&mut self, act: Act) {
        let store = &self.fixture.store;
        match act {
            Act::Put(key) => {
                let object = object(vec![self.piece()]);
                let (key, fresh) = (key.to_string(), Freshness::Written);
                self.writer().put_object(BUCKET.into(), key, object, Condition::Always, fresh).await.unwrap();
            }
            Act::Copy(from, to) => {
                if let Some(found) = store.object(BUCKET.into(), from.to_string()).await.unwrap() {
                    let (key, shared) = (to.to_string(), Freshness::Shared);
                    self.writer().put_object(BUCKET.into(), key, found, Condition::Always, shared).await.unwrap();
                }
            }
            Act::Remove(key) => {
                self.writer().remove_objects(BUCKET.into(), vec![key.to_string()], now()).await.unwrap();
            }
            Act::BeginUpload(id) => {
                if store.upload(id.to_string()).await.unwrap().is_none() {
                    let (bucket, key) = (BUCKET.to_owned(), id.to_string());
                    let attributes = "{}".to_owned();
                    let upload = Upload { id: id.to_string(), bucket, key, attributes, started_at: now() };
                    self.writer().begin_upload(upload).await.unwrap();
                }
            }
            Act::AddPart(id, number) => {
                if store.upload(id.to_string()).await.unwrap().is_some() {
                    let (etag, checksums) = (String::new(), "{}".to_owned());
                    let pieces = vec![self.piece()];
                    let part = Part { number, size: 1, etag, modified_at: now(), checksums, pieces };
                    self.writer().add_upload_part(id.to_string(), part, Freshness::Written).await.unwrap();
                }
            }
            Act::CompleteUpload(id) => {
                let parts = store.upload_parts(id.to_string()).await.unwrap();
                let whole = object(parts.into_iter().flat_map(|part| part.pieces).collect());
                self.writer().complete_upload(id.to_string(), whole, Condition::Always).await.unwrap();
            }
            Act::AbortUpload(id) => _ = self.writer().abort_upload(id.to_string(), now()).await.unwrap(),
            registry => self.act_on_registry(registry).await,
        }
    }

    async fn act_on_registry(&mut self, act: Act) {
        let store = &self.fixture.store;
        match act {
            Act::BeginPush(id, to) => {
                if self.pushes.insert(id, to).is_none() {
                    let (id, repository, pieces) = (id.to_string(), repository(to), Vec::new());
                    let upload = BlobUpload { id, repository, size: 0, pieces, touched_at: now() };
                    assert!(self.writer().begin_blob_upload(upload, 3).await.unwrap());
                } else {
                    let to = repository(to);
                    self.writer().abort_blob_upload(to, id.to_string(), now()).await.unwrap();
                    // to the repository that it was begun in, if that is another one
                    for other in 0..3 {
                        let other = repository(other);
                        self.writer().abort_blob_upload(other, id.to_string(), now()).await.unwrap();
                    }
                    self.pushes.remove(&id);
                }
            }
            Act::AddToPush(id) => {
                let Some(to) = self.pushes.get(&id).copied() else { return };
                let upload = store.blob_upload(repository(to), id.to_string()).await.unwrap().unwrap();
                let (first, second) = (self.piece(), self.piece());
                let (to, id, before) = (repository(to), id.to_string(), upload.size);
                let added =
                    self.writer().add_to_blob_upload(to.clone(), id.clone(), before, first, now()).await.unwrap();
                assert_eq!(added, Addition::Done);
                let late = self.writer().add_to_blob_upload(to, id, before, second, now()).await.unwrap();
                assert_eq!(late, Addition::Overtaken);
            }
            Act::CompletePush(id, named) => {
                let Some(to) = self.pushes.remove(&id) else { return };
                let upload = store.blob_upload(repository(to), id.to_string()).await.unwrap().unwrap();
                let (writer, to, id) = (self.writer(), repository(to), id.to_string());
                let size = upload.size;
                assert!(
                    !writer.complete_blob_upload(to.clone(), id.clone(), size + 1, digest(named), now()).await.unwrap()
                );
                assert!(writer.complete_blob_upload(to.clone(), id, size, digest(named), now()).await.unwrap());
                assert!(store.repository_blob(to, digest(named)).await.unwrap().is_some());
            }
            Act::AbortPush(id) => {
                let Some(to) = self.pushes.remove(&id) else { return };
                assert!(self.writer().abort_blob_upload(repository(to), id.to_string(), now()).await.unwrap());
            }
            Act::Mount(to, from, named) => {
                let there = store.repository_blob(repository(from), digest(named)).await.unwrap().is_some();
                let writer = self.writer();
                let mounted = writer.mount_blob(repository(to), repository(from), digest(named), now()).await.unwrap();
                assert_eq!(mounted, there);
            }
            Act::RemoveBlob(from, named) => {
                let removed = self.writer().remove_repository_blob(repository(from), digest(named), now()).await;
                let left = store.repository_blob(repository(from), digest(named)).await.unwrap();
                assert_eq!(left.is_some(), removed.unwrap() == Removal::Needed);
            }
            Act::PushManifest(to, named, blobs, tag) => self.push_manifest(to, named, blobs, tag).await,
            Act::RemoveManifest(from, named) => {
                self.writer().remove_manifest(repository(from), manifest_digest(named), now()).await.unwrap();
            }
            Act::RemoveTag(from, named) => {
                self.writer().remove_tag(repository(from), tag(named), now()).await.unwrap();
            }
            _ => {
                // a time of its own, as each collection has
                self.collections += 1;
                let now = now() + time::Duration::milliseconds(self.collections);
                let (before, busy) = (now + time::Duration::DAY, Arc::from([]));
                let collection = Collection { before, now, parts_too: true, busy };
                let rehearsed = self.writer().rehearse(collection.clone(), BUCKET.to_owned(), 100).await.unwrap();
                let mut seen = BTreeSet::new();
                for (what, expected) in rehearsed {
                    let mut count = 0;
                    loop {
                        let let_go =
                            self.writer().let_go_of(what, collection.clone(), BUCKET.to_owned()).await.unwrap();
                        count += let_go.count;
                        if !let_go.more {
                            break;
                        }
                    }
                    let blobs = store.let_go_at(now).await.unwrap().into_iter();
                    let blobs: Vec<_> = blobs.filter(|blob| seen.insert(blob.clone())).collect();
                    assert_eq!((count, blobs), (expected.count, expected.blobs), "{what:?}");
                }
                self.pushes.clear();
            }
        }
    }

    async fn push_manifest(&self, to: u8, named: u8, blobs: Vec<u8>, called: Option<u8>) {
        let store = &self.fixture.store;
        let mut named_parts = Vec::new();
        for blob in blobs {
            let found = store.repository_blob(repository(to), digest(blob)).await.unwrap();
            let size = found.map_or(0, |found| found.size);
            named_parts.push(Named { digest: digest(blob), size, elsewhere: false });
        }
        // the last one lists the first
        if named == 2 {
            named_parts.push(Named { digest: manifest_digest(0), size: 2, elsewhere: false });
        }
        let manifest = Manifest {
            digest: manifest_digest(named),
            media_type: "m".to_owned(),
            content: b"{}".to_vec(),
            subject: None,
            artifact_type: None,
            annotations: None,
            pushed_at: now(),
        };
        let new = NewManifest { manifest, named: named_parts, tag: called.map(tag) };
        let pushed = self.writer().push_manifest(repository(to), new).await.unwrap();
        if let (ManifestPush::Done, Some(called)) = (pushed, called) {
            let found = store.manifest(repository(to), ManifestKey::Tag(tag(called))).await.unwrap();
            assert_eq!(found.unwrap().digest, manifest_digest(named));
        }
    }
}

fn object(pieces: Vec<Piece>) -> StoredObject {
    let attributes = "{}".to_owned();
    StoredObject { size: 1, etag: String::new(), modified_at: now(), attributes, pieces }
}

fn repository(number: u8) -> RepositoryName {
    format!("team/app-{number}").parse().unwrap()
}

fn digest(number: u8) -> Digest {
    Digest::of_sha256([number; 32])
}

fn manifest_digest(number: u8) -> Digest {
    Digest::of_sha256([0x10 + number; 32])
}

fn tag(number: u8) -> Tag {
    format!("v{number}").parse().unwrap()
}

/// How often each blob is needed, by all rows that name it.
fn needed(file: &Connection) -> BTreeMap<String, i64> {
    let mut needed = BTreeMap::new();
    for table in ["object", "upload_part", "repository_blob", "blob_upload"] {
        let mut statement = file.prepare(&format!("SELECT pieces FROM {table}")).unwrap();
        let rows = statement.query_map([], |row| row.get::<_, String>(0)).unwrap();
        for pieces in rows {
            let pieces: Vec<(String, u64, u64)> = serde_json::from_str(&pieces.unwrap()).unwrap();
            for (blob, ..) in pieces {
                *needed.entry(blob).or_default() += 1;
            }
        }
    }
    needed
}

fn counted(file: &Connection) -> BTreeMap<String, i64> {
    let mut statement = file.prepare("SELECT id, uses FROM blob WHERE uses > 0").unwrap();
    statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap().map(Result::unwrap).collect()
}

/// Those blobs of repositories that a manifest names, and those that are not noted as unneeded; manifests that are noted as
/// unneeded, though a tag or another one names them.
fn named_and_not_unneeded(file: &Connection) -> [BTreeSet<(String, String)>; 3] {
    let all = |sql| {
        let mut statement = file.prepare(sql).unwrap();
        statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap().map(Result::unwrap).collect()
    };
    [
        all("SELECT DISTINCT repository, digest FROM manifest_blob"),
        all("SELECT repository, digest FROM repository_blob WHERE unneeded_since IS NULL"),
        all("SELECT repository, digest FROM manifest WHERE unneeded_since IS NOT NULL
                AND (EXISTS (SELECT 1 FROM tag WHERE tag.repository = manifest.repository AND manifest = manifest.digest)
                OR EXISTS (SELECT 1 FROM manifest_listed AS listed
                    WHERE listed.repository = manifest.repository AND listed.digest = manifest.digest))"),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, ..ProptestConfig::default() })]

    #[test]
    fn a_blob_is_needed_as_often_as_rows_name_it(acts in prop::collection::vec(act(), 1..60)) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
        runtime.block_on(async {
            let fixture = fixture().await;
            fixture.store.by(Actor::Harbor).create_bucket(BUCKET.into(), now()).await.unwrap();
            let file = Connection::open(fixture.directory.path().join("harbor.db")).unwrap();
            let mut actor = Doing { fixture: &fixture, written: 0, pushes: BTreeMap::new(), collections: 0 };
            for act in acts {
                actor.act(act).await;
                assert_eq!(counted(&file), needed(&file));
                let [named, not_unneeded, wrongly] = named_and_not_unneeded(&file);
                assert_eq!(named, not_unneeded);
                assert_eq!(wrongly, BTreeSet::new());
            }
        });
    }
}
