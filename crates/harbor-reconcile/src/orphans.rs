//! What an engine holds of this installation and the database does not know.

use std::collections::HashSet;

use harbor_model::errors::chain;
use harbor_model::ids::SandboxId;
use harbor_runner::{Engine, Inventory};
use harbor_store::{Store, StoreError};

/// Something of this installation on the engine that no row knows. It may hold a user's files, so nobody removes it
/// unasked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Orphan {
    /// The sandbox it was of.
    pub sandbox: SandboxId,
    /// Whether there is a sandbox container, and so files; otherwise only an infra container.
    pub files: bool,
}

/// What the engine holds of this installation that the database does not know.
pub async fn orphans(store: &Store, engine: &dyn Engine) -> Result<Vec<Orphan>, String> {
    let inventory = engine.list().await.map_err(|error| chain(&error))?;
    let known = known(store).await.map_err(|error| chain(&error))?;
    Ok(unknown(&inventory, &known))
}

/// Ids of all sandboxes that live or are in stock.
pub(crate) async fn known(store: &Store) -> Result<HashSet<SandboxId>, StoreError> {
    // the stock first: what is claimed in between is then found among the sandboxes
    let stock = store.infra_stock().await?;
    let live = store.sandbox_ids().await?;
    Ok(stock.into_iter().map(|(id, _)| id).chain(live).collect())
}

/// What is held of sandboxes that are not `known`.
pub(crate) fn unknown(inventory: &Inventory, known: &HashSet<SandboxId>) -> Vec<Orphan> {
    let strangers = inventory.held.iter().filter(|held| !known.contains(&held.sandbox));
    strangers.map(|held| Orphan { sandbox: held.sandbox, files: held.found.sandbox.is_some() }).collect()
}
