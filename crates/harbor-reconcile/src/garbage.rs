//! Rows that nobody needs any more.

use std::sync::Arc;
use std::time::Duration;

use crate::{Inner, chain, now};

/// How often old rows are looked for.
const INTERVAL: Duration = Duration::from_hours(1);

/// Removed sandboxes and events are kept this long (contract, control-plane §5.6).
const KEPT: time::Duration = time::Duration::hours(24);

/// Purges once an hour.
pub(crate) async fn collect(inner: Arc<Inner>) {
    let mut due = tokio::time::interval(INTERVAL);
    due.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        due.tick().await;
        let before = now() - KEPT;
        for purged in [inner.store.purge_removed_sandboxes(before).await, inner.store.purge_outbox(before).await] {
            match purged {
                Ok(rows) => tracing::debug!(rows, "old rows purged"),
                Err(error) => tracing::warn!(error = chain(&error), "old rows not purged"),
            }
        }
    }
}
