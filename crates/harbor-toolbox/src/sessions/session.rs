//! A session: one shell, and the commands that it runs one after another.
//!
//! Guarantees: a command has its exit code once the shell is done with it and both of its outputs have ended; when
//! the shell ends, every command gets one; deletion ends every process and removes every file of the session; what
//! is kept of commands that are done is bounded.

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::process::{Pid, Signal};
use tokio::net::unix::pipe::Receiver;
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;

use super::command::{Command, Description, Order, Outputs};
use super::demux::Stream;
use super::holders;
use super::shelf::{Forget as _, Shelf};
use super::shell::{Outcome, Shell};
use crate::cgroup::MemoryWatch;
use crate::context::Context;
use crate::http::error::Error;
use crate::process::Tree;

/// Most commands of one session that wait for their turn.
const WAITING: usize = 64;

/// Most commands of one session that are remembered once they are done.
const REMEMBERED: usize = 1000;

/// Most bytes of their texts.
const TEXTS: usize = 4 << 20;

/// How long processes may take to end after SIGTERM.
const GRACE: Duration = Duration::from_secs(5);

/// How long the last command of an ended shell waits for background jobs that hold its output open.
const BACKGROUND_GRACE: Duration = Duration::from_secs(1);

/// The exit code of a command that the shell never came to.
const NOT_RUN: i32 = -1;

/// A session that clients have created.
pub(super) struct Session {
    pub(super) id: String,
    directory: PathBuf,
    shell: Pid,
    queue: mpsc::Sender<Job>,
    commands: Mutex<VecDeque<Arc<Command>>>,
    life: watch::Sender<Life>,
    shelf: Shelf,
    context: Context,
}

/// A command and what its output comes from.
type Job = (Arc<Command>, Outputs);

#[derive(Debug, Default)]
enum Life {
    #[default]
    Running,
    /// The shell has ended and left these processes.
    Ended(Option<Tree>),
    Deleted,
}

impl Session {
    /// Starts the shell. The session lives on its own until it is deleted.
    pub(super) fn start(
        context: &Context,
        id: String,
        directory: PathBuf,
        work_dir: &Path,
        shelf: Shelf,
    ) -> io::Result<Arc<Self>> {
        let running = Shell::start(context, work_dir)?;
        let (queue, jobs) = mpsc::channel(WAITING);
        let started = Arc::new(Self {
            id,
            directory,
            shell: running.group().pid(),
            queue,
            commands: Mutex::default(),
            life: watch::Sender::default(),
            shelf,
            context: context.clone(),
        });
        context.processes().chores().spawn(Arc::clone(&started).attend(running, jobs));
        Ok(started)
    }

    /// Puts a command behind those that wait.
    pub(super) fn submit(&self, order: Order) -> Result<Arc<Command>, Error> {
        let place = match self.queue.try_reserve() {
            Ok(place) => place,
            Err(mpsc::error::TrySendError::Closed(())) => return Err(ended()),
            Err(mpsc::error::TrySendError::Full(())) => {
                return Err(Error::too_many(format!("{WAITING} commands wait in this session already")));
            }
        };
        if !matches!(*self.life.borrow(), Life::Running) {
            return Err(ended());
        }
        let made = Command::create(&self.directory, order, &self.shelf);
        let (command, outputs) =
            made.map_err(|error| Error::internal(format!("failed to execute command: {error}")))?;
        self.commands().push_back(Arc::clone(&command));
        place.send((Arc::clone(&command), outputs));
        Ok(command)
    }

    /// Waits until a command of this session is done, or the session is deleted.
    pub(super) async fn outcome(&self, command: &Command) -> Result<i32, Error> {
        let mut life = self.life.subscribe();
        tokio::select! {
            biased;
            _ = life.wait_for(|life| matches!(life, Life::Deleted)) => Err(ended()),
            code = command.done() => Ok(code),
        }
    }

    /// One of its commands.
    pub(super) fn command(&self, id: &str) -> Option<Arc<Command>> {
        self.commands().iter().find(|command| command.id == id).cloned()
    }

    /// Its commands in the order they came.
    pub(super) fn describe(&self) -> Vec<Description> {
        self.commands().iter().map(|command| command.describe()).collect()
    }

    /// Whether deletion has begun.
    pub(super) fn is_deleted(&self) -> bool {
        matches!(*self.life.borrow(), Life::Deleted)
    }

