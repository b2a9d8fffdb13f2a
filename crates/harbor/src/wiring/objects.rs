//! The object storage: its index is the store's, who may do what is control's to say.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use harbor_blobs::{Authorize, Blobs, Denied, Index, IndexError, Scope};
use harbor_control::{Control, ObjectScope, TemporaryDenial};
use harbor_model::Timestamp;
use harbor_model::actors::Actor;
use harbor_model::errors::chain;
use harbor_model::garbage::{Collected, Collection, LetGo, Unneeded};
use harbor_model::ids::OrganizationId;
use harbor_model::objects::{
    BucketRemoval, Condition, Freshness, Listing, Page, Part, Put, StoredObject, Upload, UploadListing,
};
use harbor_reconcile::ObjectStorage;
use harbor_store::{Store, StoreError, Writer};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::sync::OnceCell;
use tokio_rustls::TlsAcceptor;

use crate::secrets::authority::Authority;

/// How many objects are removed in one transaction.
const REMOVED_AT_ONCE: usize = 100;

/// The region that clients sign with; those that know none take this one.
pub(super) const REGION: &str = "us-east-1";

/// The blobs below `directory`, whose bucket for build contexts is made if need be.
pub(super) async fn open(directory: &Path, store: &Store, bucket: &str) -> anyhow::Result<Blobs> {
    let index = StoreIndex { store: store.clone(), contexts_in: bucket.to_owned() };
    index.create_bucket(bucket).await?;
    let blobs = directory.join("blobs");
    Blobs::open(&blobs, Arc::new(index)).with_context(|| format!("cannot open {}", blobs.display()))
}

