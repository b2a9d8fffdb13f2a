//! One Python process that keeps the state of a context, and one execution on it (contract, toolbox §9.2 and §9.3).
//!
//! Packets to the worker: `p` and a piece of a request, `r` and its last piece; a request is `NAME=VALUE` pairs
//! joined by NUL, two NUL, the code. Packets from it: `o` and `e` with text of standard output and standard error, `n`
//! `v` `t` with pieces of an exception's name, value and traceback, and `d` when it is done.
//!
//! Guarantees: output arrives complete and in order as long as somebody takes it, and the code waits meanwhile; what
//! the code's children write to their streams never enters the channel.

use std::ffi::OsStr;
use std::io;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use rustix::process::Signal;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout, timeout_at};

use super::channel::{Channel, PIECE};
use super::output::{Exception, Output, Stream, Text};
use crate::context::Context;
use crate::process::Child;
use crate::process::command::{self, Variables};

/// The program of the worker, sent to it as its first packet.
const PROGRAM: &[u8] = include_bytes!("worker.py");

/// Reads the program from the channel. Short, because everybody sees it in the list of processes.
const LOADER: &str = "import os;exec(compile(os.read(0,65536),'<interpreter>','exec'))";

/// Interpreters in order of preference.
const PYTHONS: [&str; 2] = ["python3", "python"];

/// How long code may take to react to a signal before it is killed.
const GRACE: Duration = Duration::from_secs(2);

/// A running worker. To be ended with [`Worker::end`] or [`Worker::kill`].
pub(super) struct Worker {
    channel: Channel,
    child: Child,
    buffer: Vec<u8>,
}

/// How an execution ended.
pub(super) enum Ending {
    /// The code came to its end, by an exception or without.
    Completed(Option<Exception>),
    /// It took longer than allowed and was interrupted, or its client did; the state is kept.
    Interrupted,
    /// It took longer than allowed and did not react; the worker is gone.
    Killed,
    /// The code ended the worker.
    Died,
}

impl Worker {
    /// Starts a worker in `directory`. Fails when there is no such directory, or no Python.
    pub(super) async fn start(context: &Context, directory: &Path) -> io::Result<Self> {
        let environment = context.environment();
        let python = PYTHONS.iter().find(|name| command::on_path(OsStr::new(name), &environment).is_some());
        let python = python.ok_or_else(|| {
            io::Error::new(io::ErrorKind::NotFound, "there is no python3 in this image; install it to run Python code")
        })?;
        if !directory.is_dir() {
            return Err(io::Error::new(io::ErrorKind::NotFound, format!("no directory {}", directory.display())));
        }
        let (channel, theirs) = Channel::pair()?;
        let mut command = command::command(OsStr::new(python), &environment, &Variables::new(), directory);
        command.args(["-c", LOADER]).stdin(theirs).stdout(Stdio::null()).stderr(Stdio::null());
        let child = context.processes().start(&mut command)?;
        drop(command); // and with it our copy of the worker's end
        let worker = Self { channel, child, buffer: vec![0; PIECE + 1] };
        worker.channel.send(PROGRAM).await?;
        Ok(worker)
    }

    /// Waits for the worker's end and drops what it sends meanwhile, such as a thread's or a fork's output.
    pub(super) async fn idle(&mut self) {
        loop {
            tokio::select! {
                received = self.channel.receive(&mut self.buffer) => if !matches!(received, Ok(1..)) { return },
                _ = self.child.wait() => return,
            }
        }
    }

    /// Runs one request to its end, or to the end of `limit`.
    pub(super) async fn execute(
        &mut self,
        request: &[u8],
        limit: Option<Duration>,
        texts: &mpsc::Sender<Text>,
    ) -> Ending {
        let mut run = Execution::new(self, request, texts);
        let Some(limit) = limit else { return run.reach_end().await };
        if let Ok(ending) = timeout_at(Instant::now() + limit, run.reach_end()).await {
            return ending;
        }
        if run.done {
            // It is the client that takes longer. The worker is idle again and must not be interrupted.
            return timeout(GRACE, run.reach_end()).await.unwrap_or(Ending::Interrupted);
        }
        // From here on a client that does not read must not hold up the code's reaction.
        run.output.stop_waiting();
        run.worker.child.group().signal_leader(Signal::INT);
        match timeout(GRACE, run.reach_end()).await {
            Ok(Ending::Completed(_)) => Ending::Interrupted,
            Ok(_) => Ending::Killed,
            Err(_) => {
                self.kill().await;
                Ending::Killed
            }
        }
    }

