//! Starting children and learning their exit codes while reaping for the whole sandbox (contract, toolbox §4.5).
//!
//! Guarantees: an exit code goes to whoever started the child and to nobody else, however quickly it ended; orphans
//! leave no zombies; a signal never reaches a process that merely got a dead child's number.
//! How: one lock covers both "start and enter into the table" and "reap and take out of the table".

use std::collections::HashMap;
use std::io;
use std::process::Command;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitOptions, WaitStatus, getpid};
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::budget::OutputBudget;
use super::tree::{LOOK, Tree, VANISH};

/// The exit code of a child killed by a signal.
pub(crate) const KILLED: i32 = -1;

/// Puts the C library's "start in that directory" into a static binary. The standard library only looks whether it is
/// there, and forks when it is not, which takes 0.2 ms longer per command than starting a process without a copy.
#[cfg(target_env = "gnu")]
#[used]
static START_IN_DIRECTORY: unsafe extern "C" fn(
    *mut libc::posix_spawn_file_actions_t,
    *const libc::c_char,
) -> libc::c_int = libc::posix_spawn_file_actions_addchdir_np;

/// The children of this toolbox. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct Processes {
    table: Arc<Mutex<Table>>,
    chores: TaskTracker,
    output: OutputBudget,
    stopping: CancellationToken,
}

#[derive(Default)]
struct Table {
    waiting: HashMap<Pid, Waiting>,
    started: u64,
}

/// A started child that has not been reaped.
struct Waiting {
    /// Tells two children with the same number apart.
    serial: u64,
    exit: oneshot::Sender<WaitStatus>,
}

impl Processes {
    /// Starts `command` as the leader of a process group of its own.
    ///
    /// The command's streams are closed on this side when `command` is dropped.
    pub(crate) fn start(&self, command: &mut Command) -> io::Result<Child> {
        use std::os::unix::process::CommandExt as _;
        self.start_leader(command.process_group(0))
    }

    /// Starts `command`, which itself becomes the leader of a process group before its program runs, as by `setsid`.
    pub(crate) fn start_leader(&self, command: &mut Command) -> io::Result<Child> {
        let mut table = self.table();
        let pid = command.spawn()?.id();
        let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).ok_or(io::ErrorKind::InvalidData)?;
        table.started += 1;
        let (serial, (exit, exited)) = (table.started, oneshot::channel());
        table.waiting.insert(pid, Waiting { serial, exit });
        drop(table);
        Ok(Child { group: Group { pid, serial, processes: self.clone() }, exited, status: None })
    }

    /// Reaps whatever has died and hands exit codes to those who wait for them. To be called at each SIGCHLD.
    pub(crate) fn reap(&self) {
        let mut table = self.table();
        while let Ok(Some((pid, status))) = rustix::process::wait(WaitOptions::NOHANG) {
            if !(status.exited() || status.signaled()) {
                continue;
            }
            if let Some(Waiting { exit, .. }) = table.waiting.remove(&pid) {
                // Whoever started it may no longer care.
                let _ = exit.send(status);
            }
        }
    }

    /// Background work that outlives the request that caused it, such as reading a background job's output.
    pub(crate) fn chores(&self) -> &TaskTracker {
        &self.chores
    }

    /// Ends every process: SIGTERM at once, SIGKILL after `grace`. From now on requests are cut off.
    pub(crate) async fn stop(&self, grace: Duration) {
        self.stopping.cancel();
        Tree::below(getpid()).end(grace).await;
    }

    /// Tells that every process is being ended.
    pub(crate) fn stopping(&self) -> &CancellationToken {
        &self.stopping
    }

    /// What all outputs that are kept may take of the memory.
    pub(crate) fn output_budget(&self) -> &OutputBudget {
        &self.output
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A child started by [`Processes::start`]. Dropping it leaves the process alone.
pub(crate) struct Child {
    group: Group,
    exited: oneshot::Receiver<WaitStatus>,
    status: Option<WaitStatus>,
}

impl Child {
    /// Waits for the end: 0..255, or [`KILLED`]. May be called again afterwards; dropping the future loses nothing.
    pub(crate) async fn wait(&mut self) -> i32 {
        self.end().await.and_then(WaitStatus::exit_status).unwrap_or(KILLED)
    }

    /// Waits for the end as a shell tells it: 0..255, and 128 + N after signal N.
    pub(crate) async fn wait_as_shell(&mut self) -> i32 {
        let status = self.end().await;
        let signal = status.and_then(WaitStatus::terminating_signal).map(|signal| 128 + signal);
        status.and_then(WaitStatus::exit_status).or(signal).unwrap_or(KILLED)
    }

    /// Waits for the end and says how it came; none when it cannot be known. As [`Child::wait`] otherwise.
    pub(crate) async fn end(&mut self) -> Option<WaitStatus> {
        if self.status.is_none() {
            self.status = (&mut self.exited).await.ok();
        }
        self.status
    }

    /// Whether [`Child::wait`] has returned.
    pub(crate) fn has_ended(&self) -> bool {
        self.status.is_some()
    }

    /// The process group this child leads.
    pub(crate) fn group(&self) -> &Group {
        &self.group
    }
}

/// The process group that a child of the toolbox leads.
#[derive(Clone)]
pub(crate) struct Group {
    pid: Pid,
    serial: u64,
    processes: Processes,
}

impl Group {
    /// Number of the group and of its leader.
    pub(crate) fn pid(&self) -> Pid {
        self.pid
    }

    /// Sends a signal to every process of the group, unless its leader has been reaped.
    pub(crate) fn signal(&self, signal: Signal) {
        self.unless_reaped(|pid| rustix::process::kill_process_group(pid, signal));
    }

    /// Sends a signal to the leader alone, unless it has been reaped.
    pub(crate) fn signal_leader(&self, signal: Signal) {
        self.unless_reaped(|pid| rustix::process::kill_process(pid, signal));
    }

    /// Kills every process of the group and waits, within reason, until the last one has been reaped: nobody who is
    /// told of the end finds one of them running.
    pub(crate) async fn kill(&self) {
        self.signal(Signal::KILL);
        let deadline = Instant::now() + VANISH;
        while self.is_left() && Instant::now() < deadline {
            sleep(LOOK).await;
        }
    }

    /// Whether a process of the group is there, be it one that has died and is still to be reaped.
    fn is_left(&self) -> bool {
        rustix::process::test_kill_process_group(self.pid) != Err(Errno::SRCH)
    }

    fn unless_reaped(&self, send: impl FnOnce(Pid) -> rustix::io::Result<()>) {
        let table = self.processes.table();
        if table.waiting.get(&self.pid).is_some_and(|waiting| waiting.serial == self.serial) {
            // It may be gone already, or have left us no right to signal it (a set-user-id program).
            let _ = send(self.pid);
        }
    }
}
