//! What the sandbox may use and uses, as its control group says, version 2 or 1; without one, as the machine says.

use std::path::Path;
use std::time::Duration;

/// Where control groups are mounted in a container.
const ROOT: &str = "/sys/fs/cgroup";

/// Memory in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Memory {
    pub(crate) total: u64,
    /// Without the page cache.
    pub(crate) used: u64,
    /// The page cache.
    pub(crate) cache: u64,
}

/// Processor time used since the sandbox began.
pub(crate) fn cpu_time() -> Option<Duration> {
    cpu_time_in(Path::new(ROOT)).or_else(|| machine_time(&text(Path::new("/proc/stat"))?))
}

/// Processors that may be used at a time; a part of one counts as such.
pub(crate) fn cpus() -> f64 {
    let present = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let present = f64::from(u32::try_from(present).unwrap_or(u32::MAX));
    cpu_limit_in(Path::new(ROOT)).map_or(present, |limit| limit.min(present))
}

/// Memory of the sandbox.
pub(crate) fn memory() -> Memory {
    let machine = text(Path::new("/proc/meminfo")).map(|text| machine_memory(&text));
    let machine = machine.unwrap_or(Memory { total: 0, used: 0, cache: 0 });
    memory_in(Path::new(ROOT), machine.total).unwrap_or(machine)
}

/// Most memory that the sandbox may use, in bytes; none when it cannot be known.
pub(crate) fn memory_limit() -> Option<u64> {
    Some(memory().total).filter(|&total| total > 0)
}

/// Notices that the kernel ended processes because the sandbox reached its memory limit.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MemoryWatch {
    /// How many it had ended when this began.
    before: Option<u64>,
}

impl MemoryWatch {
    /// From now on.
    pub(crate) fn begin() -> Self {
        Self { before: memory_kills_in(Path::new(ROOT)) }
    }

    /// What to say when it has happened since; none otherwise, and where control groups do not tell.
    pub(crate) fn verdict(self) -> Option<String> {
        let now = memory_kills_in(Path::new(ROOT))?;
        (now > self.before?).then(|| told(memory_limit()))
    }
}

fn told(limit: Option<u64>) -> String {
    let limit = limit.map(|limit| format!(" of {} MiB", limit >> 20)).unwrap_or_default();
    format!("the sandbox reached its memory limit{limit} and the kernel ended a process")
}

fn memory_kills_in(root: &Path) -> Option<u64> {
    let of = |file: &str| member(&text(&root.join(file))?, "oom_kill");
    of("memory.events").or_else(|| of("memory/memory.oom_control"))
}

fn cpu_time_in(root: &Path) -> Option<Duration> {
    let second = || member(&text(&root.join("cpu.stat"))?, "usage_usec").map(Duration::from_micros);
    let first = || Some(Duration::from_nanos(text(&root.join("cpuacct/cpuacct.usage"))?.trim().parse().ok()?));
    second().or_else(first)
}

fn cpu_limit_in(root: &Path) -> Option<f64> {
    let second = || text(&root.join("cpu.max"));
    let first = || {
        let quota = text(&root.join("cpu/cpu.cfs_quota_us"))?;
        Some(format!("{} {}", quota.trim(), text(&root.join("cpu/cpu.cfs_period_us"))?))
    };
    let limit = second().or_else(first)?;
    let (quota, period) = limit.trim().split_once(' ')?;
    // Unlimited is a word, or a negative number.
    let (quota, period): (u32, u32) = (quota.parse().ok()?, period.trim().parse().ok()?);
    (period > 0).then(|| f64::from(quota) / f64::from(period))
}

fn memory_in(root: &Path, machine: u64) -> Option<Memory> {
    let number = |name: &str| text(&root.join(name))?.trim().parse::<u64>().ok();
    let second = || Some((number("memory.current")?, number("memory.max"), "memory.stat", "file"));
    let first = || {
        let used = number("memory/memory.usage_in_bytes")?;
        Some((used, number("memory/memory.limit_in_bytes"), "memory/memory.stat", "total_cache"))
    };
    let (current, limit, statistics, name) = second().or_else(first)?;
    let cache = text(&root.join(statistics)).and_then(|text| member(&text, name)).unwrap_or(0).min(current);
    let total = limit.unwrap_or(u64::MAX).min(if machine > 0 { machine } else { u64::MAX });
    Some(Memory { total, used: current - cache, cache })
}

