//! What was committed, told to whoever listens.

use std::sync::Arc;

use harbor_model::images::WantedImage;
use harbor_model::sandboxes::Sandbox;
use harbor_model::snapshots::Snapshot;
use harbor_model::volumes::Volume;
use tokio::sync::broadcast;

/// One committed change, with the row as it was and as it is.
#[derive(Clone, Debug)]
pub enum Change {
    /// A sandbox was made (`before` is `None`) or its row changed.
    Sandbox {
        /// The row before.
        before: Option<Arc<Sandbox>>,
        /// The row after.
        after: Arc<Sandbox>,
    },
    /// Warm pools were made, changed or removed.
    WarmPools,
    /// A snapshot was made or changed.
    Snapshot {
        /// The row before.
        before: Option<Arc<Snapshot>>,
        /// The row after.
        after: Arc<Snapshot>,
    },
    /// A volume was made, used or changed.
    Volume {
        /// The row before.
        before: Option<Arc<Volume>>,
        /// The row after.
        after: Arc<Volume>,
    },
    /// An image was asked for or went on.
    Image(Arc<WantedImage>),
    /// This snapshot was removed.
    SnapshotRemoved(Arc<Snapshot>),
}

/// The stream of committed changes, in commit order.
///
/// A listener that falls more than 4096 changes behind gets `Lagged` and must read the rows it cares about.
pub type Changes = broadcast::Receiver<Change>;

pub(crate) const BACKLOG: usize = 4096;
