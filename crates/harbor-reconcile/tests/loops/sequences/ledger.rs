//! What must be in each sandbox, whatever happened to it.

use std::collections::HashMap;
use std::sync::Arc;

use harbor_model::ids::{LayerId, SandboxId};
use harbor_model::sandboxes::{Sandbox, SandboxState};

/// What was written into a sandbox.
#[derive(Clone, Debug, Default)]
pub(crate) struct Written {
    /// Every mark, oldest first, with those that it began with.
    marks: Vec<u32>,
    /// How many of them it must hold: all, but for one whose container somebody removed.
    kept: usize,
}

/// One sandbox, as its users know it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Entry {
    pub(crate) written: Written,
    /// Somebody did something to its containers, or the engine refused something: it may have failed.
    pub(crate) excused: bool,
}

/// All sandboxes ever seen, and what was stored of them.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    entries: HashMap<SandboxId, Entry>,
    /// Ids in the order in which they were first seen.
    pub(crate) order: Vec<SandboxId>,
    /// What each copy must hold at least.
    copies: HashMap<LayerId, usize>,
    /// What each snapshot that was made of a sandbox begins with.
    snapshots: HashMap<String, Written>,
}

impl Ledger {
    /// Takes note of what there is; nothing was written since the last call but what is in the entries.
    pub(crate) fn observe(&mut self, rows: &[Arc<Sandbox>]) {
        for row in rows {
            if !self.entries.contains_key(&row.id) {
                let written = match row.files.parent {
                    Some(parent) => self.entries[&parent].written.clone(),
                    None => self.snapshots.get(&row.origin.snapshot).cloned().unwrap_or_default(),
                };
                self.entries.insert(row.id, Entry { written, ..Entry::default() });
                self.order.push(row.id);
            }
            let held = self.entries[&row.id].written.kept;
            let backup = row.files.backup.as_ref().map(|backup| backup.layer.id);
            for layer in row.files.copying.as_ref().map(|copying| copying.layer).into_iter().chain(backup) {
                self.copies.entry(layer).or_insert(held);
            }
        }
    }

    pub(crate) fn entry(&mut self, id: SandboxId) -> &mut Entry {
        self.entries.get_mut(&id).expect("it was seen")
    }

    /// A snapshot of this name is being made of a sandbox.
    pub(crate) fn snapshot(&mut self, name: &str, of: SandboxId) {
        let written = self.entries[&of].written.clone();
        self.snapshots.insert(name.to_owned(), written);
    }

    /// The sandbox holds these marks: they are what was written, without anything lost that must not be.
    pub(crate) fn check(&mut self, row: &Sandbox, marks: Vec<u32>) {
        let Written { marks: all, kept } = &self.entries[&row.id].written;
        assert!(all.starts_with(&marks), "{row:?}: {marks:?} were never all that was written of {all:?}");
        assert!(marks.len() >= *kept, "{row:?}: it lost marks: {marks:?} of {all:?}, {kept} are synced");
        self.entry(row.id).written = Written { kept: marks.len(), marks };
    }

    /// A mark was written into a sandbox that has just been checked; or nobody knows whether, as the sandbox was ended
    /// meanwhile.
    pub(crate) fn wrote(&mut self, id: SandboxId, mark: u32, for_certain: bool) {
        let written = &mut self.entry(id).written;
        written.marks.push(mark);
        if for_certain {
            written.kept = written.marks.len();
        }
    }

    /// Somebody removed the sandbox's container: what was not stored may be lost.
    pub(crate) fn lost(&mut self, row: &Sandbox) {
        let stored = row.files.backup.as_ref().map_or(0, |backup| self.copies[&backup.layer.id]);
        let entry = self.entry(row.id);
        entry.written.kept = entry.written.kept.min(stored);
    }

    /// The engine may have refused anything to anybody.
    pub(crate) fn excuse_all(&mut self) {
        self.entries.values_mut().for_each(|entry| entry.excused = true);
    }

    /// Whether a sandbox may be in the state that it has come to rest in.
    pub(crate) fn check_state(&mut self, row: &Sandbox) {
        let failed = row.state() == SandboxState::Error;
        // a fork waits for its parent's files
        let concerned = [Some(row.id), row.files.parent];
        let excused = concerned.iter().flatten().any(|id| self.entries[id].excused);
        assert!(!failed || excused, "nothing happened to it, and yet: {row:?}");
    }
}
