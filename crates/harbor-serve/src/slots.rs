//! Slots for connections, and who gives one up when all are taken.
//!
//! A connection is worth keeping while somebody whose credential was accepted has a request under way on it. Of the
//! others, those make room first that wait for their client's next request, the longest wait first.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Connections beyond the bound while those that make room for them close.
const MOST_LEAVING: usize = 64;

/// All slots of the process.
pub(crate) struct ConnectionSlots {
    most: usize,
    began: Instant,
    taken: Mutex<Taken>,
}

#[derive(Default)]
struct Taken {
    next: u64,
    standings: HashMap<u64, Arc<Standing>>,
}

/// What is known of the connection in a slot.
struct Standing {
    vouched: AtomicBool,
    /// Requests under way; for a moment it may be two, when one is told late that it has ended.
    under_way: AtomicU32,
    /// Since when no request is under way, milliseconds after the slots began.
    waits_since: AtomicU64,
    leave: CancellationToken,
}

impl Standing {
    fn is_busy(&self) -> bool {
        self.under_way.load(Ordering::Relaxed) > 0
    }

    fn is_worth_keeping(&self) -> bool {
        self.vouched.load(Ordering::Relaxed) && self.is_busy()
    }
}

/// A connection's slot among the bounded ones; handlers find it among a request's extensions. Who keeps the connection
/// beyond its HTTP life keeps this.
#[derive(Clone)]
pub struct ConnectionSlot(Arc<Held>);

struct Held {
    slots: Arc<ConnectionSlots>,
    number: u64,
    standing: Arc<Standing>,
}

impl ConnectionSlots {
    pub(crate) fn new(most: usize) -> Self {
        Self { most, began: Instant::now(), taken: Mutex::default() }
    }

    /// A slot for a new connection, where need be that of another one, which is told to leave; none where all are in
    /// use.
    pub(crate) fn take(self: &Arc<Self>) -> Option<ConnectionSlot> {
        let mut taken = self.lock();
        if taken.standings.len() >= self.most {
            if taken.standings.len() >= self.most + MOST_LEAVING {
                return None;
            }
            let leaving = |standing: &&Arc<Standing>| !standing.leave.is_cancelled() && !standing.is_worth_keeping();
            let order = |standing: &&Arc<Standing>| (standing.is_busy(), standing.waits_since.load(Ordering::Relaxed));
            taken.standings.values().filter(leaving).min_by_key(order)?.leave.cancel();
        }
        let number = taken.next;
        taken.next += 1;
        let standing = Arc::new(Standing {
            vouched: AtomicBool::new(false),
            under_way: AtomicU32::new(0),
            waits_since: AtomicU64::new(self.now()),
            leave: CancellationToken::new(),
        });
        taken.standings.insert(number, Arc::clone(&standing));
        Some(ConnectionSlot(Arc::new(Held { slots: Arc::clone(self), number, standing })))
    }

    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn lock(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ConnectionSlot {
    /// A credential of this connection's client was accepted: while a request of it is under way, no other connection
    /// takes its slot.
    pub fn vouch(&self) {
        self.0.standing.vouched.store(true, Ordering::Relaxed);
    }

    /// A request is under way.
    pub(crate) fn begin(&self) {
        self.0.standing.under_way.fetch_add(1, Ordering::Relaxed);
    }

    /// A request is no longer under way.
    pub(crate) fn end(&self) {
        self.0.standing.waits_since.store(self.0.slots.now(), Ordering::Relaxed);
        self.0.standing.under_way.fetch_sub(1, Ordering::Relaxed);
    }

    pub(crate) fn is_busy(&self) -> bool {
        self.0.standing.is_busy()
    }

    /// Cancelled when the connection is to make room for another one.
    pub(crate) fn leave(&self) -> &CancellationToken {
        &self.0.standing.leave
    }
}

impl fmt::Debug for ConnectionSlot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ConnectionSlot({})", self.0.number)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.slots.lock().standings.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn left(slots: &[&ConnectionSlot]) -> Vec<bool> {
        slots.iter().map(|slot| slot.leave().is_cancelled()).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn the_longest_wait_makes_room_and_work_for_a_caller_never_does() {
        let slots = Arc::new(ConnectionSlots::new(3));
        let [first, second, third] = [(), (), ()].map(|()| slots.take().unwrap());
        for slot in [&first, &second, &third] {
            slot.vouch();
            slot.begin();
        }
        assert!(slots.take().is_none(), "all three are in use");
        tokio::time::advance(Duration::from_secs(1)).await;
        second.end();
        tokio::time::advance(Duration::from_secs(1)).await;
        third.end();
        let fourth = slots.take().unwrap();
        assert_eq!(left(&[&first, &second, &third]), [false, true, false]);
        drop(second);
        fourth.begin(); // of somebody who has shown nothing
        let fifth = slots.take().unwrap();
        assert_eq!(
            left(&[&first, &third, &fourth]),
            [false, true, false],
            "who waits goes before a stranger's request"
        );
        drop(third);
        fifth.vouch();
        fifth.begin();
        let _sixth = slots.take().unwrap();
        assert_eq!(left(&[&first, &fourth, &fifth]), [false, true, false]);
    }

    #[test]
    fn a_slot_lasts_as_long_as_anybody_keeps_it() {
        let slots = Arc::new(ConnectionSlots::new(1));
        let slot = slots.take().unwrap();
        slot.vouch();
        slot.begin();
        let kept = slot.clone();
        drop(slot);
        assert!(slots.take().is_none());
        drop(kept);
        assert!(slots.take().is_some());
    }
}