    /// Ends the worker and its children: SIGTERM, and SIGKILL after two seconds.
    pub(super) async fn end(&mut self) {
        self.child.group().signal(Signal::TERM);
        if timeout(GRACE, self.child.wait()).await.is_err() {
            self.kill().await;
        }
    }

    /// Ends the worker and its children at once.
    pub(super) async fn kill(&mut self) {
        self.child.group().signal(Signal::KILL);
        // A process in an uninterruptible state ends when the system lets it; nobody waits for that.
        let _ = timeout(GRACE, self.child.wait()).await;
    }
}

/// One request under way. Its future can be dropped and begun again.
struct Execution<'a> {
    worker: &'a mut Worker,
    unsent: &'a [u8],
    all_sent: bool,
    /// The worker has said that the code came to its end.
    done: bool,
    output: Output<'a>,
    exception: Exception,
}

impl<'a> Execution<'a> {
    fn new(worker: &'a mut Worker, request: &'a [u8], texts: &'a mpsc::Sender<Text>) -> Self {
        let (output, exception) = (Output::new(texts), Exception::default());
        Self { worker, unsent: request, all_sent: false, done: false, output, exception }
    }

    async fn reach_end(&mut self) -> Ending {
        if !self.all_sent && self.send().await.is_err() {
            return Ending::Died;
        }
        while !self.done {
            let Some(length) = self.next_packet().await else {
                self.output.flush().await;
                return Ending::Died;
            };
            let (kind, payload) = (self.worker.buffer[0], &self.worker.buffer[1..length]);
            match kind {
                b'o' => self.output.append(Stream::Output, payload).await,
                b'e' => self.output.append(Stream::Error, payload).await,
                b'd' => self.done = true,
                field => self.exception.append(field, payload),
            }
        }
        self.output.flush().await;
        let exception = std::mem::take(&mut self.exception);
        Ending::Completed(Some(exception).filter(Exception::is_one))
    }

    async fn send(&mut self) -> io::Result<()> {
        while !self.all_sent {
            let (piece, rest) = self.unsent.split_at(self.unsent.len().min(PIECE));
            let kind = if rest.is_empty() { b'r' } else { b'p' };
            self.worker.channel.send(&[&[kind], piece].concat()).await?;
            (self.unsent, self.all_sent) = (rest, rest.is_empty());
        }
        Ok(())
    }

    /// The next packet's length; none once the worker has ended and everything it sent is read.
    ///
    /// Output is handed on when nothing more is there at the moment, so that many small writes travel together.
    async fn next_packet(&mut self) -> Option<usize> {
        if let Some(length) = self.worker.channel.receive_now(&mut self.worker.buffer) {
            return Some(length).filter(|&length| length > 0);
        }
        self.output.flush().await;
        let Worker { channel, child, buffer } = &mut *self.worker;
        let length = tokio::select! {
            biased;
            received = channel.receive(buffer) => received.unwrap_or(0),
            _ = child.wait() => channel.receive_now(buffer).unwrap_or(0),
        };
        Some(length).filter(|&length| length > 0)
    }
}

#[cfg(test)]
mod tests {
    use rustix::net::{SendFlags, send};

    use super::*;
    use crate::process::Processes;

    #[tokio::test]
    async fn a_client_that_does_not_read_costs_no_state() {
        let (channel, theirs) = Channel::pair().unwrap();
        // In the place of a worker: what dies of an interrupt.
        let child = Processes::default().start(std::process::Command::new("sleep").arg("600")).unwrap();
        let mut worker = Worker { channel, child, buffer: vec![0; PIECE + 1] };
        let (texts, _unread) = mpsc::channel(1);
        texts.try_send(Text { stream: Stream::Output, text: "before".to_owned() }).ok().unwrap();
        for packet in [b"oend", &b"d"[..]] {
            send(&theirs, packet, SendFlags::empty()).unwrap();
        }
        let ending = worker.execute(b"", Some(Duration::from_millis(100)), &texts).await;
        let pid = worker.child.group().pid();
        let alive = rustix::process::waitpid(Some(pid), rustix::process::WaitOptions::NOHANG).unwrap().is_none();
        worker.child.group().signal(Signal::KILL);
        assert!(matches!(ending, Ending::Interrupted) && alive);
    }
}
