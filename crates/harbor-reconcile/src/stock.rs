//! Infra containers made ahead of time, so that a cold start does not pay for a network (design D4).

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use harbor_model::actors::Actor;
use harbor_model::errors::chain;
use harbor_model::ids::SandboxId;

use crate::demand::Kind;
use crate::queue::{Lane, Mark, Queue, Stepped};
use crate::work::Work;
use crate::{Inner, now};

/// Sandboxes come first: the stock is filled only while none is being started.
const YIELD: Duration = Duration::from_millis(50);

/// A look at the stock at least this often.
const INTERVAL: Duration = Duration::from_secs(30);

/// Infra containers that are made at once.
const AT_ONCE: usize = 2;

/// The one stock there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct InfraStock;

impl fmt::Display for InfraStock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("stock")
    }
}

/// Keeps the stock full, a few infra containers a step.
pub(crate) struct Stock(pub(crate) Arc<Inner>);

impl Work for Stock {
    type Key = InfraStock;

    fn queue(&self) -> &Queue<InfraStock> {
        &self.0.stock
    }

    async fn step(&self, _: InfraStock, _: Mark) -> Stepped {
        let (pause, outcome) = match self.0.fill_stock().await {
            Ok((pause, done)) => (pause, Ok(done)),
            Err(reason) => {
                tracing::warn!(reason, "infra stock not filled");
                (INTERVAL, Err(reason))
            }
        };
        Stepped { again: Some(Mark::after(pause, Lane::Bulk)), outcome }
    }
}

impl Inner {
    /// Takes what is unfinished and what is too much out of the stock, then makes some if there are too few; answers when to
    /// go on.
    async fn fill_stock(&self) -> Result<(Duration, String), String> {
        let stock = self.store.infra_stock().await.map_err(|error| chain(&error))?;
        // left from a run that ended in between, from a removal that failed, or retired by a listing
        let unfinished: Vec<SandboxId> = stock.iter().filter(|(_, ready)| !ready).map(|(id, _)| *id).collect();
        for id in &unfinished {
            self.discard(*id).await?;
        }
        let (ready, wanted) = (stock.len() - unfinished.len(), self.wanted_infra());
        if self.sandboxes.working(Lane::Start) && ready != wanted {
            return Ok((YIELD, format!("{ready} ready; a sandbox is being started first")));
        }
        let surplus = stock.iter().filter(|(_, ready)| *ready).take(ready.saturating_sub(wanted));
        for (id, _) in surplus {
            self.discard(*id).await?;
        }
        if ready >= wanted {
            return Ok((INTERVAL, format!("{wanted} ready")));
        }
        let making = (0..AT_ONCE.min(wanted - ready)).map(|_| self.make_one());
        let made = futures_util::future::join_all(making).await;
        let count = made.len();
        made.into_iter().collect::<Result<(), String>>()?;
        Ok((Duration::ZERO, format!("{} of {wanted} ready", ready + count)))
    }

    /// As many as were asked for at about the same time within the last hour and had to be started, and never fewer than
    /// configured; none where none shall be.
    fn wanted_infra(&self) -> usize {
        let most = self.demand.of(&Kind::Infra, self.config.clock.uptime()).most;
        let base = self.config.infra_stock;
        if base == 0 { 0 } else { base.max(most.min(self.config.most_warm)) }
    }

    /// Row, container, row: a crash or failure in between leaves a row that is not ready and is found again.
    async fn make_one(&self) -> Result<(), String> {
        let id = SandboxId::random();
        self.store.by(Actor::Harbor).add_infra(id, now()).await.map_err(|error| chain(&error))?;
        match self.engine.reserve(&id).await {
            Ok(()) => self.store.by(Actor::Harbor).infra_ready(id).await.map_err(|error| chain(&error)),
            Err(error) => {
                let reason = chain(&error);
                self.discard(id).await.map_err(|discarded| format!("{reason}; and {discarded}"))?;
                Err(reason)
            }
        }
    }

    /// Removes one from the stock. What is claimed at this moment is not touched; a row whose removal did not come to
    /// its end stays, so that it is tried again: forgotten, what is left of it would be nobody's.
    async fn discard(&self, id: SandboxId) -> Result<(), String> {
        if self.store.by(Actor::Harbor).retire_infra(id).await.map_err(|error| chain(&error))? {
            self.engine.remove(&id).await.map_err(|error| format!("infra of {id} not removed: {}", chain(&error)))?;
            self.store.by(Actor::Harbor).drop_infra(id).await.map_err(|error| chain(&error))?;
        }
        Ok(())
    }
}
