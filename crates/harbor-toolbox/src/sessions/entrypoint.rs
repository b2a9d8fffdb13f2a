//! The session `entrypoint`: runs the snapshot's entrypoint and keeps its output (contract, toolbox §4.1 and §8.11).
//!
//! Guarantees: its end does not end the sandbox; its output goes to its log alone. It needs no shell.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use rustix::pipe::{PipeFlags, pipe_with};
use tokio::net::unix::pipe::Receiver;
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::command::Description;
use super::demux::Stream;
use super::directory::make_directory;
use super::log::Log;
use super::shelf::Shelf;
use crate::context::Context;
use crate::http::error::Error;
use crate::process::command::{self, Variables};
use crate::process::{Child, quote};

/// Id of the session.
pub(super) const SESSION: &str = "entrypoint";

/// Id of the session's only command.
pub(super) const COMMAND: &str = "entrypoint_command";

/// Name of its log's file.
pub(super) const LOG: &str = "output.log";

/// How long the exit code waits for processes that hold the entrypoint's output open.
const BACKGROUND_GRACE: Duration = Duration::from_secs(1);

/// The exit code of an entrypoint that cannot be started, as a shell would give it.
const NOT_STARTED: i32 = 127;

/// The snapshot's entrypoint, running or ended.
pub(super) struct Entrypoint {
    /// Its arguments as a shell would take them.
    line: String,
    log: Option<Arc<Log>>,
    exit: watch::Sender<Option<i32>>,
}

impl Entrypoint {
    /// Starts it. One that cannot be started has ended with 127 and says why in its log.
    pub(super) fn start(context: &Context, shelf: &Shelf, arguments: &[String]) -> Self {
        let line = arguments.iter().map(|word| quote(word)).collect::<Vec<_>>().join(" ");
        let log = create_log(context, shelf).ok().map(Arc::new);
        let (exit, _) = watch::channel(None);
        match launch(context, arguments) {
            Ok(launched) => {
                context.processes().chores().spawn(attend(launched, log.clone(), exit.clone()));
            }
            Err(error) => {
                let reason = format!("cannot start the entrypoint {line}: {error}\n");
                let (log, exit) = (log.clone(), exit.clone());
                context.processes().chores().spawn(async move {
                    if let Some(log) = log {
                        log.record(Stream::Error, reason.as_bytes()).await;
                        log.close();
                    }
                    exit.send_replace(Some(NOT_STARTED));
                });
            }
        }
        Self { line, log, exit }
    }

    /// What it has written; 404 where no directory for that can be written to.
    pub(super) fn log(&self) -> Result<&Arc<Log>, Error> {
        let log = self.log.as_ref();
        log.ok_or_else(|| Error::not_found("the entrypoint has no log: no directory for it can be written to"))
    }

    /// What clients are told of its command.
    pub(super) fn describe(&self) -> Description {
        Description { id: COMMAND.to_owned(), command: self.line.clone(), exit_code: *self.exit.borrow() }
    }
}

fn create_log(context: &Context, shelf: &Shelf) -> io::Result<Log> {
    let directory = make_directory(context, &format!("{SESSION}/{COMMAND}"))?;
    Log::create(directory.join(LOG), shelf.clone())
}

/// A started entrypoint and our ends of its streams.
struct Launched {
    child: Child,
    streams: [Receiver; 2],
    /// Kept open: an entrypoint that reads waits, as under a terminal nobody types at.
    stdin: OwnedFd,
}

fn launch(context: &Context, arguments: &[String]) -> io::Result<Launched> {
    let (program, rest) = arguments.split_first().ok_or(io::ErrorKind::InvalidInput)?;
    let environment = context.environment();
    let mut command = command::command(program.as_ref(), &environment, &Variables::new(), &context.work_dir());
    let (stdin, to_child) = pipe_with(PipeFlags::CLOEXEC)?;
    let (stdout, child_stdout) = pipe_with(PipeFlags::CLOEXEC)?;
    let (stderr, child_stderr) = pipe_with(PipeFlags::CLOEXEC)?;
    command.args(rest).stdin(stdin).stdout(child_stdout).stderr(child_stderr);
    let child = context.processes().start(&mut command)?;
    let receiver = |pipe: OwnedFd| {
        rustix::io::ioctl_fionbio(&pipe, true)?;
        Receiver::from_owned_fd_unchecked(pipe)
    };
    Ok(Launched { child, streams: [receiver(stdout)?, receiver(stderr)?], stdin: to_child })
}

/// Records what the entrypoint writes until it has ended and both streams are at their end. What it has left behind may
/// write on for as long as the sandbox lives; its exit code does not wait for that.
async fn attend(launched: Launched, log: Option<Arc<Log>>, exit: watch::Sender<Option<i32>>) {
    let Launched { mut child, streams: [stdout, stderr], stdin } = launched;
    let recorded = CancellationToken::new();
    let record = async {
        match &log {
            Some(log) => {
                tokio::join!(biased; log.record(Stream::Output, stdout), log.record(Stream::Error, stderr));
                log.close();
            }
            None => {
                tokio::join!(discard(stdout), discard(stderr));
            }
        }
        recorded.cancel();
    };
    let end = async {
        let code = child.wait().await;
        // Its own last words come before its end.
        let _ = timeout(BACKGROUND_GRACE, recorded.cancelled()).await;
        exit.send_replace(Some(code));
    };
    tokio::join!(record, end);
    drop(stdin);
}

async fn discard(mut from: Receiver) {
    // Without a place for the log nothing is kept; a failing read ends it like the end of the stream.
    let _ = tokio::io::copy(&mut from, &mut tokio::io::sink()).await;
}
