//! What marks sandboxes: committed changes and the engine's events. Nothing here waits for the engine's answers.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use harbor_model::errors::chain;
use harbor_model::images::ImageState;
use harbor_model::sandboxes::{Sandbox, Step};
use harbor_model::snapshots::SnapshotState;
use harbor_model::volumes::VolumeState;
use harbor_runner::Event;
use harbor_store::Change;
use tokio::sync::broadcast::error::RecvError;

use crate::garbage::GarbageKey;
use crate::listing::WholeEngine;
use crate::pools::AllPools;
use crate::queue::{Lane, Mark};
use crate::stock::InfraStock;
use crate::{Inner, sandboxes};

/// Events about one sandbox within this time are looked at once: most of them are our own doing.
const SETTLING: Duration = Duration::from_millis(300);

/// Marks the sandbox of every committed change of what is wanted that calls for a step.
pub(crate) async fn store(inner: Arc<Inner>) {
    let mut changes = inner.store.changes();
    mark_unsettled(&inner);
    inner.mark_leaving_volumes().await;
    inner.mark_awaited_images().await;
    loop {
        match changes.recv().await {
            Ok(Change::Sandbox { before, after }) => {
                inner.note_demand(before.as_deref(), &after);
                if before.is_none() {
                    inner.stock.mark(InfraStock, Mark::now(Lane::Bulk));
                }
                inner.set_timer(&after);
                if before.as_ref().is_some_and(|before| needs_others(before, &after)) {
                    inner.garbage.mark(GarbageKey::Layers, Mark::now(Lane::Bulk));
                }
                // what a step records is not news to the loop, and must not cut short the pause after a failed attempt
                let wanted = before.as_ref().is_none_or(|before| asks_for_more(before, &after));
                let step = after.next_step();
                if wanted && step != Step::Settled {
                    inner.sandboxes.mark(after.id, Mark::now(sandboxes::lane(&after, &step)));
                }
            }
            Ok(Change::SnapshotRemoved(_)) => {
                inner.pools.mark(AllPools, Mark::now(Lane::Bulk));
                inner.garbage.mark(GarbageKey::Layers, Mark::now(Lane::Bulk));
            }
            Ok(Change::Snapshot { before, after }) => {
                inner.pools.mark(AllPools, Mark::now(Lane::Bulk));
                let was_active = before.is_some_and(|before| before.state == SnapshotState::Active);
                if was_active != (after.state == SnapshotState::Active) {
                    inner.garbage.mark(GarbageKey::Layers, Mark::now(Lane::Bulk));
                }
            }
            Ok(Change::WarmPools) => inner.pools.mark(AllPools, Mark::now(Lane::Bulk)),
            Ok(Change::Image(image)) => {
                if image.state == ImageState::Pending {
                    inner.images.mark(image.id, Mark::now(Lane::Look));
                }
            }
            Ok(Change::Volume { before, after }) => {
                let wanted = before.is_none_or(|before| before.state != after.state);
                if wanted && after.state == VolumeState::Deleting {
                    inner.volumes.mark(after.id, Mark::now(Lane::Bulk));
                }
            }
            Err(RecvError::Lagged(_)) => {
                mark_unsettled(&inner);
                inner.mark_leaving_volumes().await;
                inner.mark_awaited_images().await;
            }
            Err(RecvError::Closed) => std::future::pending().await,
        }
    }
}

/// Whether what is wanted changed, which steps alone never do.
fn asks_for_more(before: &Sandbox, after: &Sandbox) -> bool {
    before.desired != after.desired
        || before.resize_to != after.resize_to
        || before.failure.is_some() && after.failure.is_none()
        || before.files.beginning != after.files.beginning
        || before.files.copying != after.files.copying && after.files.copying.is_some()
}

/// Whether it needs other stored layers than before, or a copy of its files has come to its end.
fn needs_others(before: &Sandbox, after: &Sandbox) -> bool {
    before.files.copying.is_some() && after.files.copying.is_none() || before.layers() != after.layers()
}

/// Follows the engine's events.
pub(crate) async fn engine(inner: Arc<Inner>) {
    let mut events = std::pin::pin!(inner.engine.events());
    while let Some(event) = events.next().await {
        match event {
            Event::Changed(id) => inner.sandboxes.mark(id, Mark::after(SETTLING, Lane::Look)),
            Event::Reconnected => inner.listing.mark(WholeEngine, Mark::now(Lane::Bulk)),
        }
    }
    std::future::pending::<()>().await;
}

/// Marks what the rows alone say is unfinished, as the engine may take a while to answer, and sets all timers.
fn mark_unsettled(inner: &Inner) {
    match inner.store.all_sandboxes() {
        Ok(rows) => {
            for row in &rows {
                inner.set_timer(row);
                if row.next_step() != Step::Settled || inner.config.most_asleep > 0 && row.unstored() {
                    inner.sandboxes.mark(row.id, Mark::now(Lane::Look));
                }
            }
        }
        Err(error) => tracing::error!(error = chain(&error), "sandboxes not read"),
    }
}