    /// Ends all processes and removes all files (§8.4). False: somebody else does.
    pub(super) async fn delete(&self) -> bool {
        let left = match self.life.send_replace(Life::Deleted) {
            Life::Deleted => return false,
            Life::Running => Some(Tree::of(self.shell)),
            Life::Ended(left) => left,
        };
        for command in self.commands().iter() {
            command.log.end();
        }
        if let Some(tree) = left {
            tree.end(GRACE).await;
        }
        for command in self.commands().drain(..) {
            command.finish(NOT_RUN);
            command.log.forget();
        }
        // A root process of the session's may have left files that are not ours to remove.
        let _ = std::fs::remove_dir_all(&self.directory);
        true
    }

    /// Runs the commands until the shell ends.
    async fn attend(self: Arc<Self>, mut shell: Shell, mut jobs: mpsc::Receiver<Job>) {
        loop {
            let job = tokio::select! {
                biased;
                _ = shell.child.wait_as_shell() => break,
                job = jobs.recv() => job,
            };
            let Some((command, outputs)) = job else { break };
            let Outputs { streams, held } = outputs;
            let recording = Arc::clone(&self).record(Arc::clone(&command), streams);
            let recording = self.context.processes().chores().spawn(recording);
            let memory = MemoryWatch::begin();
            let outcome = shell.run(&command).await;
            if let Some(verdict) = (outcome != Outcome::Done(0)).then(|| memory.verdict()).flatten() {
                command.log.append(Stream::Error, format!("harbor: {verdict}\n").as_bytes());
            }
            // From here on the outputs end when the last process that has them ends.
            drop(held);
            match outcome {
                Outcome::Done(code) => {
                    let chores = self.context.processes().chores();
                    let session = Arc::clone(&self);
                    chores.spawn(async move {
                        let outputs = command.outputs();
                        tokio::select! {
                            _ = recording => {}
                            // What it still writes to them goes on into the log.
                            () = holders::only(session.shell, &outputs) => {}
                        }
                        session.finish(&command, code);
                    });
                }
                Outcome::Ended(code) => {
                    let _ = timeout(BACKGROUND_GRACE, recording).await;
                    self.finish(&command, code);
                    break;
                }
                Outcome::Silent | Outcome::Unread => {
                    shell.group().signal(Signal::KILL);
                    command.log.append(Stream::Error, lost(outcome).as_bytes());
                    let _ = timeout(BACKGROUND_GRACE, recording).await;
                    self.finish(&command, NOT_RUN);
                    break;
                }
            }
        }
        jobs.close();
        self.life.send_if_modified(|life| {
            let running = matches!(life, Life::Running);
            if running {
                *life = Life::Ended(Some(Tree::of(self.shell)));
            }
            running
        });
        while let Ok((command, outputs)) = jobs.try_recv() {
            drop(outputs);
            command.log.close();
            self.finish(&command, NOT_RUN);
        }
    }

    /// Writes a command's log until both outputs have ended, or the session is deleted.
    async fn record(self: Arc<Self>, command: Arc<Command>, [stdout, stderr]: [Receiver; 2]) {
        let mut life = self.life.subscribe();
        let log = &command.log;
        tokio::select! {
            _ = async { tokio::join!(log.record(Stream::Output, stdout), log.record(Stream::Error, stderr)) } => {}
            _ = life.wait_for(|life| matches!(life, Life::Deleted)) => {}
        }
        log.close();
    }

    /// A command is done; what is remembered too much is forgotten.
    fn finish(&self, command: &Command, code: i32) {
        command.finish(code);
        let mut commands = self.commands();
        let done = |command: &Arc<Command>| command.exit_code().is_some();
        let mut texts: usize = commands.iter().map(|command| command.text.len()).sum();
        while commands.len() > REMEMBERED || texts > TEXTS {
            let Some(oldest) = commands.iter().position(done).filter(|&at| at + 1 < commands.len()) else { return };
            let Some(oldest) = commands.remove(oldest) else { return };
            texts -= oldest.text.len();
            oldest.log.forget();
            let _ = std::fs::remove_dir(&oldest.directory);
        }
    }

    fn commands(&self) -> MutexGuard<'_, VecDeque<Arc<Command>>> {
        self.commands.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why a session with this outcome is given up.
fn lost(outcome: Outcome) -> String {
    let what = match outcome {
        Outcome::Unread => "did not run this command, because its own words for that mean something else by now",
        _ => "does not tell how this command ended",
    };
    format!("harbor: the shell of this session {what}; the session has ended, create another one\n")
}

/// The session can run nothing any more.
fn ended() -> Error {
    Error::gone("session process has exited").with_code("SESSION_ENDED")
}
