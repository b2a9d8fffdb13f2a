//! What the reconciler needs of the object storage, which is another crate's.

use std::time::Duration;

use harbor_model::garbage::Collected;
use harbor_model::ids::OrganizationId;
use harbor_runner::Context;

/// Where what users upload for images lies.
#[async_trait::async_trait]
pub trait ObjectStorage: Send + Sync + 'static {
    /// What an organization uploaded under this name, as an archive; `None`: nothing. The error says why it cannot be read.
    async fn upload(&self, organization: OrganizationId, name: &str) -> Result<Option<Context>, String>;

    /// Lets go of what nobody has needed for `at_least`, there and in the registry, or rehearses that; answers how many
    /// things went, and how many bytes nothing needs any more because of it. [`ObjectStorage::tidy`] then gives those back.
    async fn collect(&self, at_least: Duration, rehearse: bool) -> Result<Vec<Collected>, String>;

    /// Whether the disk is so full that what nobody needs should not wait.
    fn is_short_of_space(&self) -> bool;

    /// Removes what nothing needs any more, and lets go of what was kept long enough; answers how many blobs. The error says what could not be removed, and why.
    async fn tidy(&self) -> Result<usize, String>;
}
