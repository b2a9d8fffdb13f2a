//! What the reconciler needs of harbor's own registry of images, which is another crate's.

use harbor_model::ids::OrganizationId;
use harbor_runner::Login;

/// harbor's own registry of images.
#[async_trait::async_trait]
pub trait OwnRegistry: Send + Sync + 'static {
    /// Why an organization may not have the image of this reference, though the engine may have it already; `None`: it may, as
    /// far as this registry is concerned.
    fn refusal(&self, organization: OrganizationId, reference: &str) -> Option<String>;

    /// How the engine gets the image of this reference for an organization; `None`: it is none of this registry's. The error
    /// says why it cannot be had.
    async fn image(&self, organization: OrganizationId, reference: &str) -> Result<Option<OwnImage>, String>;

    /// By which login an organization's builds get what they begin with.
    fn login(&self, organization: OrganizationId) -> Result<Login, String>;
}

/// How the engine gets an image of harbor's own registry.
#[derive(Clone, Debug)]
pub struct OwnImage {
    /// What it is called where the engine reaches the registry.
    pub reference: String,
    /// By which login.
    pub login: Login,
}