/// The processor time of `/proc/stat` that was not idle, in hundredths of a second.
fn machine_time(statistics: &str) -> Option<Duration> {
    let line = statistics.lines().next()?.strip_prefix("cpu ")?;
    let mut numbers = line.split_ascii_whitespace().map_while(|number| number.parse::<u64>().ok());
    let busy: u64 = numbers.by_ref().take(3).sum();
    // idle and waiting for a disk
    let rest: u64 = numbers.skip(2).take(3).sum();
    Some(Duration::from_millis((busy + rest) * 10))
}

fn machine_memory(information: &str) -> Memory {
    let kib = |name: &str| member(information, name).unwrap_or(0) * 1024;
    let (total, cache) = (kib("MemTotal:"), kib("Cached:"));
    Memory { total, used: total.saturating_sub(kib("MemFree:") + kib("Buffers:") + cache), cache }
}

/// The number behind `name` at the beginning of a line.
fn member(text: &str, name: &str) -> Option<u64> {
    text.lines().find_map(|line| {
        let mut words = line.split_ascii_whitespace();
        (words.next()? == name).then(|| words.next()?.parse().ok())?
    })
}

fn text(path: &Path) -> Option<String> {
    std::fs::read_to_string(path).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (name, content) in files {
            let path = root.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, content).unwrap();
        }
        root
    }

    #[test]
    fn version_two() {
        let root = root(&[
            ("cpu.stat", "usage_usec 1500000\nuser_usec 1\n"),
            ("cpu.max", "150000 100000\n"),
            ("memory.current", "1000\n"),
            ("memory.max", "4000\n"),
            ("memory.stat", "anon 1\nfile 300\n"),
            ("memory.events", "low 0\nhigh 0\nmax 9\noom 3\noom_kill 2\noom_group_kill 0\n"),
        ]);
        assert_eq!(memory_kills_in(root.path()), Some(2));
        assert_eq!(cpu_time_in(root.path()), Some(Duration::from_millis(1500)));
        assert_eq!(cpu_limit_in(root.path()), Some(1.5));
        assert_eq!(memory_in(root.path(), 9000), Some(Memory { total: 4000, used: 700, cache: 300 }));
    }

    #[test]
    fn version_one() {
        let root = root(&[
            ("cpuacct/cpuacct.usage", "2000000000\n"),
            ("cpu/cpu.cfs_quota_us", "200000\n"),
            ("cpu/cpu.cfs_period_us", "100000\n"),
            ("memory/memory.usage_in_bytes", "1000\n"),
            ("memory/memory.limit_in_bytes", "9223372036854771712\n"),
            ("memory/memory.stat", "cache 1\ntotal_cache 400\n"),
            ("memory/memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 5\n"),
        ]);
        assert_eq!(memory_kills_in(root.path()), Some(5));
        assert_eq!(cpu_time_in(root.path()), Some(Duration::from_secs(2)));
        assert_eq!(cpu_limit_in(root.path()), Some(2.0));
        assert_eq!(memory_in(root.path(), 9000), Some(Memory { total: 9000, used: 600, cache: 400 }));
    }

    #[test]
    fn unlimited_and_absent() {
        let root = root(&[("cpu.max", "max 100000\n")]);
        assert_eq!(cpu_limit_in(root.path()), None);
        assert_eq!((cpu_time_in(root.path()), memory_in(root.path(), 1)), (None, None));
        assert_eq!(memory_kills_in(root.path()), None);
        assert_eq!(
            told(Some(512 << 20)),
            "the sandbox reached its memory limit of 512 MiB and the kernel ended a process"
        );
        let machine = machine_memory("MemTotal: 100 kB\nMemFree: 20 kB\nBuffers: 5 kB\nCached: 25 kB\n");
        assert_eq!(machine, Memory { total: 100 << 10, used: 50 << 10, cache: 25 << 10 });
        assert_eq!(machine_time("cpu  100 0 50 900 30 10 5 5 0 0\n"), Some(Duration::from_millis(1700)));
    }
}
