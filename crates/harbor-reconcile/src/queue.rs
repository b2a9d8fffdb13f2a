//! The keys to look at again: what every loop of this crate is fed from.
//!
//! A key is in it once, however often it was marked, and never with two workers: one that is marked while a worker has
//! it comes back when that worker is done. Each lane has a bound of its own, so that what is slow holds up only what
//! is of its kind; a step that has become slow no longer counts, so that a few that hang hold up nothing.

use std::collections::HashMap;
use std::fmt::Display;
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::now;
use crate::report::{LastStep, LoopReport, UnderWay};

/// The most steps under way in one loop, slow ones included.
const MOST: usize = 256;

/// What a loop looks at again: an id, or one of a few things that there are.
pub(crate) trait Key: Copy + Eq + Hash + Display + Send + Sync + 'static {}
impl<K: Copy + Eq + Hash + Display + Send + Sync + 'static> Key for K {}

/// Kinds of steps, each with a bound of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Lane {
    /// Asks the engine what is there.
    Look,
    /// Brings a sandbox up: somebody waits for it.
    Start,
    /// Stops or removes: nobody waits for it.
    End,
    /// Copies files, or keeps house.
    Bulk,
    /// Copies files that nobody has asked to be copied.
    Spare,
}

impl Lane {
    /// A word for it.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Look => "look",
            Self::Start => "start",
            Self::End => "end",
            Self::Bulk => "bulk",
            Self::Spare => "spare",
        }
    }

    /// A step that lasts longer than this waits for something, and does no work that a bound would have to spare. A
    /// stop then waits for processes that do not end by themselves.
    const fn slow(self) -> Duration {
        match self {
            Self::End => Duration::from_secs(1),
            Self::Look | Self::Start | Self::Bulk => Duration::from_secs(5),
            // longer than any copy: there is never more than the bound of them
            Self::Spare => Duration::from_hours(1),
        }
    }
}

/// How many steps of each lane may be under way.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    pub(crate) look: usize,
    pub(crate) start: usize,
    pub(crate) end: usize,
    /// Of the end lane while a start is under way: the engine works on few things at a time as fast as on one.
    pub(crate) end_beside_starts: usize,
    pub(crate) bulk: usize,
    pub(crate) spare: usize,
}

impl Bounds {
    /// One step at a time, of whatever lane.
    pub(crate) const ONE: Self = Self { look: 1, start: 1, end: 1, end_beside_starts: 1, bulk: 1, spare: 1 };
}

/// When to look at a key, and in which lane.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mark {
    /// Not before this.
    pub(crate) due: Instant,
    pub(crate) lane: Lane,
    /// The attempts that have failed in a row before this one.
    pub(crate) failures: Option<Failures>,
}

/// Attempts that failed in a row.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Failures {
    pub(crate) count: u32,
    /// When the first of them failed.
    pub(crate) since: Instant,
}

impl Mark {
    pub(crate) fn now(lane: Lane) -> Self {
        Self::after(Duration::ZERO, lane)
    }

    pub(crate) fn after(delay: Duration, lane: Lane) -> Self {
        Self { due: Instant::now() + delay, lane, failures: None }
    }

    /// Both marks in one: the earlier time, and a look if either wants one.
    fn merge(self, later: Self) -> Self {
        let lane = if self.lane == Lane::Look { self.lane } else { later.lane };
        Self { due: self.due.min(later.due), lane, failures: self.failures.or(later.failures) }
    }
}

/// What came of a step.
#[derive(Clone, Debug)]
pub(crate) struct Stepped {
    /// When to look at the key again, if nobody marks it before.
    pub(crate) again: Option<Mark>,
    /// What was done, or why it failed; for people.
    pub(crate) outcome: Result<String, String>,
}

pub(crate) struct Queue<K> {
    name: &'static str,
    bounds: Bounds,
    keys: Mutex<Keys<K>>,
    changed: Notify,
}

