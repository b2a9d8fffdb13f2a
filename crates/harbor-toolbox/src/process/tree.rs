//! A process and everything below it, found in `/proc`, to be ended together.
//!
//! Guarantees: a signal never reaches a process that merely got the number of one that has died; processes that a
//! member starts while the tree is being ended belong to it too. Leaves out: daemons that had detached themselves
//! before (another parent, another process group): they meant to stay.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open, pidfd_send_signal};
use tokio::time::{Instant, sleep};

/// How often the table is looked at while the processes of a tree end.
pub(super) const LOOK: Duration = Duration::from_millis(20);

/// How often a tree is looked at, at most, until all of it stands still: each time finds one generation more.
const GENERATIONS: u32 = 100;

/// How long killed processes may take to vanish, such as one that waits for a disk.
pub(super) const VANISH: Duration = Duration::from_secs(2);

/// A process, told apart from a later one of the same number by when it was started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Process {
    pid: i32,
    /// In clock ticks since the system was started.
    started: u64,
}

/// What `/proc` says of a living process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Row {
    process: Process,
    parent: i32,
    group: i32,
    /// It has a terminal.
    on_terminal: bool,
}

/// A set of processes that only grows by its members' children, and by those of the process that it lies below.
#[derive(Debug)]
pub(crate) struct Tree {
    members: HashSet<Process>,
    /// Number of the process that it lies below, which takes in what members leave behind.
    root: Option<i32>,
}

impl Tree {
    /// The process group of `leader`, and all descendants of its members, at this moment.
    pub(crate) fn of(leader: Pid) -> Self {
        let leader = leader.as_raw_nonzero().get();
        let rows = living();
        let members = rows.iter().filter(|row| row.process.pid == leader || row.group == leader);
        let mut tree = Self { members: members.map(|row| row.process).collect(), root: None };
        tree.grow(&rows);
        tree
    }

    /// All descendants of a process that takes in orphans: also those that come while the tree is being ended.
    pub(crate) fn below(process: Pid) -> Self {
        let mut tree = Self { members: HashSet::new(), root: Some(process.as_raw_nonzero().get()) };
        tree.grow(&living());
        tree
    }

    /// Asks every process to end, and kills what is left after `grace`. Shells on a terminal end when that hangs up.
    pub(crate) async fn end(mut self, grace: Duration) {
        let deadline = Instant::now() + grace;
        let rows = living();
        self.forget_the_dead(&rows);
        let mut asked = Asked::default();
        asked.ask(&self.members, &rows);
        // A stopped process takes a signal only once it goes on.
        self.signal(Signal::CONT);
        while !self.members.is_empty() {
            if Instant::now() >= deadline {
                return self.kill().await;
            }
            sleep(LOOK).await;
            let rows = self.look();
            asked.ask(&self.left_behind(&rows), &rows);
        }
    }

    /// Members whose parents are none: those have died. What a living member starts meanwhile is its way of ending.
    fn left_behind(&self, rows: &[Row]) -> HashSet<Process> {
        let numbers: HashSet<i32> = self.members.iter().map(|member| member.pid).collect();
        let orphans = rows.iter().filter(|row| self.members.contains(&row.process) && !numbers.contains(&row.parent));
        orphans.map(|row| row.process).collect()
    }

    /// Kills every process and waits, within reason, until they are gone.
    pub(crate) async fn kill(mut self) {
        self.forget_the_dead(&living());
        self.freeze();
        let deadline = Instant::now() + VANISH;
        loop {
            self.look();
            self.signal(Signal::KILL);
            if self.vanished(LOOK).await || Instant::now() >= deadline {
                return;
            }
        }
    }

    /// Stops every process: one that dies just after it has started another leaves that to somebody else, and it would
    /// not be found any more.
    fn freeze(&mut self) {
        let mut stopped = HashSet::new();
        for _ in 0..GENERATIONS {
            self.look();
            if self.members.is_subset(&stopped) {
                return;
            }
            self.signal(Signal::STOP);
            stopped.clone_from(&self.members);
        }
    }

    /// Waits for the end of all members, `patience` at most.
    async fn vanished(&mut self, patience: Duration) -> bool {
        let deadline = Instant::now() + patience;
        loop {
            self.look();
            if self.members.is_empty() {
                return true;
            }
            if Instant::now() >= deadline {
                return false;
            }
            sleep(LOOK).await;
        }
    }

    /// Forgets the dead and adds what the living have started. Every living process is in the answer.
    fn look(&mut self) -> Vec<Row> {
        let rows = living();
        // Children first: a member that has just died may have left some.
        self.grow(&rows);
        self.forget_the_dead(&rows);
        rows
    }

    /// Forgets the dead. To be done first when a tree has not been looked at for a while: their numbers may belong to
    /// others now, and so would the children of these numbers.
    fn forget_the_dead(&mut self, rows: &[Row]) {
        let alive: HashSet<Process> = rows.iter().map(|row| row.process).collect();
        self.members.retain(|process| alive.contains(process));
    }

    fn grow(&mut self, rows: &[Row]) {
        let named: HashMap<i32, Process> = rows.iter().map(|row| (row.process.pid, row.process)).collect();
        loop {
            let own = self.members.iter().filter(|member| named.get(&member.pid).is_none_or(|named| named == *member));
            let parents: HashSet<i32> = own.map(|process| process.pid).chain(self.root).collect();
            let before = self.members.len();
            let children = rows.iter().filter(|row| parents.contains(&row.parent));
            self.members.extend(children.map(|row| row.process));
            if self.members.len() == before {
                return;
            }
        }
    }

