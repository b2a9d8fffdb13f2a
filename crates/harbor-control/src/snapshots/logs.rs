//! What builds said, and say while they go on (contract, control-plane §5.15).

use harbor_model::ids::OrganizationId;
use harbor_model::images::Recipe;
use harbor_model::names::SandboxRef;
use harbor_model::snapshots::SnapshotState;

use crate::{Caller, Control, Error};

/// Whose build is asked about.
#[derive(Clone, Debug)]
pub enum Built {
    /// A snapshot, by its name or id.
    Snapshot(String),
    /// A sandbox.
    Sandbox(SandboxRef),
}

/// A part of what a build said.
#[derive(Clone, Debug)]
pub struct BuildLog {
    /// Whether more may come.
    pub goes_on: bool,
    /// Whether it is that of a snapshot which is active.
    pub active: bool,
    /// What was said.
    pub text: String,
    /// How many pieces of the log that is, with those before.
    pub seen: u32,
}

impl Control {
    /// What a build said after its first `seen` pieces. 404 for what was not built.
    pub async fn build_log(&self, caller: &Caller, built: &Built, seen: u32) -> Result<BuildLog, Error> {
        let (organization, recipe, goes_on, active) = match built {
            Built::Snapshot(text) => {
                let found = self.snapshot(caller, text).await?;
                let active = found.state == SnapshotState::Active;
                (found.organization, found.build.clone(), found.awaits_image(), active)
            }
            Built::Sandbox(sandbox) => {
                let found = self.sandbox(caller, sandbox).await?;
                (found.organization, found.origin.build.clone(), found.awaits_image(), false)
            }
        };
        let recipe = recipe.ok_or_else(|| {
            Error::not_found(match built {
                Built::Snapshot(text) => format!("Snapshot {text} has no build info"),
                Built::Sandbox(sandbox) => format!("Sandbox with ID or name {sandbox} has no build info"),
            })
        })?;
        let (text, seen) = self.log_of(organization, recipe, seen).await?;
        Ok(BuildLog { goes_on, active, text, seen })
    }

    async fn log_of(&self, organization: OrganizationId, recipe: Recipe, seen: u32) -> Result<(String, u32), Error> {
        match self.store().image_of(organization, recipe.reference).await? {
            Some(image) => Ok(self.store().image_log(image.id, seen).await?),
            None => Ok((String::new(), seen)),
        }
    }
}
