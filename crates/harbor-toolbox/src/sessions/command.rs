//! One command of a session: its text, its log, its input and what became of it.

use std::fs::{self, DirBuilder};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::fs::{CWD, FileType, Mode, Timespec, Timestamps, UTIME_OMIT, futimens, mknodat};
use serde::Serialize;
use tokio::io::AsyncWriteExt as _;
use tokio::net::unix::pipe;
use tokio::sync::watch;
use tokio::time::timeout;
use uuid::Uuid;

use super::demux::Stream;
use super::log::Log;
use super::shelf::Shelf;
use crate::http::error::Error;

/// Longest wait for a command to read what it is sent.
const INPUT_PATIENCE: Duration = Duration::from_mins(1);

/// A command, waiting, running or done.
pub(super) struct Command {
    /// A UUID.
    pub(super) id: String,
    /// What the client sent, unchanged.
    pub(super) text: String,
    pub(super) log: Arc<Log>,
    exit: watch::Sender<Option<i32>>,
    /// Open while the command can be sent input.
    input: Mutex<Option<Arc<Input>>>,
    echo: bool,
    /// Where its files are; only the log stays when it is done.
    pub(super) directory: PathBuf,
}

/// Writers take turns, so that no two inputs mix.
type Input = tokio::sync::Mutex<pipe::Sender>;

/// How a command is to be run.
pub(super) struct Order {
    /// A script for the session's shell.
    pub(super) text: String,
    /// It runs while the caller goes on, and can be sent input.
    pub(super) background: bool,
    /// Input is written to the log too.
    pub(super) echo: bool,
}

/// This side of a command's output.
pub(super) struct Outputs {
    pub(super) streams: [pipe::Receiver; 2],
    /// Keeps both streams from ending before the shell has opened them.
    pub(super) held: [pipe::Sender; 2],
}

/// A command as clients see it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Description {
    pub(super) id: String,
    pub(super) command: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) exit_code: Option<i32>,
}

impl Command {
    /// Names of a command's files.
    pub(super) const SCRIPT: &str = "command";
    pub(super) const OUTPUTS: [&str; 2] = ["stdout", "stderr"];
    pub(super) const INPUT: &str = "stdin";

    /// Puts a command's files into a directory of its own below `session`.
    pub(super) fn create(session: &Path, order: Order, shelf: &Shelf) -> io::Result<(Arc<Self>, Outputs)> {
        let Order { text, background, echo } = order;
        let id = Uuid::new_v4().to_string();
        let directory = session.join(&id);
        DirBuilder::new().recursive(true).mode(0o755).create(&directory)?;
        let made = Self::furnish(&directory, &text, background, shelf);
        if made.is_err() {
            let _ = fs::remove_dir_all(&directory);
        }
        let (log, outputs, input) = made?;
        let input = Mutex::new(input.map(|pipe| Arc::new(Input::new(pipe))));
        let exit = watch::Sender::default();
        Ok((Arc::new(Self { id, text, log: Arc::new(log), exit, input, echo, directory }), outputs))
    }

    fn furnish(
        directory: &Path,
        text: &str,
        background: bool,
        shelf: &Shelf,
    ) -> io::Result<(Log, Outputs, Option<pipe::Sender>)> {
        let mut script =
            fs::File::options().write(true).create_new(true).mode(0o600).open(directory.join(Self::SCRIPT))?;
        script.write_all(text.as_bytes())?;
        script.write_all(b"\n")?;
        // So that it shows whether it is read.
        let long_ago = Timespec { tv_sec: 0, tv_nsec: 0 };
        let unchanged = Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT };
        futimens(&script, &Timestamps { last_access: long_ago, last_modification: unchanged })?;
        let open = |name: &str| -> io::Result<(pipe::Receiver, pipe::Sender)> {
            let path = fifo(directory, name)?;
            Ok((pipe::OpenOptions::new().open_receiver(&path)?, pipe::OpenOptions::new().open_sender(&path)?))
        };
        let (stdout, stderr) = (open(Self::OUTPUTS[0])?, open(Self::OUTPUTS[1])?);
        let outputs = Outputs { streams: [stdout.0, stderr.0], held: [stdout.1, stderr.1] };
        let input = background.then(|| {
            // With a reader of our own, input may come before the command has begun.
            pipe::OpenOptions::new().read_write(true).open_sender(fifo(directory, Self::INPUT)?)
        });
        let log = Log::create(directory.join("output.log"), shelf.clone())?;
        Ok((log, outputs, input.transpose()?))
    }

    /// Whether the command has a standard input that can be written to.
    pub(super) fn has_input(&self) -> bool {
        self.input().is_some()
    }

    /// Whether anybody has read it since it was written; none where that cannot be known.
    pub(super) fn has_been_read(&self) -> Option<bool> {
        fs::metadata(self.directory.join(Self::SCRIPT)).ok().map(|script| script.atime() != 0)
    }

    /// Where its outputs go while it runs.
    pub(super) fn outputs(&self) -> [PathBuf; 2] {
        Self::OUTPUTS.map(|name| self.directory.join(name))
    }

    /// The exit code, once the command is done.
    pub(super) fn exit_code(&self) -> Option<i32> {
        *self.exit.borrow()
    }

    /// Waits until the command is done.
    pub(super) async fn done(&self) -> i32 {
        let mut exit = self.exit.subscribe();
        let code = exit.wait_for(Option::is_some).await.map(|code| *code);
        code.ok().flatten().unwrap_or_default()
    }

    /// Records the exit code and removes what the command needed to run.
    pub(super) fn finish(&self, code: i32) {
        self.input.lock().unwrap_or_else(PoisonError::into_inner).take();
        for name in Self::OUTPUTS.into_iter().chain([Self::SCRIPT, Self::INPUT]) {
            // The session's directory may have gone, and not every command has an input.
            let _ = fs::remove_file(self.directory.join(name));
        }
        self.log.end();
        self.exit.send_if_modified(|exit| exit.is_none() && exit.replace(code).is_none());
    }

    /// Writes a line to the standard input (§8.9).
    pub(super) async fn send_input(&self, mut data: String) -> Result<(), Error> {
        let Some(input) = self.input() else {
            return Err(match self.exit_code() {
                Some(code) => completed(code),
                None => Error::conflict("a synchronous command takes no input"),
            });
        };
        if !data.ends_with('\n') {
            data.push('\n');
        }
        let writing = async {
            let mut pipe = input.lock().await;
            if self.echo {
                self.log.append(Stream::Output, data.as_bytes());
            }
            pipe.write_all(data.as_bytes())
                .await
                .map_err(|error| Error::internal(format!("cannot send input: {error}")))
        };
        tokio::select! {
            biased;
            code = self.done() => Err(completed(code)),
            written = timeout(INPUT_PATIENCE, writing) => {
                written.unwrap_or_else(|_| Err(Error::timeout("the command does not read its input")))
            }
        }
    }

    fn input(&self) -> Option<Arc<Input>> {
        self.input.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What clients are told of it.
    pub(super) fn describe(&self) -> Description {
        Description { id: self.id.clone(), command: self.text.clone(), exit_code: self.exit_code() }
    }
}

fn completed(code: i32) -> Error {
    let message = format!("command has already completed with exit code {code}");
    Error::gone(message).with_code("COMMAND_ALREADY_COMPLETED")
}

/// Makes a named pipe.
fn fifo(directory: &Path, name: &str) -> io::Result<PathBuf> {
    let path = directory.join(name);
    mknodat(CWD, &path, FileType::Fifo, Mode::from_raw_mode(0o600), 0)?;
    Ok(path)
}