    fn signal(&self, signal: Signal) {
        for process in &self.members {
            process.signal(signal);
        }
    }
}

/// Who has been asked to end.
#[derive(Debug, Default)]
struct Asked {
    /// By SIGTERM.
    terminated: HashSet<Process>,
    /// By SIGHUP, which shells on a terminal wait for.
    hung_up: HashSet<Process>,
}

impl Asked {
    /// Asks those of `processes` that have not been asked, and those of all who were that have got a terminal since.
    fn ask(&mut self, processes: &HashSet<Process>, rows: &[Row]) {
        for process in processes {
            if self.terminated.insert(*process) {
                process.signal(Signal::TERM);
            }
        }
        for row in rows.iter().filter(|row| row.on_terminal && self.terminated.contains(&row.process)) {
            if self.hung_up.insert(row.process) {
                row.process.signal(Signal::HUP);
            }
        }
    }
}

impl Process {
    /// Sends a signal, unless the process has died. One that we have no right to signal (a set-user-id program's) is
    /// left alone.
    fn signal(self, signal: Signal) {
        let Some(pid) = Pid::from_raw(self.pid) else { return };
        // The descriptor stands for one process; only then is it known to be the right one.
        let held = pidfd_open(pid, PidfdFlags::empty());
        if row(self.pid).is_none_or(|row| row.process != self) {
            return;
        }
        let _ = match held {
            Ok(held) => pidfd_send_signal(held, signal),
            Err(_) => kill_process(pid, signal),
        };
    }
}

/// Every living process.
fn living() -> Vec<Row> {
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    let number = |name: std::ffi::OsString| name.to_str()?.parse().ok();
    entries.filter_map(|entry| row(number(entry.ok()?.file_name())?)).collect()
}

/// Whether a process has not ended; one that its parent has not collected yet has.
pub(crate) fn lives(pid: i32) -> bool {
    row(pid).is_some()
}

fn row(pid: i32) -> Option<Row> {
    parse(&std::fs::read(format!("/proc/{pid}/stat")).ok()?)
}

/// Reads a line of `/proc/PID/stat`; none for the dead that are not yet reaped.
fn parse(stat: &[u8]) -> Option<Row> {
    // The name may hold anything, closing parentheses included.
    let name_ends = stat.iter().rposition(|&byte| byte == b')')?;
    let text = |part: &'_ [u8]| std::str::from_utf8(part).ok().map(str::to_owned);
    let pid = text(&stat[..stat.iter().position(|&byte| byte == b' ')?])?.parse().ok()?;
    let rest = text(stat.get(name_ends + 2..)?)?;
    let mut fields = rest.split(' ');
    let state = fields.next()?;
    let (parent, group) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    let on_terminal = fields.nth(1)? != "0";
    let started = fields.nth(14)?.parse().ok()?;
    (!matches!(state, "Z" | "X")).then_some(Row { process: Process { pid, started }, parent, group, on_terminal })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_whatever_the_name() {
        let line = b"4242 (a) b (c) S 17 4200 4100 0 -1 4194304 1 0 0 0 0 0 0 0 20 0 1 0 987654 1 2 3\n";
        let row = parse(line).unwrap();
        assert_eq!(
            row,
            Row { process: Process { pid: 4242, started: 987_654 }, parent: 17, group: 4200, on_terminal: false }
        );
    }

    #[test]
    fn the_dead_and_nonsense_are_left_out() {
        for line in
            ["42 (x) Z 1 2 3 0 -1 4 1 0 0 0 0 0 0 0 20 0 1 0 9 1", "", "42", "42 (x", "42 (x) S", "x (x) S 1 2 3"]
        {
            assert_eq!(parse(line.as_bytes()), None, "{line}");
        }
    }

    #[test]
    fn children_of_a_number_that_belongs_to_another_now_are_no_members() {
        let process = |pid, started| Process { pid, started };
        let row = |pid, started, parent| Row { process: process(pid, started), parent, group: pid, on_terminal: false };
        let mut tree = Tree { members: [process(5, 10), process(6, 10), process(7, 10)].into(), root: None };
        // 5 is another process by now, 6 lives, 7 died while the table was read.
        tree.grow(&[
            row(5, 99, 1),
            row(50, 100, 5),
            row(6, 10, 1),
            row(60, 100, 6),
            row(600, 100, 60),
            row(70, 100, 7),
        ]);
        let mut numbers: Vec<i32> = tree.members.iter().map(|member| member.pid).collect();
        numbers.sort_unstable();
        assert_eq!(numbers, [5, 6, 7, 60, 70, 600]);
    }

    /// The members of a tree that nobody has looked at for a while.
    #[tokio::test]
    async fn a_stranger_with_a_members_number_keeps_its_children() {
        let mut child = std::process::Command::new("sleep").arg("600").spawn().unwrap();
        let pid = i32::try_from(std::process::id()).unwrap();
        let stale = || Tree { members: [Process { pid, started: 1 }].into(), root: None };
        stale().end(Duration::ZERO).await;
        stale().kill().await;
        let ended = child.try_wait().unwrap();
        child.kill().unwrap();
        assert_eq!(ended, None);
    }

    #[test]
    fn this_process_is_alive() {
        let pid = i32::try_from(std::process::id()).unwrap();
        assert!(living().iter().any(|row| row.process.pid == pid));
    }
}
