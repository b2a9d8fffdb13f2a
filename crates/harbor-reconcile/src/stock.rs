//! Infra containers made ahead of time, so that a cold start does not pay for a network (design D4).

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use harbor_model::ids::SandboxId;
use harbor_runner::Held;
use harbor_store::StoreError;

use crate::{Inner, chain, now};

/// Sandboxes come first: the stock is filled only while no worker has anything to do.
const YIELD: Duration = Duration::from_millis(50);

/// A look at the stock at least this often.
const INTERVAL: Duration = Duration::from_secs(30);

/// Keeps the stock full.
pub(crate) async fn keep(inner: Arc<Inner>) {
    loop {
        if let Err(error) = inner.drop_unfinished().await {
            tracing::warn!(error = chain(&error), "unfinished infra not taken out of the stock");
        }
        if let Err(error) = inner.fill_stock().await {
            tracing::warn!(error, "infra stock not filled");
        }
        let _ = tokio::time::timeout(INTERVAL, inner.restock.notified()).await; // either way: look again
    }
}

impl Inner {
    async fn fill_stock(&self) -> Result<(), String> {
        loop {
            let stock = self.store.infra_stock().await.map_err(|error| chain(&error))?;
            if stock.len() >= self.config.infra_stock {
                return Ok(());
            }
            if self.dirty.working() {
                tokio::time::sleep(YIELD).await;
                continue;
            }
            self.make_one().await?;
        }
    }

    /// Row, container, row: a crash in between leaves a row that [`Inner::drop_unfinished`] finds.
    async fn make_one(&self) -> Result<(), String> {
        let id = SandboxId::random();
        self.store.add_infra(id, now()).await.map_err(|error| chain(&error))?;
        match self.runner.reserve(&id).await {
            Ok(()) => self.store.infra_ready(id).await.map_err(|error| chain(&error)),
            Err(error) => {
                let reason = chain(&error);
                self.discard(id).await;
                Err(reason)
            }
        }
    }

    /// Takes out of the stock what somebody stopped or removed. `stock` is as it was before `held` was listed: what is
    /// made after the listing is not in it.
    pub(crate) async fn check_stock(&self, stock: &[(SandboxId, bool)], held: &[Held]) {
        let running: HashSet<SandboxId> = held
            .iter()
            .filter(|held| held.infra.as_ref().is_some_and(|infra| infra.running))
            .map(|held| held.sandbox)
            .collect();
        for (id, ready) in stock {
            if *ready && !running.contains(id) {
                self.discard(*id).await;
            }
        }
    }

    /// Removes one from the stock. What is claimed at this moment is not touched; a row whose removal did not come to
    /// its end stays, so that it is tried again: forgotten, what is left of it would be nobody's.
    async fn discard(&self, id: SandboxId) {
        let discarded: Result<(), String> = async {
            if self.store.retire_infra(id).await.map_err(|error| chain(&error))? {
                self.runner.remove(&id).await.map_err(|error| chain(&error))?;
                self.store.drop_infra(id).await.map_err(|error| chain(&error))?;
                self.restock.notify_one();
            }
            Ok(())
        }
        .await;
        if let Err(error) = discarded {
            tracing::warn!(sandbox = %id, error, "infra not taken out of the stock");
        }
    }

    /// Rows that are not ready are left from a run that ended in between, or from a removal that failed: whoever makes
    /// new ones is here.
    async fn drop_unfinished(&self) -> Result<(), StoreError> {
        for (id, ready) in self.store.infra_stock().await? {
            if !ready {
                self.discard(id).await;
            }
        }
        Ok(())
    }
}
