//! What time it is, and how much time has passed: not the same where somebody sets the clock.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use harbor_model::Timestamp;
use rustix::time::{ClockId, clock_gettime};

/// A set clock is one that gained or lost more than this; less is its usual correction.
const TOLERANCE: time::Duration = time::Duration::seconds(2);

/// Tells the time.
pub trait Clock: Send + Sync {
    /// The wall clock, which people and programs set.
    fn wall(&self) -> Timestamp;

    /// How long the machine has been there, asleep or not. Nobody sets it.
    fn uptime(&self) -> Duration;
}

/// The machine's clocks.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn wall(&self) -> Timestamp {
        Timestamp::now_utc()
    }

    fn uptime(&self) -> Duration {
        let at = clock_gettime(ClockId::Boottime);
        Duration::new(at.tv_sec.unsigned_abs(), u32::try_from(at.tv_nsec).unwrap_or(0))
    }
}

/// That the wall clock was set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Jump {
    /// By how much; negative: back.
    pub(crate) by: time::Duration,
    /// It was set between this moment and the present, as the clock tells it now. Until then it was the old clock that
    /// gave things their times.
    pub(crate) since: Timestamp,
}

/// Notices that the wall clock was set, by comparing it with the machine's uptime.
pub(crate) struct ClockWatch(Mutex<(Timestamp, Duration)>);

impl ClockWatch {
    pub(crate) fn new(clock: &dyn Clock) -> Self {
        Self(Mutex::new((clock.wall(), clock.uptime())))
    }

    /// Whether the wall clock was set since the last call.
    pub(crate) fn look(&self, clock: &dyn Clock) -> Option<Jump> {
        let (wall, uptime) = (clock.wall(), clock.uptime());
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (before, passed) = (last.0, uptime.saturating_sub(last.1));
        let passed = time::Duration::try_from(passed).unwrap_or(time::Duration::MAX);
        *last = (wall, uptime);
        let by = (wall - before).saturating_sub(passed);
        let since = wall.checked_sub(passed).unwrap_or(wall);
        (by.abs() > TOLERANCE).then_some(Jump { by, since })
    }

    /// Forgets that this was told: the next call tells it again.
    pub(crate) fn undo(&self, jump: Jump) {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        last.0 = last.0.checked_sub(jump.by).unwrap_or(last.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Told(Mutex<(i64, u64)>);

    impl Clock for Told {
        fn wall(&self) -> Timestamp {
            Timestamp::from_unix_timestamp(self.0.lock().unwrap().0).unwrap()
        }

        fn uptime(&self) -> Duration {
            Duration::from_secs(self.0.lock().unwrap().1)
        }
    }

    #[track_caller]
    fn check(wall: i64, uptime: u64, seconds: Option<i64>) {
        let clock = Told(Mutex::new((1_700_000_000, 50)));
        let watch = ClockWatch::new(&clock);
        *clock.0.lock().unwrap() = (1_700_000_000 + wall, 50 + uptime);
        let jump = watch.look(&clock);
        assert_eq!(jump.map(|jump| jump.by.whole_seconds()), seconds);
        let since = jump.map(|jump| jump.since.unix_timestamp() - 1_700_000_000);
        assert_eq!(since, seconds, "the old clock was right until then");
        assert_eq!(watch.look(&clock), None, "told once");
        if let Some(jump) = jump {
            watch.undo(jump);
            assert_eq!(watch.look(&clock).map(|jump| jump.by), Some(jump.by));
        }
    }

    #[test]
    fn a_clock_that_is_set_is_noticed() {
        check(10, 10, None);
        check(11, 10, None);
        check(86_410, 10, Some(86_400));
        check(10 - 86_400, 10, Some(-86_400));
        // a machine that slept: its clocks agree
        check(86_400, 86_400, None);
    }
}
