//! What makes ids dirty: committed changes, the engine's events, and full listings.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use harbor_model::ids::SandboxId;
use harbor_model::sandboxes::{Found, Step};
use harbor_runner::{Event, Held};
use harbor_store::{Change, StoreError};
use tokio::sync::broadcast::error::RecvError;

use crate::{Inner, Reconciler, chain};

/// Events about one sandbox within this time are looked at once: most of them are our own doing.
const SETTLING: Duration = Duration::from_millis(300);

/// A full listing at least this often, should an event ever be missed.
const LISTING_INTERVAL: Duration = Duration::from_mins(1);

/// The pause after a listing that failed.
const RETRY: Duration = Duration::from_secs(1);

/// Something of this installation on the engine that no row knows. It may hold a user's files, so nobody removes it
/// unasked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Orphan {
    /// The sandbox it was of.
    pub sandbox: SandboxId,
    /// Whether there is a sandbox container, and so files; otherwise only an infra container.
    pub files: bool,
}

impl Reconciler {
    /// What the engine holds of this installation that the database does not know.
    pub async fn orphans(&self) -> Result<Vec<Orphan>, String> {
        let held = self.inner.runner.list().await.map_err(|error| chain(&error))?;
        let known = self.inner.known().await.map_err(|error| chain(&error))?;
        Ok(unknown(&held, &known))
    }

    /// Removes the orphan `sandbox`, files and all.
    pub async fn remove_orphan(&self, sandbox: SandboxId) -> Result<(), String> {
        self.inner.runner.remove(&sandbox).await.map_err(|error| chain(&error))
    }
}

/// Marks the sandbox of every committed change that calls for a step.
pub(crate) async fn watch_store(inner: Arc<Inner>) {
    let mut changes = inner.store.changes();
    loop {
        match changes.recv().await {
            Ok(Change::Sandbox { before, after }) => {
                if before.is_none() {
                    inner.restock.notify_one();
                }
                if after.next_step() != Step::Settled {
                    inner.dirty.mark(after.id, false);
                }
            }
            Ok(Change::Snapshot { .. }) => {}
            Err(RecvError::Lagged(_)) => mark_unsettled(&inner).await,
            Err(RecvError::Closed) => std::future::pending().await,
        }
    }
}

/// Lists everything at the start, whenever the engine came back, and once a minute; between that, follows its events.
pub(crate) async fn watch_engine(inner: Arc<Inner>) {
    let mut events = std::pin::pin!(inner.runner.events());
    let mut listing = tokio::time::interval(LISTING_INTERVAL);
    listing.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    mark_unsettled(&inner).await;
    loop {
        tokio::select! {
            _ = listing.tick() => inner.list_until_done().await,
            () = inner.relist.notified() => inner.list_until_done().await,
            event = events.next() => match event {
                Some(Event::Changed(id)) => inner.dirty.mark_after(id, SETTLING),
                Some(Event::Reconnected) => inner.list_until_done().await,
                None => std::future::pending().await,
            },
        }
    }
}

/// Marks what the rows alone say is unfinished: the engine may take a while to answer.
async fn mark_unsettled(inner: &Inner) {
    match inner.store.all_live_sandboxes().await {
        Ok(rows) => {
            for row in rows {
                if row.next_step() != Step::Settled {
                    inner.dirty.mark(row.id, true);
                }
            }
        }
        Err(error) => tracing::error!(error = chain(&error), "sandboxes not read"),
    }
}

impl Inner {
    async fn list_until_done(&self) {
        while let Err(error) = self.list().await {
            tracing::warn!(error, "the engine's containers could not be listed");
            tokio::time::sleep(RETRY).await;
        }
    }

    /// Compares every row with what the engine holds and marks those that differ; removes what is nobody's and holds
    /// no files.
    async fn list(&self) -> Result<(), String> {
        // stock before the listing: what is ready before it is in it. Rows after: a sandbox made in between is known,
        // never an orphan
        let stock = self.store.infra_stock().await.map_err(|error| chain(&error))?;
        let held = self.runner.list().await.map_err(|error| chain(&error))?;
        let rows = self.store.all_live_sandboxes().await.map_err(|error| chain(&error))?;
        let found: HashMap<SandboxId, &Found> = held.iter().map(|held| (held.sandbox, &held.found)).collect();
        let nothing = Found { sandbox: None };
        for row in &rows {
            if row.needs_a_look(found.get(&row.id).copied().unwrap_or(&nothing)) {
                self.dirty.mark(row.id, true);
            }
        }
        self.check_stock(&stock, &held).await;
        let known = self.known().await.map_err(|error| chain(&error))?;
        for orphan in unknown(&held, &known) {
            if orphan.files {
                tracing::warn!(sandbox = %orphan.sandbox, "a container of this harbor is in no row; see `harbor doctor`");
            } else if let Err(error) = self.runner.remove(&orphan.sandbox).await {
                tracing::warn!(sandbox = %orphan.sandbox, error = chain(&error), "orphan infra not removed");
            }
        }
        Ok(())
    }

    /// Ids of all sandboxes that live or are in stock.
    async fn known(&self) -> Result<HashSet<SandboxId>, StoreError> {
        // the stock first: what is claimed in between is then found among the sandboxes
        let stock = self.store.infra_stock().await?;
        let live = self.store.all_live_sandboxes().await?;
        Ok(stock.into_iter().map(|(id, _)| id).chain(live.into_iter().map(|row| row.id)).collect())
    }
}

fn unknown(held: &[Held], known: &HashSet<SandboxId>) -> Vec<Orphan> {
    let strangers = held.iter().filter(|held| !known.contains(&held.sandbox));
    strangers.map(|held| Orphan { sandbox: held.sandbox, files: held.found.sandbox.is_some() }).collect()
}
