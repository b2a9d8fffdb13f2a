//! Every sandbox that has not been removed, in memory, as was last committed. Read from the file, a list of thousands of rows
//! would keep both readers busy with decrypting, and every call into a sandbox would wait for a reader.
//!
//! Guarantees: it is changed on the thread that writes, after each commit and before anybody hears of it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use harbor_model::ids::SandboxId;
use harbor_model::sandboxes::{Sandbox, Tally};

use crate::changes::Change;

/// What one transaction changed.
#[derive(Default)]
pub(crate) struct Noted {
    changes: Vec<Change>,
    unannounced: Vec<Sandbox>,
}

impl Noted {
    /// A change that is announced.
    pub(crate) fn push(&mut self, change: Change) {
        self.changes.push(change);
    }

    /// A row as it is now, of which nobody is told.
    pub(crate) fn unannounced(&mut self, row: Sandbox) {
        self.unannounced.push(row);
    }
}

/// The rows and what they take together. Clones share them.
#[derive(Clone, Default)]
pub(crate) struct Live(Arc<Mutex<Rows>>);

#[derive(Default)]
struct Rows {
    by_id: HashMap<SandboxId, Arc<Sandbox>>,
    tally: Tally,
}

impl Live {
    pub(crate) fn of(rows: Vec<Sandbox>) -> Self {
        let live = Self::default();
        for row in rows {
            live.lock().put(Arc::new(row));
        }
        live
    }

    pub(crate) fn get(&self, id: SandboxId) -> Option<Arc<Sandbox>> {
        self.lock().by_id.get(&id).cloned()
    }

    /// All rows, in no order.
    pub(crate) fn all(&self) -> Vec<Arc<Sandbox>> {
        self.lock().by_id.values().cloned().collect()
    }

    pub(crate) fn tally(&self) -> Tally {
        self.lock().tally
    }

    /// Takes over what was committed; answers what is to be announced.
    pub(crate) fn follow(&self, noted: Noted) -> Vec<Change> {
        let mut rows = self.lock();
        for change in &noted.changes {
            if let Change::Sandbox { after, .. } = change {
                rows.put(Arc::clone(after));
            }
        }
        for row in noted.unannounced {
            rows.put(Arc::new(row));
        }
        noted.changes
    }

    fn lock(&self) -> MutexGuard<'_, Rows> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Rows {
    fn put(&mut self, row: Arc<Sandbox>) {
        let tally = self.tally.with(&row);
        let before = if row.removed() { self.by_id.remove(&row.id) } else { self.by_id.insert(row.id, row) };
        self.tally = before.iter().fold(tally, |tally, before| tally.without(before));
    }
}
