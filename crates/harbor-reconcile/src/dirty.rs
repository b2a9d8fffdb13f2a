//! The set of sandboxes to look at again.
//!
//! An id is in it once, however often it was marked, and is never with two workers: one that is marked while a worker
//! has it comes back when that worker is done.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use harbor_model::ids::SandboxId;
use tokio::sync::Notify;
use tokio::time::Instant;

#[derive(Default)]
pub(crate) struct Dirty {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Default)]
struct State {
    waiting: HashMap<SandboxId, Mark>,
    /// With a worker now, and what was marked meanwhile.
    busy: HashMap<SandboxId, Option<Mark>>,
    closed: bool,
}

/// When to look at a sandbox, and how.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mark {
    /// Not before this.
    pub(crate) due: Instant,
    /// Whether the engine has to be asked what is there.
    pub(crate) look: bool,
    /// How many attempts in a row failed, and since when.
    pub(crate) failed: Option<(u32, Instant)>,
}

impl Mark {
    /// Both marks in one: the earlier time, the closer look.
    fn merge(self, other: Self) -> Self {
        Self { due: self.due.min(other.due), look: self.look || other.look, failed: self.failed.or(other.failed) }
    }
}

impl Dirty {
    /// Look at `id` at once; with `look`, at the engine too.
    pub(crate) fn mark(&self, id: SandboxId, look: bool) {
        self.put(id, Mark { due: Instant::now(), look, failed: None });
    }

    /// Look at `id` and the engine after `delay`; marks until then are one.
    pub(crate) fn mark_after(&self, id: SandboxId, delay: Duration) {
        self.put(id, Mark { due: Instant::now() + delay, look: true, failed: None });
    }

    /// The next id that is due, as soon as there is one; `None` once closed. It must be given back with [`Self::done`].
    pub(crate) async fn next(&self) -> Option<(SandboxId, Mark)> {
        loop {
            let changed = self.changed.notified();
            let due = {
                let mut state = self.state();
                if state.closed {
                    return None;
                }
                let first = state.waiting.iter().min_by_key(|(_, mark)| mark.due).map(|(id, mark)| (*id, *mark));
                match first {
                    Some((id, mark)) if mark.due <= Instant::now() => {
                        state.waiting.remove(&id);
                        state.busy.insert(id, None);
                        return Some((id, mark));
                    }
                    Some((_, mark)) => Some(mark.due),
                    None => None,
                }
            };
            match due {
                Some(due) => {
                    let _ = tokio::time::timeout_at(due, changed).await; // either way: look again
                }
                None => changed.await,
            }
        }
    }

    /// A worker is done with `id`; `again` if it has to be looked at once more.
    pub(crate) fn done(&self, id: SandboxId, again: Option<Mark>) {
        let mut state = self.state();
        let meanwhile = state.busy.remove(&id).flatten();
        let mark = match (again, meanwhile) {
            (Some(again), Some(meanwhile)) => Some(again.merge(meanwhile)),
            (again, meanwhile) => again.or(meanwhile),
        };
        if let Some(mark) = mark {
            state.waiting.insert(id, mark);
        }
        drop(state);
        self.changed.notify_waiters();
    }

    /// Whether workers have or could have something to do now.
    pub(crate) fn working(&self) -> bool {
        let state = self.state();
        let now = Instant::now();
        !state.busy.is_empty() || state.waiting.values().any(|mark| mark.due <= now)
    }

    /// From now on [`Self::next`] answers `None`.
    pub(crate) fn close(&self) {
        self.state().closed = true;
        self.changed.notify_waiters();
    }

    fn put(&self, id: SandboxId, mark: Mark) {
        let mut state = self.state();
        match state.busy.get_mut(&id) {
            Some(meanwhile) => *meanwhile = Some(meanwhile.map_or(mark, |earlier| earlier.merge(mark))),
            None => {
                state.waiting.entry(id).and_modify(|waiting| *waiting = waiting.merge(mark)).or_insert(mark);
            }
        }
        drop(state);
        self.changed.notify_waiters();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_id_is_never_with_two_workers() {
        let dirty = Dirty::default();
        let id = SandboxId::random();
        dirty.mark(id, false);
        dirty.mark(id, true);
        let (first, mark) = dirty.next().await.unwrap();
        assert!(first == id && mark.look, "two marks are one, with the closer look");
        dirty.mark(id, false);
        let second = tokio::time::timeout(Duration::from_mins(1), dirty.next()).await;
        assert!(second.is_err(), "handed out twice");
        dirty.done(id, None);
        assert_eq!(dirty.next().await.map(|(id, _)| id), Some(id), "marked meanwhile and forgotten");
        dirty.done(id, None);
        assert!(!dirty.working());
    }

    #[tokio::test(start_paused = true)]
    async fn later_ones_do_not_hold_up_others() {
        let dirty = Dirty::default();
        let (late, soon) = (SandboxId::random(), SandboxId::random());
        dirty.mark_after(late, Duration::from_secs(5));
        dirty.mark(soon, false);
        assert_eq!(dirty.next().await.map(|(id, _)| id), Some(soon));
        let before = Instant::now();
        assert_eq!(dirty.next().await.map(|(id, _)| id), Some(late));
        assert!(before.elapsed() >= Duration::from_secs(5));
    }

    #[tokio::test]
    async fn closing_wakes_everybody() {
        let dirty = Dirty::default();
        let (left, right, ()) = tokio::join!(dirty.next(), dirty.next(), async { dirty.close() });
        assert!(left.is_none() && right.is_none());
    }
}
