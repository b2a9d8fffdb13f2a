//! Runs a command to its end with a text on its standard input, and keeps everything it writes.
//!
//! Guarantees: output is kept in the order written, as far as the budget for all
//! outputs goes; a command that is over its limits, or whose
//! caller went away, is killed with its process group; a background job that still writes after the command has ended
//! is never hurt: its pipe is read to the end and forgotten.

use std::convert::Infallible;
use std::fs::Metadata;
use std::io::{self, Write as _};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::Signal;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::unix::pipe::{Receiver, Sender};
use tokio::time::{Instant, sleep_until, timeout_at};

use crate::cgroup::MemoryWatch;
use crate::http::error::Error;
use crate::process::{Child, KILLED, KeptOutput, Processes};

/// How long the answer waits for background jobs that hold the output open, once the command itself has ended.
const BACKGROUND_GRACE: Duration = Duration::from_secs(3);

/// What became of a command.
pub(super) struct Finished {
    /// 0..255, or -1: killed by a signal, or not started.
    pub(super) exit_code: i32,
    /// Standard output and standard error together, as written.
    pub(super) output: KeptOutput,
}

/// Runs `command` in `directory`, which it is already set to, with `input` on its standard input. Each byte of
/// output that is kept counts `weight` times.
///
/// A command that cannot be started is a [`Finished`] with exit code -1 and the reason as output (§6.4); one that
/// exceeds `limit` is killed and answered 408.
pub(super) async fn run(
    processes: &Processes,
    mut command: Command,
    directory: &Path,
    input: &[u8],
    limit: Option<Duration>,
    weight: usize,
) -> Result<Finished, Error> {
    let deadline = limit.map(|limit| Instant::now() + limit);
    let memory = MemoryWatch::begin();
    let mut output = processes.output_budget().output(weight);
    let started = start(processes, &mut command, input);
    let (mut running, feed) = match started {
        Ok(started) => started,
        Err(error) => {
            output.bytes = not_started(&command, directory, &error).into_bytes();
            return Ok(Finished { exit_code: KILLED, output });
        }
    };
    drop(command); // and with it our copies of the pipe ends that the child has
    let run = async {
        let ended = tokio::select! {
            ended = running.read_to_end(&mut output, deadline) => ended,
            never = feed.write_all(input) => match never {},
        };
        let exit_code = ended?;
        if let Some(verdict) = (exit_code != 0).then(|| memory.verdict()).flatten() {
            let separator = if output.bytes.is_empty() || output.bytes.ends_with(b"\n") { "" } else { "\n" };
            output.bytes.extend(format!("{separator}harbor: {verdict}\n").into_bytes());
        }
        Ok(Finished { exit_code, output })
    };
    let result = match deadline {
        None => run.await,
        Some(deadline) => tokio::select! {
            biased;
            result = run => result,
            () = sleep_until(deadline) => Err(time_is_up()),
        },
    };
    if result.is_err() {
        running.child.group().kill().await;
    }
    result
}

fn time_is_up() -> Error {
    Error::timeout("command execution timeout").with_code("PROCESS_EXECUTION_TIMEOUT")
}

/// A started command and what is still to be written to it.
fn start(processes: &Processes, command: &mut Command, input: &[u8]) -> io::Result<(Running, Feed)> {
    let (stdin, to_child) = pipe_with(PipeFlags::CLOEXEC)?;
    let (from_child, stdout) = pipe_with(PipeFlags::CLOEXEC)?;
    rustix::io::ioctl_fionbio(&to_child, true)?;
    rustix::io::ioctl_fionbio(&from_child, true)?;
    let feed = Feed::begin(to_child, input)?;
    command.stdin(stdin).stderr(stdout.try_clone()?).stdout(stdout);
    let child = processes.start(command)?;
    let pipe = Some(Receiver::from_owned_fd_unchecked(from_child)?);
    let output = Output { pipe, processes: processes.clone() };
    Ok((Running { child, output }, feed))
}

fn not_started(command: &Command, directory: &Path, error: &io::Error) -> String {
    let program = command.get_program().to_string_lossy();
    match std::fs::metadata(directory) {
        Err(error) => format!("cannot change to directory {}: {error}", directory.display()),
        Ok(found) if !Metadata::is_dir(&found) => format!("cannot change to {}: not a directory", directory.display()),
        Ok(_) => format!("cannot start {program}: {error}"),
    }
}

/// The standard input of a command. Small texts fit into the pipe at once; the rest follows as the command reads.
struct Feed {
    pipe: Option<OwnedFd>,
    written: usize,
}

impl Feed {
    fn begin(pipe: OwnedFd, input: &[u8]) -> io::Result<Self> {
        let mut file = std::fs::File::from(pipe);
        let written = match file.write(input) {
            Ok(written) => written,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
            Err(error) => return Err(error),
        };
        let pipe = (written < input.len()).then(|| file.into());
        Ok(Self { pipe, written })
    }

    /// Writes what did not fit, closes the pipe and waits for ever. A command that stops reading is no error.
    async fn write_all(self, input: &[u8]) -> Infallible {
        if let Some(Ok(mut pipe)) = self.pipe.map(Sender::from_owned_fd_unchecked) {
            let _ = pipe.write_all(&input[self.written..]).await;
        }
        std::future::pending().await
    }
}

/// A command under way. Dropped before its end, it is killed.
struct Running {
    child: Child,
    output: Output,
}

impl Running {
    /// Reads until the command has ended and its output is at its end, or the background's grace is over.
    async fn read_to_end(&mut self, output: &mut KeptOutput, deadline: Option<Instant>) -> Result<i32, Error> {
        let (child, pipe) = (&mut self.child, &mut self.output);
        tokio::select! {
            biased;
            at_end = pipe.read_to_end(output) => {
                at_end?;
                Ok(child.wait().await)
            }
            exit_code = child.wait() => {
                let patience = Instant::now() + BACKGROUND_GRACE;
                let patience = deadline.map_or(patience, |deadline| patience.min(deadline));
                if let Ok(at_end) = timeout_at(patience, pipe.read_to_end(output)).await {
                    at_end?;
                }
                Ok(exit_code)
            }
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // While the sandbox is stopped, the command has the same time to end as all others.
        if !self.child.has_ended() && !self.output.processes.stopping().is_cancelled() {
            self.child.group().signal(Signal::KILL);
        }
    }
}

/// The reading end of a command's output. Dropped before its end, it is read on in the background.
struct Output {
    pipe: Option<Receiver>,
    processes: Processes,
}

impl Output {
    /// Appends everything up to the end. Dropping the future loses nothing.
    async fn read_to_end(&mut self, output: &mut KeptOutput) -> Result<(), Error> {
        const STEP: usize = 64 << 10;
        while let Some(pipe) = &mut self.pipe {
            let bytes = &mut output.bytes;
            if bytes.capacity() - bytes.len() < STEP / 8 {
                bytes.reserve(bytes.len().max(STEP / 4));
            }
            match pipe.read_buf(bytes).await {
                Ok(0) | Err(_) => self.pipe = None,
                Ok(_) => output.count()?,
            }
        }
        Ok(())
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        let Some(mut pipe) = self.pipe.take() else { return };
        self.processes.chores().spawn(async move {
            let mut ignored = vec![0; 4 << 10];
            while !matches!(pipe.read(&mut ignored).await, Ok(0) | Err(_)) {}
        });
    }
}
