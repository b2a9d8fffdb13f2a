//! One budget of memory for the output of processes that this process keeps until it is answered.
//!
//! Process 1 must not be what the kernel ends for want of memory. So all outputs together stay below an eighth of the
//! sandbox's memory, however many commands run at a time; the one that does not fit is refused, and those that do go on.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::cgroup::memory_limit;
use crate::http::error::Error;

/// One part in so many of the sandbox's memory is kept at most.
const SHARE: u64 = 8;

/// Bounds of the budget in bytes, however little or much memory there is.
const LEAST: usize = 4 << 20;
const MOST: usize = 256 << 20;

/// Output up to this size, in bytes, is not counted: the process that wrote it takes more.
const UNCOUNTED: usize = 64 << 10;

/// What is counted at a time, in bytes.
const STEP: usize = 256 << 10;

/// The budget. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(crate) struct OutputBudget {
    used: Arc<AtomicUsize>,
}

impl OutputBudget {
    /// An output of which nothing is kept yet; `weight` is how many bytes each kept one stands for while it is answered.
    pub(crate) fn output(&self, weight: usize) -> KeptOutput {
        let share = OutputShare { budget: self.clone(), weight, counted: 0 };
        KeptOutput { bytes: Vec::new(), share }
    }
}

/// Output that is kept, and what it takes of the budget.
#[derive(Debug)]
pub(crate) struct KeptOutput {
    pub(crate) bytes: Vec<u8>,
    share: OutputShare,
}

impl KeptOutput {
    /// Counts what has been added to the bytes.
    ///
    /// Errors: 422 when that is more than the budget, or more than other outputs leave of it.
    pub(crate) fn count(&mut self) -> Result<(), Error> {
        self.share.grow_to(self.bytes.len())
    }

    /// The bytes, and their share, to be kept until what is made of them is gone.
    pub(crate) fn into_parts(self) -> (Vec<u8>, OutputShare) {
        (self.bytes, self.share)
    }
}

/// What one output takes of the budget, until this is dropped.
#[derive(Debug)]
pub(crate) struct OutputShare {
    budget: OutputBudget,
    weight: usize,
    counted: usize,
}

impl OutputShare {
    fn grow_to(&mut self, kept: usize) -> Result<(), Error> {
        if kept <= UNCOUNTED || kept * self.weight <= self.counted {
            return Ok(());
        }
        self.grow_within(kept, budget(memory_limit()))
    }

    fn grow_within(&mut self, kept: usize, budget: usize) -> Result<(), Error> {
        let wanted = (kept * self.weight).next_multiple_of(STEP);
        let more = wanted - self.counted;
        let fits = |used: usize| Some(used + more).filter(|&used| used <= budget);
        match self.budget.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits) {
            Ok(_) => {
                self.counted = wanted;
                Ok(())
            }
            Err(used) => Err(refusal(used - self.counted, budget / self.weight)),
        }
    }
}

impl Drop for OutputShare {
    fn drop(&mut self) {
        self.budget.used.fetch_sub(self.counted, Ordering::Relaxed);
    }
}

/// The budget in a sandbox that may use this much memory.
fn budget(memory: Option<u64>) -> usize {
    let share = memory.and_then(|memory| usize::try_from(memory / SHARE).ok());
    share.unwrap_or(MOST).clamp(LEAST, MOST)
}

fn refusal(used_by_others: usize, most: usize) -> Error {
    let most = most >> 20;
    let reason = if used_by_others == 0 {
        format!("the command wrote more than {most} MiB")
    } else {
        format!("the commands that run at this time wrote more than {most} MiB together")
    };
    Error::unprocessable(format!("{reason} and this one was killed; redirect its output to a file and download that"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_budget_is_a_share_of_the_memory() {
        let sandbox = |gib: u64| budget(Some(gib << 30)) >> 20;
        assert_eq!([sandbox(1), sandbox(2), sandbox(64)], [128, 256, 256]);
        assert_eq!((budget(None), budget(Some(6 << 20))), (MOST, LEAST));
    }

    #[test]
    fn what_does_not_fit_is_refused_and_comes_free_again() {
        const MIB: usize = 1 << 20;
        let budget = OutputBudget::default();
        let [mut first, mut second] = [1, 2].map(|weight| budget.output(weight).share);
        first.grow_within(3 * MIB, 4 * MIB).unwrap();
        let refused = second.grow_within(MIB, 4 * MIB).unwrap_err();
        assert!(refused.to_string().contains("more than 2 MiB together"), "{refused}");
        second.grow_within(MIB / 2, 4 * MIB).unwrap();
        let refused = first.grow_within(4 * MIB, 4 * MIB).unwrap_err();
        assert!(refused.to_string().contains("more than 4 MiB together"), "{refused}");
        drop(second);
        first.grow_within(4 * MIB, 4 * MIB).unwrap();
        let refused = first.grow_within(4 * MIB + 1, 4 * MIB).unwrap_err();
        assert!(refused.to_string().contains("the command wrote more than 4 MiB and"), "{refused}");
        drop(first);
        assert_eq!(budget.used.load(Ordering::Relaxed), 0);
    }
}