struct Keys<K> {
    waiting: HashMap<K, Mark>,
    busy: HashMap<K, Busy>,
    closed: bool,
    steps: u64,
    failures: u64,
    last: Option<LastStep>,
    last_failure: Option<LastStep>,
}

/// A key that is with a worker.
struct Busy {
    lane: Lane,
    since: Instant,
    /// What was marked meanwhile.
    marked: Option<Mark>,
}

impl<K: Key> Queue<K> {
    /// An empty queue of the loop called `name`.
    pub(crate) fn new(name: &'static str, bounds: Bounds) -> Self {
        let (waiting, busy, closed) = (HashMap::new(), HashMap::new(), false);
        let keys = Keys { waiting, busy, closed, steps: 0, failures: 0, last: None, last_failure: None };
        Self { name, bounds, keys: Mutex::new(keys), changed: Notify::new() }
    }

    pub(crate) fn name(&self) -> &'static str {
        self.name
    }

    /// Look at `key` when the mark says so; marks until then are one.
    pub(crate) fn mark(&self, key: K, mark: Mark) {
        let mut keys = self.keys();
        match keys.busy.get_mut(&key) {
            Some(busy) => busy.marked = Some(busy.marked.map_or(mark, |earlier| earlier.merge(mark))),
            None => {
                keys.waiting.entry(key).and_modify(|waiting| *waiting = waiting.merge(mark)).or_insert(mark);
            }
        }
        drop(keys);
        self.changed.notify_waiters();
    }

    /// The next key that is due and whose lane has room, as soon as there is one; `None` once closed. It must be given
    /// back with [`Self::done`].
    pub(crate) async fn next(&self) -> Option<(K, Mark)> {
        loop {
            let changed = self.changed.notified();
            let wake = {
                let (mut keys, now) = (self.keys(), Instant::now());
                if keys.closed {
                    return None;
                }
                if let Some((key, mark)) = keys.first(&self.bounds, now) {
                    keys.waiting.remove(&key);
                    keys.busy.insert(key, Busy { lane: mark.lane, since: now, marked: None });
                    return Some((key, mark));
                }
                keys.wake(now)
            };
            match wake {
                Some(wake) => {
                    let _ = tokio::time::timeout_at(wake, changed).await; // either way: look again
                }
                None => changed.await,
            }
        }
    }

    /// A worker is done with `key`.
    pub(crate) fn done(&self, key: K, stepped: Stepped) {
        let mut keys = self.keys();
        let busy = keys.busy.remove(&key);
        let took = busy.as_ref().map_or(Duration::ZERO, |busy| busy.since.elapsed());
        let mark = match (stepped.again, busy.and_then(|busy| busy.marked)) {
            (Some(again), Some(meanwhile)) => Some(again.merge(meanwhile)),
            (again, meanwhile) => again.or(meanwhile),
        };
        if let Some(mark) = mark {
            keys.waiting.insert(key, mark);
        }
        keys.note(key.to_string(), took, stepped.outcome);
        drop(keys);
        self.changed.notify_waiters();
    }

    /// Whether a step of `lane` is under way or due. One that has become slow does not count.
    pub(crate) fn working(&self, lane: Lane) -> bool {
        let (keys, now) = (self.keys(), Instant::now());
        keys.quick(lane, now) > 0 || keys.waiting.values().any(|mark| mark.lane == lane && mark.due <= now)
    }

    /// From now on [`Self::next`] answers `None`.
    pub(crate) fn close(&self) {
        self.keys().closed = true;
        self.changed.notify_waiters();
    }

    /// What the loop does, and did last.
    pub(crate) fn report(&self) -> LoopReport {
        let (keys, now) = (self.keys(), Instant::now());
        let mut under_way: Vec<_> = keys
            .busy
            .iter()
            .map(|(key, busy)| UnderWay { key: key.to_string(), lane: busy.lane.word(), lasts: now - busy.since })
            .collect();
        under_way.sort_by_key(|step| std::cmp::Reverse(step.lasts));
        LoopReport {
            name: self.name,
            due: keys.waiting.values().filter(|mark| mark.due <= now).count(),
            later: keys.waiting.values().filter(|mark| mark.due > now).count(),
            under_way,
            steps: keys.steps,
            failures: keys.failures,
            last: keys.last.clone(),
            last_failure: keys.last_failure.clone(),
        }
    }

    fn keys(&self) -> MutexGuard<'_, Keys<K>> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Key> Keys<K> {
    /// The key that is due first among those whose lane has room.
    fn first(&self, bounds: &Bounds, now: Instant) -> Option<(K, Mark)> {
        let due = self.waiting.iter().filter(|(_, mark)| mark.due <= now && self.room(mark.lane, bounds, now));
        due.min_by_key(|(_, mark)| mark.due).map(|(key, mark)| (*key, *mark))
    }

    fn room(&self, lane: Lane, bounds: &Bounds, now: Instant) -> bool {
        let bound = match lane {
            Lane::Look => bounds.look,
            Lane::Start => bounds.start,
            Lane::End if self.quick(Lane::Start, now) > 0 => bounds.end_beside_starts,
            Lane::End => bounds.end,
            Lane::Bulk => bounds.bulk,
            Lane::Spare => bounds.spare,
        };
        self.busy.len() < MOST && self.quick(lane, now) < bound
    }

    /// How many steps of this lane are under way that have not become slow.
    fn quick(&self, lane: Lane, now: Instant) -> usize {
        self.busy.values().filter(|busy| busy.lane == lane && now - busy.since < lane.slow()).count()
    }

    /// When a key can become the next one without anything being marked or done: one becomes due, or a step slow.
    fn wake(&self, now: Instant) -> Option<Instant> {
        let due = self.waiting.values().map(|mark| mark.due).filter(|due| *due > now);
        let slow = self.busy.values().map(|busy| busy.since + busy.lane.slow()).filter(|slow| *slow > now);
        due.chain(slow).min()
    }

    fn note(&mut self, key: String, took: Duration, outcome: Result<String, String>) {
        self.steps += 1;
        let failed = outcome.is_err();
        let last = LastStep { key, at: now(), took, outcome: outcome.unwrap_or_else(|reason| reason) };
        if failed {
            self.failures += 1;
            self.last_failure = Some(last.clone());
        }
        self.last = Some(last);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds { look: 2, start: 2, end: 4, end_beside_starts: 1, bulk: 1, spare: 1 };

    fn queue() -> Queue<u32> {
        Queue::new("numbers", BOUNDS)
    }

    fn settled() -> Stepped {
        Stepped { again: None, outcome: Ok("settled".to_owned()) }
    }

    /// The keys that are handed out within a moment.
    async fn handed_out(queue: &Queue<u32>) -> Vec<u32> {
        let mut keys = Vec::new();
        while let Ok(Some((key, _))) = tokio::time::timeout(Duration::from_millis(1), queue.next()).await {
            keys.push(key);
        }
        keys.sort_unstable();
        keys
    }

    #[tokio::test(start_paused = true)]
    async fn a_key_is_never_with_two_workers() {
        let queue = queue();
        queue.mark(7, Mark::now(Lane::Start));
        queue.mark(7, Mark::now(Lane::Look));
        queue.mark(7, Mark::now(Lane::Start));
        let (key, mark) = queue.next().await.unwrap();
        assert_eq!((key, mark.lane), (7, Lane::Look), "marks are one, and it looks if one of them does");
        queue.mark(7, Mark::now(Lane::End));
        assert_eq!(handed_out(&queue).await, Vec::<u32>::new(), "handed out twice");
        queue.done(7, settled());
        assert_eq!(queue.next().await.map(|(key, mark)| (key, mark.lane)), Some((7, Lane::End)), "marked meanwhile");
        queue.done(7, settled());
        assert_eq!(handed_out(&queue).await, Vec::<u32>::new());
    }

    #[tokio::test(start_paused = true)]
    async fn marks_merge_to_the_earlier_time_and_keep_the_failures() {
        let queue = queue();
        let failures = Some(Failures { count: 2, since: Instant::now() });
        queue.mark(7, Mark { failures, ..Mark::after(Duration::from_secs(15), Lane::Look) });
        queue.mark(7, Mark::now(Lane::Start));
        let (_, mark) = queue.next().await.unwrap();
        assert_eq!(mark.failures.map(|failures| failures.count), Some(2));
        assert!(mark.due <= Instant::now());
    }

    #[tokio::test(start_paused = true)]
    async fn later_ones_do_not_hold_up_others() {
        let queue = queue();
        queue.mark(1, Mark::after(Duration::from_secs(9), Lane::Look));
        queue.mark(2, Mark::now(Lane::Look));
        assert_eq!(queue.next().await.map(|(key, _)| key), Some(2));
        let before = Instant::now();
        assert_eq!(queue.next().await.map(|(key, _)| key), Some(1));
        assert!(before.elapsed() >= Duration::from_secs(9));
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_lane_holds_up_no_other() {
        let queue = queue();
        for key in 0..10 {
            queue.mark(key, Mark::now(Lane::End));
        }
        assert_eq!(handed_out(&queue).await.len(), BOUNDS.end);
        queue.mark(77, Mark::now(Lane::Start));
        assert_eq!(handed_out(&queue).await, [77]);
    }

    #[tokio::test(start_paused = true)]
    async fn ends_give_way_to_starts() {
        let queue = queue();
        queue.mark(77, Mark::now(Lane::Start));
        assert_eq!(handed_out(&queue).await, [77]);
        for key in 0..10 {
            queue.mark(key, Mark::now(Lane::End));
        }
        assert_eq!(handed_out(&queue).await.len(), BOUNDS.end_beside_starts);
        queue.done(77, settled());
        assert_eq!(handed_out(&queue).await.len(), BOUNDS.end - BOUNDS.end_beside_starts);
    }

    #[tokio::test(start_paused = true)]
    async fn steps_that_hang_hold_up_nothing_for_long() {
        let queue = queue();
        for key in 0..3 {
            queue.mark(key, Mark::now(Lane::Start));
        }
        assert_eq!(handed_out(&queue).await.len(), BOUNDS.start);
        assert!(queue.working(Lane::Start));
        let before = Instant::now();
        assert!(queue.next().await.is_some());
        assert!(before.elapsed() <= Lane::Start.slow());
        let report = queue.report();
        assert_eq!((report.under_way.len(), report.under_way[0].lane), (3, "start"));
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_done_last_can_be_read() {
        let queue = queue();
        queue.mark(1, Mark::now(Lane::Bulk));
        queue.next().await.unwrap();
        queue.done(1, Stepped { again: None, outcome: Err("no".to_owned()) });
        queue.mark(2, Mark::now(Lane::Bulk));
        queue.next().await.unwrap();
        queue.done(
            2,
            Stepped { again: Some(Mark::after(Duration::from_secs(5), Lane::Bulk)), outcome: Ok("yes".to_owned()) },
        );
        let report = queue.report();
        assert_eq!((report.name, report.due, report.later, report.steps, report.failures), ("numbers", 0, 1, 2, 1));
        let told = |last: &Option<LastStep>| last.as_ref().map(|last| (last.key.clone(), last.outcome.clone()));
        assert_eq!(told(&report.last), Some(("2".to_owned(), "yes".to_owned())));
        assert_eq!(told(&report.last_failure), Some(("1".to_owned(), "no".to_owned())));
    }

    #[tokio::test]
    async fn closing_wakes_everybody() {
        let queue = queue();
        let (left, right, ()) = tokio::join!(queue.next(), queue.next(), async { queue.close() });
        assert!(left.is_none() && right.is_none());
    }
}
