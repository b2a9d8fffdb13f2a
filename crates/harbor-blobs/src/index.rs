//! Where things are: buckets, objects, uploads, and which blobs they need.

use harbor_model::Timestamp;
use harbor_model::garbage::{Collection, LetGo, Unneeded};
use harbor_model::objects::{
    BucketRemoval, Condition, Freshness, Listing, Page, Part, Put, StoredObject, Upload, UploadListing,
};

/// Why the index did not answer.
#[derive(Debug, thiserror::Error)]
#[error("the index of objects did not answer")]
pub struct IndexError {
    /// Whether the disk that it is on is full.
    pub is_full: bool,
    /// What it said.
    #[source]
    pub source: Box<dyn std::error::Error + Send + Sync>,
}

/// Keeps where things are. Each call is one transaction, and has survived a power cut once it is answered.
///
/// A blob is needed by every object and every part that names it; the index counts.
#[async_trait::async_trait]
pub trait Index: Send + Sync + 'static {
    /// All buckets, by name, and when they were made.
    async fn buckets(&self) -> Result<Vec<(String, Timestamp)>, IndexError>;

    /// Whether there is this bucket.
    async fn has_bucket(&self, name: &str) -> Result<bool, IndexError>;

    /// Makes a bucket; answers whether it is new.
    async fn create_bucket(&self, name: &str) -> Result<bool, IndexError>;

    /// Removes a bucket that is empty.
    async fn remove_bucket(&self, name: &str) -> Result<BucketRemoval, IndexError>;

    /// The object of this key.
    async fn object(&self, bucket: &str, key: &str) -> Result<Option<StoredObject>, IndexError>;

    /// Writes an object in place of the one before. With [`Freshness::Shared`] it has blobs that others have.
    async fn put(
        &self,
        bucket: &str,
        key: &str,
        object: StoredObject,
        condition: Condition,
        fresh: Freshness,
    ) -> Result<Put, IndexError>;

    /// Removes objects; a key without one is fine.
    async fn remove(&self, bucket: &str, keys: Vec<String>) -> Result<(), IndexError>;

    /// Lists objects.
    async fn list(&self, bucket: &str, listing: Listing) -> Result<Page, IndexError>;

    /// Begins an upload; answers whether there is its bucket.
    async fn begin_upload(&self, upload: Upload) -> Result<bool, IndexError>;

    /// The upload with this id.
    async fn upload(&self, id: &str) -> Result<Option<Upload>, IndexError>;

    /// Lists the uploads of a bucket by key and id; answers whether there are more.
    async fn uploads(&self, bucket: &str, listing: UploadListing) -> Result<(Vec<Upload>, bool), IndexError>;

    /// Adds a part in place of the one with this number.
    async fn add_part(&self, upload: &str, part: Part, fresh: Freshness) -> Result<Put, IndexError>;

    /// The parts of an upload, by number.
    async fn parts(&self, upload: &str) -> Result<Vec<Part>, IndexError>;

    /// Writes the object of an upload, which is then gone with all its parts.
    async fn complete_upload(&self, id: &str, object: StoredObject, condition: Condition) -> Result<Put, IndexError>;

    /// Removes an upload with all its parts; answers whether there was one.
    async fn abort_upload(&self, id: &str) -> Result<bool, IndexError>;

    /// Lets go of some of what nobody needs.
    async fn let_go_of(&self, what: Unneeded, collection: Collection) -> Result<LetGo, IndexError>;

    /// The blobs that nothing needs any more since a collection of this time.
    async fn let_go_at(&self, now: Timestamp) -> Result<Vec<String>, IndexError>;

    /// What letting go of everything would do, at most `portions` of each kind; nothing is changed.
    async fn rehearse(&self, collection: Collection, portions: usize) -> Result<Vec<(Unneeded, LetGo)>, IndexError>;

    /// Forgets blobs that nothing has needed since `before`, at most `most`, and answers which: nothing can need them again.
    async fn forget_blobs(&self, before: Timestamp, most: usize) -> Result<Vec<String>, IndexError>;

    /// Those of these blobs that the index knows nothing of.
    async fn unknown_blobs(&self, blobs: Vec<String>) -> Result<Vec<String>, IndexError>;
}
