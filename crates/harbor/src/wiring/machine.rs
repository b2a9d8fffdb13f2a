//! The engine's machine, measured where it is this one.

use std::fs;
use std::path::PathBuf;

use harbor_control::Machine;
use harbor_model::capacity::{Capacity, Free, Overcommit};
use harbor_model::resources::Resources;
use harbor_runner::About;

use crate::config;

/// What is free where the engine runs.
pub(super) struct EngineMachine {
    /// Where the engine keeps its files; `None` where it is another machine, of which nothing can be measured.
    root: Option<PathBuf>,
}

impl EngineMachine {
    pub(super) fn of(about: &About) -> Self {
        Self { root: about.free.map(|_| PathBuf::from(&about.root)) }
    }
}

impl Machine for EngineMachine {
    fn free(&self) -> Free {
        let Some(root) = &self.root else { return Free::default() };
        let disk = rustix::fs::statvfs(root).ok().map(|found| found.f_bavail.saturating_mul(found.f_frsize));
        let memory = fs::read_to_string("/proc/meminfo").ok().and_then(|text| available(&text));
        Free { memory, disk }
    }
}

/// Bytes of memory that can be had without swapping, as the kernel estimates them.
fn available(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

/// What all sandboxes together may be promised.
pub(super) fn capacity(config: &config::Capacity, about: &About) -> Capacity {
    let machine = Resources { disk_gib: about.disk.map_or(u32::MAX, gibibytes), ..limits(about) };
    let config::Capacity { cpu_overcommit, memory_overcommit, disk_overcommit } = *config;
    Capacity {
        machine,
        overcommit: Overcommit { cpu: cpu_overcommit, memory: memory_overcommit, disk: disk_overcommit },
    }
}

/// The most that one sandbox may have.
pub(super) fn limits(about: &About) -> Resources {
    Resources {
        cpu: about.processors,
        memory_gib: gibibytes(about.memory),
        disk_gib: about.free.map_or(u32::MAX, gibibytes),
        gpu: 0,
    }
}

fn gibibytes(bytes: u64) -> u32 {
    u32::try_from(bytes >> 30).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_estimate_is_read() {
        let text =
            "MemTotal:       24587912 kB\nMemFree:          812912 kB\nMemAvailable:   22587912 kB\nBuffers: 1 kB\n";
        assert_eq!(available(text), Some(22_587_912 * 1024));
        assert_eq!(available("MemTotal: 1 kB\n"), None);
    }
}