/// Takes clients that begin with TLS, by this host's certificate.
pub(super) fn acceptor(authority: &Authority) -> anyhow::Result<TlsAcceptor> {
    let certificates = CertificateDer::pem_slice_iter(authority.leaf_certificates.as_bytes());
    let certificates = certificates.collect::<Result<Vec<_>, _>>().context("this host's certificate is damaged")?;
    let key = PrivateKeyDer::from_pem_slice(authority.leaf_key.reveal().as_bytes())
        .context("the key of this host's certificate is damaged")?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(certificates, key)
        .context("this host's certificate cannot be used")?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// What users upload for images.
pub(super) struct Uploads {
    blobs: Blobs,
    bucket: String,
    swept: OnceCell<()>,
}

impl Uploads {
    pub(super) fn new(blobs: Blobs, bucket: String) -> Self {
        Self { blobs, bucket, swept: OnceCell::new() }
    }
}

#[async_trait::async_trait]
impl ObjectStorage for Uploads {
    async fn upload(&self, organization: OrganizationId, name: &str) -> Result<Option<harbor_runner::Context>, String> {
        let key = format!("{organization}/{name}/context.tar");
        let opened = self.blobs.open_object(&self.bucket, &key).await.map_err(|error| chain(&error))?;
        match opened {
            Some((0, _)) => Err("they are empty".to_owned()),
            opened => Ok(opened.map(|(_, stream)| -> harbor_runner::Context { stream })),
        }
    }

    async fn collect(&self, at_least: Duration, rehearse: bool) -> Result<Vec<Collected>, String> {
        self.blobs.collect(at_least, rehearse).await.map_err(|error| chain(&error))
    }

    fn is_short_of_space(&self) -> bool {
        self.blobs.is_short_of_space()
    }

    async fn tidy(&self) -> Result<usize, String> {
        // what an earlier run of harbor wrote and did not come to record
        let sweep = || async { self.blobs.sweep().await.map(drop) };
        let swept = self.swept.get_or_try_init(sweep).await;
        let tidied = self.blobs.tidy().await;
        swept.map_err(|error| chain(&error))?;
        tidied.map_err(|error| chain(&error))
    }
}

/// Control knows who may do what.
pub(super) struct Opens(pub(super) Control);

#[async_trait::async_trait]
impl Authorize for Opens {
    async fn secret(&self, access_key: &str) -> Option<String> {
        self.0.object_secret(access_key).map(|secret| secret.reveal().to_owned())
    }

    async fn scope(&self, access_key: &str, session_token: Option<&str>) -> Result<Scope, Denied> {
        match self.0.object_scope(access_key, session_token).await {
            Ok(ObjectScope::Owner) => Ok(Scope::Owner),
            Ok(ObjectScope::Organization(id, bucket)) => Ok(Scope::Prefix { bucket, prefix: id.to_string() }),
            Err(TemporaryDenial::InvalidToken) => Err(Denied::InvalidToken),
            Err(TemporaryDenial::Expired) => Err(Denied::Expired),
            Err(TemporaryDenial::Unknown) => Err(Denied::Unknown),
        }
    }
}

/// The store knows where things are.
struct StoreIndex {
    store: Store,
    /// The bucket that build contexts lie in.
    contexts_in: String,
}

impl StoreIndex {
    fn writer(&self) -> Writer {
        self.store.by(Actor::Harbor)
    }
}

pub(super) fn failed(error: StoreError) -> IndexError {
    IndexError { is_full: matches!(error, StoreError::Full(_)), source: Box::new(error) }
}

/// A transaction that was taken back because the blobs it shares are gone is an outcome.
fn unless_gone(outcome: Result<Put, StoreError>) -> Result<Put, IndexError> {
    match outcome {
        Err(StoreError::Gone) => Ok(Put::Gone),
        outcome => outcome.map_err(failed),
    }
}

pub(super) fn now() -> Timestamp {
    Timestamp::now_utc()
}

#[async_trait::async_trait]
impl Index for StoreIndex {
    async fn buckets(&self) -> Result<Vec<(String, Timestamp)>, IndexError> {
        self.store.buckets().await.map_err(failed)
    }

    async fn has_bucket(&self, name: &str) -> Result<bool, IndexError> {
        self.store.has_bucket(name.to_owned()).await.map_err(failed)
    }

    async fn create_bucket(&self, name: &str) -> Result<bool, IndexError> {
        self.writer().create_bucket(name.to_owned(), now()).await.map_err(failed)
    }

    async fn remove_bucket(&self, name: &str) -> Result<BucketRemoval, IndexError> {
        self.writer().remove_bucket(name.to_owned()).await.map_err(failed)
    }

    async fn object(&self, bucket: &str, key: &str) -> Result<Option<StoredObject>, IndexError> {
        self.store.object(bucket.to_owned(), key.to_owned()).await.map_err(failed)
    }

    async fn put(
        &self,
        bucket: &str,
        key: &str,
        object: StoredObject,
        condition: Condition,
        fresh: Freshness,
    ) -> Result<Put, IndexError> {
        let put = self.writer().put_object(bucket.to_owned(), key.to_owned(), object, condition, fresh).await;
        unless_gone(put)
    }

    async fn remove(&self, bucket: &str, keys: Vec<String>) -> Result<(), IndexError> {
        // whoever else writes waits for one of these, not for all
        for some in keys.chunks(REMOVED_AT_ONCE) {
            self.writer().remove_objects(bucket.to_owned(), some.to_vec(), now()).await.map_err(failed)?;
        }
        Ok(())
    }

    async fn list(&self, bucket: &str, listing: Listing) -> Result<Page, IndexError> {
        self.store.objects(bucket.to_owned(), listing).await.map_err(failed)
    }

    async fn begin_upload(&self, upload: Upload) -> Result<bool, IndexError> {
        self.writer().begin_upload(upload).await.map_err(failed)
    }

    async fn upload(&self, id: &str) -> Result<Option<Upload>, IndexError> {
        self.store.upload(id.to_owned()).await.map_err(failed)
    }

    async fn uploads(&self, bucket: &str, listing: UploadListing) -> Result<(Vec<Upload>, bool), IndexError> {
        self.store.uploads(bucket.to_owned(), listing).await.map_err(failed)
    }

    async fn add_part(&self, upload: &str, part: Part, fresh: Freshness) -> Result<Put, IndexError> {
        let added = self.writer().add_upload_part(upload.to_owned(), part, fresh).await;
        unless_gone(added.map(|added| if added { Put::Done } else { Put::Missing }))
    }

    async fn parts(&self, upload: &str) -> Result<Vec<Part>, IndexError> {
        self.store.upload_parts(upload.to_owned()).await.map_err(failed)
    }

    async fn complete_upload(&self, id: &str, object: StoredObject, condition: Condition) -> Result<Put, IndexError> {
        unless_gone(self.writer().complete_upload(id.to_owned(), object, condition).await)
    }

    async fn abort_upload(&self, id: &str) -> Result<bool, IndexError> {
        self.writer().abort_upload(id.to_owned(), now()).await.map_err(failed)
    }

    async fn let_go_of(&self, what: Unneeded, collection: Collection) -> Result<LetGo, IndexError> {
        self.writer().let_go_of(what, collection, self.contexts_in.clone()).await.map_err(failed)
    }

    async fn let_go_at(&self, now: Timestamp) -> Result<Vec<String>, IndexError> {
        self.store.let_go_at(now).await.map_err(failed)
    }

    async fn rehearse(&self, collection: Collection, portions: usize) -> Result<Vec<(Unneeded, LetGo)>, IndexError> {
        self.writer().rehearse(collection, self.contexts_in.clone(), portions).await.map_err(failed)
    }

    async fn forget_blobs(&self, before: Timestamp, most: usize) -> Result<Vec<String>, IndexError> {
        self.writer().forget_blobs(before, most).await.map_err(failed)
    }

    async fn unknown_blobs(&self, blobs: Vec<String>) -> Result<Vec<String>, IndexError> {
        self.store.unknown_blobs(blobs).await.map_err(failed)
    }
}
