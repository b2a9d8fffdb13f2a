//! What the reconciler needs of the object storage, which is another crate's.

use harbor_model::ids::OrganizationId;
use harbor_runner::Context;

/// Where what users upload for images lies.
#[async_trait::async_trait]
pub trait ObjectStorage: Send + Sync + 'static {
    /// What an organization uploaded under this name, as an archive; `None`: nothing. The error says why it cannot be read.
    async fn upload(&self, organization: OrganizationId, name: &str) -> Result<Option<Context>, String>;

    /// Removes what nothing needs any more; answers how many blobs. The error says what could not be removed, and why.
    async fn tidy(&self) -> Result<usize, String>;
}
