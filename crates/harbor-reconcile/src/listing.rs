//! A full listing of the engine, compared with all rows: what no event told.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use harbor_model::actors::Actor;
use harbor_model::errors::chain;
use harbor_model::ids::SandboxId;
use harbor_model::sandboxes::Found;
use harbor_runner::{Held, Inventory};
use harbor_store::StoreError;

use crate::Inner;
use crate::garbage::GarbageKey;
use crate::orphans::{known, unknown};
use crate::queue::{Lane, Mark, Queue, Stepped};
use crate::stock::InfraStock;
use crate::work::Work;

/// A full listing at least this often, should an event ever be missed.
const INTERVAL: Duration = Duration::from_mins(1);

/// The pause after a listing that failed.
const RETRY: Duration = Duration::from_secs(1);

/// All that the engine holds of this installation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct WholeEngine;

impl fmt::Display for WholeEngine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("engine")
    }
}

/// Lists the engine at the start, whenever it came back, when something of nobody was seen, and once a minute.
pub(crate) struct Listing(pub(crate) Arc<Inner>);

impl Work for Listing {
    type Key = WholeEngine;

    fn queue(&self) -> &Queue<WholeEngine> {
        &self.0.listing
    }

    async fn step(&self, _: WholeEngine, _: Mark) -> Stepped {
        let outcome = self.0.list().await;
        let pause = match &outcome {
            Ok(_) => INTERVAL,
            Err(reason) => {
                tracing::warn!(reason, "the engine's containers could not be listed");
                RETRY
            }
        };
        Stepped { again: Some(Mark::after(pause, Lane::Bulk)), outcome }
    }
}

impl Inner {
    /// Compares every row with what the engine holds and marks those that differ, and what is nobody's and holds no
    /// files.
    async fn list(&self) -> Result<String, String> {
        // stock before the listing: what is ready before it is in it. Rows after: a sandbox made in between is known,
        // never an orphan; nor is one that was known before and removed in between
        let before = known(&self.store).await.map_err(|error| chain(&error))?;
        let stock = self.store.infra_stock().await.map_err(|error| chain(&error))?;
        let inventory = self.engine.list().await.map_err(|error| chain(&error))?;
        for (sandbox, error) in &inventory.unclear {
            tracing::warn!(%sandbox, error = chain(error), "not looked at in a listing");
        }
        let rows = self.store.all_sandboxes().map_err(|error| chain(&error))?;
        let found: HashMap<SandboxId, &Found> = inventory.held.iter().map(|held| (held.sandbox, &held.found)).collect();
        let nothing = Found { sandbox: None };
        // what could not be looked at is looked at alone, with a deadline of its own
        let differ = rows.iter().filter(|row| {
            inventory.is_unclear(&row.id) || row.needs_a_look(found.get(&row.id).copied().unwrap_or(&nothing))
        });
        let differ: Vec<SandboxId> = differ.map(|row| row.id).collect();
        for id in &differ {
            self.sandboxes.mark(*id, Mark::now(Lane::Look));
        }
        self.check_stock(&stock, &inventory).await.map_err(|error| chain(&error))?;
        let mut known = known(&self.store).await.map_err(|error| chain(&error))?;
        known.extend(before);
        for orphan in unknown(&inventory, &known) {
            if orphan.files {
                tracing::warn!(sandbox = %orphan.sandbox, "a container of this harbor is in no row; see `harbor doctor`");
            } else {
                self.garbage.mark(GarbageKey::Infra(orphan.sandbox), Mark::now(Lane::Bulk));
            }
        }
        Ok(format!("{} of {} sandboxes are to be looked at", differ.len(), rows.len()))
    }

    /// Retires what is in stock and was stopped or removed by somebody. `stock` is as it was before the `inventory`:
    /// what is made after the listing is not in it.
    async fn check_stock(&self, stock: &[(SandboxId, bool)], inventory: &Inventory) -> Result<(), StoreError> {
        let runs = |held: &&Held| held.infra.as_ref().is_some_and(|infra| infra.running);
        let running: HashSet<SandboxId> = inventory.held.iter().filter(runs).map(|held| held.sandbox).collect();
        for (id, _) in stock.iter().filter(|(id, ready)| *ready && !running.contains(id) && !inventory.is_unclear(id)) {
            self.store.by(Actor::Harbor).retire_infra(*id).await?;
            self.stock.mark(InfraStock, Mark::now(Lane::Bulk));
        }
        Ok(())
    }
}
