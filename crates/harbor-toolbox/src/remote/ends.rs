//! This side of a program's streams: pipes, or a terminal.

use std::future::pending;
use std::io;
use std::os::fd::OwnedFd;
use std::process::Command;
use std::sync::Arc;

use rustix::pipe::{PipeFlags, pipe_with};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::unix::pipe::{Receiver, Sender};

use crate::process::{Child, Processes};
use crate::pty::{Size, Terminal};

/// Where input goes.
pub(super) enum Input {
    Pipe(Sender),
    Terminal(Arc<Terminal>),
    /// Nobody reads it.
    Closed,
}

/// Where output comes from.
pub(super) enum Output {
    Pipe(Receiver),
    Terminal(Arc<Terminal>),
    /// There is no more.
    Closed,
}

/// A started program.
pub(super) struct Started {
    pub(super) child: Child,
    pub(super) input: Input,
    pub(super) output: Output,
    pub(super) error_output: Output,
    /// What it runs on.
    pub(super) terminal: Option<Arc<Terminal>>,
}

/// Starts `command` on three pipes.
pub(super) fn on_pipes(processes: &Processes, mut command: Command) -> io::Result<Started> {
    let (stdin, input) = pipe_with(PipeFlags::CLOEXEC)?;
    let (output, stdout) = pipe_with(PipeFlags::CLOEXEC)?;
    let (error_output, stderr) = pipe_with(PipeFlags::CLOEXEC)?;
    let ours = |pipe: OwnedFd| rustix::io::ioctl_fionbio(&pipe, true).map(|()| pipe);
    let input = Input::Pipe(Sender::from_owned_fd_unchecked(ours(input)?)?);
    let output = Output::Pipe(Receiver::from_owned_fd_unchecked(ours(output)?)?);
    let error_output = Output::Pipe(Receiver::from_owned_fd_unchecked(ours(error_output)?)?);
    command.stdin(stdin).stdout(stdout).stderr(stderr);
    let child = processes.start(&mut command)?;
    Ok(Started { child, input, output, error_output, terminal: None })
}

/// Starts `command` on a terminal.
pub(super) fn on_terminal(processes: &Processes, command: Command, size: Size) -> io::Result<Started> {
    let (terminal, child) = Terminal::start(processes, command, size)?;
    let terminal = Arc::new(terminal);
    let (input, output) = (Input::Terminal(Arc::clone(&terminal)), Output::Terminal(Arc::clone(&terminal)));
    Ok(Started { child, input, output, error_output: Output::Closed, terminal: Some(terminal) })
}

impl Input {
    /// Writes some of `text` and says how much; what nobody can read any more is taken, too. Dropping the future
    /// writes nothing.
    pub(super) async fn write(&mut self, text: &[u8]) -> usize {
        let written = match self {
            Self::Pipe(pipe) => pipe.write(text).await,
            Self::Terminal(terminal) => terminal.write(text).await,
            Self::Closed => return text.len(),
        };
        written.unwrap_or_else(|_| {
            *self = Self::Closed;
            text.len()
        })
    }

    /// There is no more; a terminal stays open.
    pub(super) fn end(&mut self) {
        if matches!(self, Self::Pipe(_)) {
            *self = Self::Closed;
        }
    }
}

impl Output {
    /// Reads some; 0 once there is no more, then never again. Dropping the future reads nothing.
    pub(super) async fn read(&mut self, buffer: &mut [u8]) -> usize {
        let read = match self {
            Self::Pipe(pipe) => pipe.read(buffer).await,
            Self::Terminal(terminal) => terminal.read(buffer).await,
            Self::Closed => return pending().await,
        };
        let length = read.unwrap_or(0); // an error is how a terminal says that nobody has it any more
        if length == 0 {
            *self = Self::Closed;
        }
        length
    }

    pub(super) fn is_closed(&self) -> bool {
        matches!(self, Self::Closed)
    }
}
