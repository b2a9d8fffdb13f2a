//! What a failed attempt at a step means: another attempt, or the end of trying.

use std::time::Duration;

use super::{Desired, Sandbox, Step};

/// The longest pause between two attempts.
const LONGEST_BACKOFF: Duration = Duration::from_secs(15);

/// A start that fails for a reason that trying again does not mend is still tried this often: what was looked at may
/// have changed in between.
const ATTEMPTS: u32 = 3;

/// Why an attempt failed, as far as that decides what comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailedAttempt {
    /// The same attempt may succeed without anything being changed: the engine is away or overloaded.
    Transient,
    /// The same attempt fails again, unless what it was judged by has changed in between.
    Unlikely,
    /// No attempt can succeed.
    Permanent,
    /// harbor could not read or write the row, which says nothing about the sandbox.
    Unrecorded,
}

/// What follows from a failed attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// Try again after this pause.
    After(Duration),
    /// Do not try again, if [`Sandbox::give_up`] says that it can be given up.
    GiveUp(Duration),
}

impl FailedAttempt {
    /// What follows from this failure, the `attempts`-th in a row, `elapsed` after the first one. `deadline` bounds
    /// how long transient failures are retried.
    ///
    /// The pause doubles from 0.2 s up to 15 s.
    pub fn retry(self, attempts: u32, elapsed: Duration, deadline: Duration) -> Retry {
        let pause = Duration::from_millis(100).saturating_mul(1 << attempts.min(10)).min(LONGEST_BACKOFF);
        let over = match self {
            Self::Transient => elapsed >= deadline,
            Self::Unlikely => attempts >= ATTEMPTS,
            Self::Permanent => true,
            Self::Unrecorded => false,
        };
        if over { Retry::GiveUp(pause) } else { Retry::After(pause) }
    }
}

impl Sandbox {
    /// Puts it in `error` for `reason` if it is on its way up, and answers whether it is in `error` now.
    ///
    /// One that runs as wanted loses nothing while the engine does not answer, and what is to stop or go is never
    /// given up. One that cannot be paused, resized or copied goes on as it was.
    pub fn give_up(&mut self, reason: String) -> bool {
        if matches!(self.next_step(), Step::Resize(_)) {
            self.resize_to = None;
            self.note = Some(format!("it could not be resized: {reason}"));
            return false;
        }
        if matches!(self.next_step(), Step::Pause(_)) {
            self.desired = Desired::Started;
            self.note = Some(format!("it could not be paused: {reason}"));
            return false;
        }
        if matches!(self.next_step(), Step::Copy(_)) {
            self.note_copy(Err(reason));
            return false;
        }
        if self.desired == Desired::Started && self.next_step() != Step::Settled {
            self.fail(reason);
        }
        self.desired == Desired::Started && self.failure.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEADLINE: Duration = Duration::from_mins(2);

    #[track_caller]
    fn check(failed: FailedAttempt, attempts: u32, seconds: u64, expected: Retry) {
        assert_eq!(failed.retry(attempts, Duration::from_secs(seconds), DEADLINE), expected);
    }

    #[test]
    fn what_may_pass_is_tried_until_the_deadline() {
        let longest = Duration::from_secs(15);
        check(FailedAttempt::Transient, 1, 0, Retry::After(Duration::from_millis(200)));
        check(FailedAttempt::Transient, 4, 10, Retry::After(Duration::from_millis(1600)));
        check(FailedAttempt::Transient, 100, 119, Retry::After(longest));
        check(FailedAttempt::Transient, 100, 120, Retry::GiveUp(longest));
    }

    #[test]
    fn what_is_unlikely_is_tried_three_times_and_what_is_impossible_once() {
        check(FailedAttempt::Unlikely, 2, 0, Retry::After(Duration::from_millis(400)));
        check(FailedAttempt::Unlikely, 3, 0, Retry::GiveUp(Duration::from_millis(800)));
        check(FailedAttempt::Permanent, 1, 0, Retry::GiveUp(Duration::from_millis(200)));
        check(FailedAttempt::Unrecorded, 1000, 100_000, Retry::After(Duration::from_secs(15)));
    }
}
