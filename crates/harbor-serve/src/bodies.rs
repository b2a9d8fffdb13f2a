//! The bytes of bodies that are collected, over all requests of the process.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Bytes that all collected bodies together may hold beyond the first [`UNCOUNTED`] of each.
const MOST: usize = 64 * 1024 * 1024;

/// Bytes of each body that are not counted, so that small requests are served while large ones wait.
const UNCOUNTED: usize = 16 * 1024;

/// The unit in which is counted, bytes.
const UNIT: usize = 1024;

/// How long a body waits for its share.
const PATIENCE: Duration = Duration::from_secs(5);

/// The bytes that collected bodies may hold, shared by all requests. Clones are the same budget.
#[derive(Clone, Debug)]
pub struct BodyBudget(Arc<Semaphore>);

/// Other bodies hold the whole budget.
#[derive(Debug, thiserror::Error)]
#[error("too many large bodies are on their way: try again in a moment")]
pub struct Spent;

impl Default for BodyBudget {
    fn default() -> Self {
        Self::of(MOST)
    }
}

impl BodyBudget {
    /// A budget of so many bytes.
    fn of(bytes: usize) -> Self {
        Self(Arc::new(Semaphore::new(bytes / UNIT)))
    }

    /// The share of a body of which nothing has come yet.
    pub fn share(&self) -> BodyShare {
        BodyShare { budget: Arc::clone(&self.0), held: None }
    }
}

/// One body's part of the budget, given back when it is dropped.
#[derive(Debug)]
pub struct BodyShare {
    budget: Arc<Semaphore>,
    held: Option<OwnedSemaphorePermit>,
}

impl BodyShare {
    /// Takes what is missing for a body of `bytes`; waits for others for at most five seconds.
    pub async fn cover(&mut self, bytes: usize) -> Result<(), Spent> {
        let held = self.held.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        let missing = bytes.saturating_sub(UNCOUNTED).div_ceil(UNIT).saturating_sub(held);
        if missing == 0 {
            return Ok(());
        }
        let missing = u32::try_from(missing).map_err(|_| Spent)?;
        let taken = tokio::time::timeout(PATIENCE, Arc::clone(&self.budget).acquire_many_owned(missing)).await;
        let taken = taken.map_err(|_| Spent)?.map_err(|_| Spent)?;
        match &mut self.held {
            Some(held) => held.merge(taken),
            None => self.held = Some(taken),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_one_body_holds_no_other_gets() {
        let budget = BodyBudget::of(100 * UNIT);
        let (mut first, mut second, mut small) = (budget.share(), budget.share(), budget.share());
        first.cover(UNCOUNTED + 40 * UNIT).await.unwrap();
        first.cover(UNCOUNTED + 90 * UNIT).await.unwrap();
        assert!(second.cover(UNCOUNTED + 11 * UNIT).await.is_err());
        second.cover(UNCOUNTED + 10 * UNIT).await.unwrap();
        small.cover(UNCOUNTED).await.unwrap();
        drop(first);
        second.cover(UNCOUNTED + 100 * UNIT).await.unwrap();
        drop(second);
        assert_eq!(budget.0.available_permits(), 100);
    }

    #[tokio::test(start_paused = true)]
    async fn a_share_is_waited_for() {
        let budget = BodyBudget::of(100 * UNIT);
        let (mut first, mut second) = (budget.share(), budget.share());
        first.cover(UNCOUNTED + 100 * UNIT).await.unwrap();
        let waits = tokio::spawn(async move { second.cover(UNCOUNTED + UNIT).await.is_ok() });
        tokio::time::sleep(PATIENCE / 2).await;
        drop(first);
        assert!(waits.await.unwrap());
    }
}
