//! How much all sandboxes together are given (design D11).
//!
//! Two rules: what is promised stays within what the engine's machine has, times the over-commit; and the machine keeps
//! some memory and disk that are measured to be free, whatever was promised.

use crate::resources::Resources;

/// How often each thing that the machine has may be promised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Overcommit {
    /// Each processor.
    pub cpu: u32,
    /// Each GiB of memory.
    pub memory: u32,
    /// Each GiB of disk.
    pub disk: u32,
}

/// What the engine's machine has, and how often it may be promised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capacity {
    /// What the machine has.
    pub machine: Resources,
    /// How often it may be promised.
    pub overcommit: Overcommit,
}

/// What is free on the engine's machine at a moment; `None` where that cannot be measured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Free {
    /// Bytes of memory that can be had without swapping.
    pub memory: Option<u64>,
    /// Bytes where the engine keeps its files.
    pub disk: Option<u64>,
}

const MEBIBYTE: u64 = 1 << 20;
const GIBIBYTE: u64 = 1 << 30;

/// The disk that stays free, in bytes.
const DISK_KEPT: u64 = GIBIBYTE;

/// The most memory that stays free, in bytes; of a small machine a sixteenth.
const MEMORY_KEPT: u64 = 512 * MEBIBYTE;

impl Capacity {
    /// What all sandboxes together may be promised.
    #[must_use]
    pub fn limit(&self) -> Resources {
        let Resources { cpu, memory_gib, disk_gib, gpu } = self.machine;
        Resources {
            cpu: cpu.saturating_mul(self.overcommit.cpu),
            memory_gib: memory_gib.saturating_mul(self.overcommit.memory),
            disk_gib: disk_gib.saturating_mul(self.overcommit.disk),
            gpu,
        }
    }

    /// Whether `more` can be given while `promised` is, and `free` is free. What is not asked for is never too much.
    pub fn admit(&self, promised: Resources, more: Resources, free: Free) -> Result<(), NoRoom> {
        let Overcommit { cpu, memory, disk } = self.overcommit;
        let (machine, limit) = (self.machine, self.limit());
        let sizes = [
            ("cpu", "", more.cpu, promised.cpu, limit.cpu, machine.cpu, cpu),
            ("memory", " GiB", more.memory_gib, promised.memory_gib, limit.memory_gib, machine.memory_gib, memory),
            ("disk", " GiB", more.disk_gib, promised.disk_gib, limit.disk_gib, machine.disk_gib, disk),
        ];
        for (what, unit, asked, given, limit, machine, overcommit) in sizes {
            let left = limit.saturating_sub(given);
            if asked > left {
                return Err(NoRoom::Promised { what, unit, asked, left, limit, machine, overcommit });
            }
        }
        let memory_kept = (u64::from(machine.memory_gib) * GIBIBYTE / 16).min(MEMORY_KEPT);
        let measured = [
            ("memory", more.memory_gib, free.memory, memory_kept, "stop sandboxes or other programs"),
            (
                "disk",
                more.disk_gib,
                free.disk,
                DISK_KEPT,
                "delete sandboxes, images or other files (`docker system df`)",
            ),
        ];
        for (what, asked, free, kept, remedy) in measured {
            if let Some(free) = free.filter(|&free| asked > 0 && free < kept) {
                return Err(NoRoom::Measured { what, free, kept, remedy });
            }
        }
        Ok(())
    }
}

/// Why a sandbox cannot be given what it would take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoRoom {
    /// The sandboxes that there are were promised too much already.
    #[error(
        "{what} of {asked}{unit} is more than what is left ({left}{unit} of {limit}{unit}, which is {overcommit} times the \
         {machine}{unit} of this host): stop, archive or delete sandboxes, ask for less, or raise capacity.{what}_overcommit"
    )]
    Promised {
        /// Of what.
        what: &'static str,
        /// What is counted.
        unit: &'static str,
        /// How much was asked for.
        asked: u32,
        /// How much there is left.
        left: u32,
        /// How much all sandboxes may have.
        limit: u32,
        /// How much the machine has.
        machine: u32,
        /// How often that may be promised.
        overcommit: u32,
    },
    /// The machine itself is nearly full.
    #[error(
        "this host has {} MiB of {what} free, and its last {} MiB are left alone: {remedy}",
        free / MEBIBYTE,
        kept / MEBIBYTE
    )]
    Measured {
        /// Of what.
        what: &'static str,
        /// Bytes that are free.
        free: u64,
        /// Bytes that stay free.
        kept: u64,
        /// What helps.
        remedy: &'static str,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    const CAPACITY: Capacity = Capacity {
        machine: Resources { cpu: 2, memory_gib: 4, disk_gib: 100, gpu: 0 },
        overcommit: Overcommit { cpu: 4, memory: 2, disk: 1 },
    };

    #[test]
    fn what_is_left_is_given_and_no_more() {
        let promised = Resources { cpu: 6, memory_gib: 7, disk_gib: 90, gpu: 0 };
        let fits = Resources { cpu: 2, memory_gib: 1, disk_gib: 10, gpu: 0 };
        assert_eq!(CAPACITY.admit(promised, fits, Free::default()), Ok(()));
        for (more, words) in [
            (Resources { cpu: 3, ..fits }, ["cpu of 3 is", "2 of 8,", "4 times the 2 of", "capacity.cpu_overcommit"]),
            (
                Resources { memory_gib: 2, ..fits },
                ["memory of 2 GiB", "1 GiB of 8 GiB", "2 times the 4 GiB", "capacity.memory_overcommit"],
            ),
            (
                Resources { disk_gib: 11, ..fits },
                ["disk of 11 GiB", "10 GiB of 100 GiB", "1 times the 100 GiB", "capacity.disk_overcommit"],
            ),
        ] {
            let refusal = CAPACITY.admit(promised, more, Free::default()).unwrap_err().to_string();
            assert!(words.iter().all(|word| refusal.contains(word)), "{refusal}");
        }
    }

    #[test]
    fn who_asks_for_nothing_more_is_not_refused_what_others_have_too_much_of() {
        let too_much = Resources { cpu: 9, memory_gib: 9, disk_gib: 101, gpu: 0 };
        let full = Free { memory: Some(0), disk: Some(0) };
        assert_eq!(CAPACITY.admit(too_much, Resources::NONE, full), Ok(()));
    }

    #[test]
    fn the_last_of_what_is_measured_stays() {
        let one = Resources { cpu: 1, memory_gib: 1, disk_gib: 1, gpu: 0 };
        let admit = |free| CAPACITY.admit(Resources::NONE, one, free).map_err(|refusal| refusal.to_string());
        let enough = Free { memory: Some(256 * MEBIBYTE), disk: Some(GIBIBYTE) };
        assert_eq!(admit(enough), Ok(()));
        let memory = admit(Free { memory: Some(200 * MEBIBYTE), ..enough }).unwrap_err();
        assert!(memory.contains("200 MiB of memory free") && memory.contains("last 256 MiB"), "{memory}");
        let disk = admit(Free { disk: Some(GIBIBYTE - 1), ..enough }).unwrap_err();
        assert!(disk.contains("1023 MiB of disk free") && disk.contains("docker system df"), "{disk}");
    }
}
