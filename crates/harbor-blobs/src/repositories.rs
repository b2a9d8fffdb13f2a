//! What lies in the repositories of the registry.

use harbor_model::objects::Piece;
use harbor_model::repositories::{
    Addition, BlobUpload, Digest, Manifest, ManifestKey, ManifestPush, NewManifest, Referrer, Removal, RepositoryBlob,
    RepositoryName, Tag,
};

use crate::index::IndexError;

/// Keeps what lies in the repositories. Each call is one transaction, and has survived a power cut once it is answered.
///
/// The bytes of a blob that several repositories have lie once.
#[async_trait::async_trait]
pub trait Repositories: Send + Sync + 'static {
    /// The blob of a repository with this digest.
    async fn blob(&self, repository: &RepositoryName, digest: &Digest) -> Result<Option<RepositoryBlob>, IndexError>;

    /// Gives a repository the blob of another one; answers whether that has it.
    async fn mount_blob(
        &self,
        repository: &RepositoryName,
        from: &RepositoryName,
        digest: &Digest,
    ) -> Result<bool, IndexError>;

    /// Removes a blob that no manifest of the repository names.
    async fn remove_blob(&self, repository: &RepositoryName, digest: &Digest) -> Result<Removal, IndexError>;

    /// Begins the time anew after which a blob goes that no manifest names.
    async fn renew_blob(&self, repository: &RepositoryName, digest: &Digest) -> Result<(), IndexError>;

    /// Begins to push a blob, unless `most` are being pushed; answers whether it did.
    async fn begin_upload(&self, upload: BlobUpload, most: u32) -> Result<bool, IndexError>;

    /// What is being pushed to a repository by this id.
    async fn upload(&self, repository: &RepositoryName, id: &str) -> Result<Option<BlobUpload>, IndexError>;

    /// Adds a piece, written for it, to what is being pushed, if that has `before` bytes.
    async fn add_to_upload(
        &self,
        repository: &RepositoryName,
        id: &str,
        before: u64,
        piece: Piece,
    ) -> Result<Addition, IndexError>;

    /// Makes what was pushed, `size` bytes with this digest, a blob of its repository; answers whether it was there.
    async fn complete_upload(
        &self,
        repository: &RepositoryName,
        id: &str,
        size: u64,
        digest: &Digest,
    ) -> Result<bool, IndexError>;

    /// Ends a push; answers whether there was one.
    async fn abort_upload(&self, repository: &RepositoryName, id: &str) -> Result<bool, IndexError>;

    /// The manifest of a repository that has this tag or digest.
    async fn manifest(&self, repository: &RepositoryName, key: &ManifestKey) -> Result<Option<Manifest>, IndexError>;

    /// Adds a manifest to a repository that has all that it names, and calls it by its tag.
    async fn push_manifest(&self, repository: &RepositoryName, new: NewManifest) -> Result<ManifestPush, IndexError>;

    /// Removes a manifest that no other one lists, with all its tags.
    async fn remove_manifest(&self, repository: &RepositoryName, digest: &Digest) -> Result<Removal, IndexError>;

    /// Removes a tag, and leaves its manifest; answers whether there was one.
    async fn remove_tag(&self, repository: &RepositoryName, tag: &Tag) -> Result<bool, IndexError>;

    /// The tags of a repository after one of them, at most `most`, in the order of their bytes; `None`: there is no such
    /// repository.
    async fn tags(&self, repository: &RepositoryName, after: &str, most: usize)
    -> Result<Option<Vec<Tag>>, IndexError>;

    /// The manifests of a repository that are about this one and come after another one, at most `most`, by digest; only
    /// those of this kind of artifact, if one is given.
    async fn referrers(
        &self,
        repository: &RepositoryName,
        subject: &Digest,
        kind: Option<String>,
        after: &str,
        most: usize,
    ) -> Result<Vec<Referrer>, IndexError>;

    /// The repositories with manifests whose names come after one of them, at most `most`, in the order of their bytes.
    async fn repositories(&self, after: &str, most: usize) -> Result<Vec<RepositoryName>, IndexError>;
}
