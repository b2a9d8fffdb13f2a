//! Runs git (contract, toolbox §12.1).
//!
//! Guarantees: nothing is asked of a terminal, no hook and no pager runs, nothing but the named directory is searched
//! for a repository, every run has a deadline and bounded output, and one whose caller went away is killed.

use std::ffi::OsString;
use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use harbor_protocol::lent;
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::Signal;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::unix::pipe::{Receiver, Sender};
use tokio::time::timeout;

use super::credentials::Credentials;
use super::{engine, failure};
use crate::cgroup::MemoryWatch;
use crate::context::Context;
use crate::http::error::Error;
use crate::process::command::{self, Variables};
use crate::process::{Child, KeptOutput, OutputShare};

/// Longest run of a command that only touches the disk.
const LOCAL: Duration = Duration::from_mins(10);

/// Longest run of a command that speaks to a remote.
const REMOTE: Duration = Duration::from_mins(30);

/// Most output of a command, in bytes; it is answered in one piece.
const MAX_OUTPUT: usize = 64 << 20;

/// How much of the budget for outputs each byte takes: what is made of it is there at the same time.
const WEIGHT: usize = 2;

/// Most bytes kept of a command's messages.
const MAX_MESSAGES: usize = 64 << 10;

/// How long output is waited for once the command itself has ended and something else holds its streams open.
const LINGER: Duration = Duration::from_secs(2);

/// Settings of every run. Hooks of a repository and upkeep in the background are nobody's wish here; whose the files
/// are is no concern in a sandbox of one user.
const SETTINGS: [&str; 7] = [
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "core.quotePath=false",
    "safe.directory=*",
    "gc.auto=0",
    "maintenance.auto=false",
    "advice.detachedHead=false",
];

/// Variables of every run: plain English, no questions, paths meant literally.
const VARIABLES: [(&str, &str); 7] = [
    ("LC_ALL", "C"),
    ("GIT_TERMINAL_PROMPT", "0"),
    ("GIT_ASKPASS", ""),
    ("GIT_EDITOR", "true"),
    ("GIT_PAGER", "cat"),
    ("GIT_OPTIONAL_LOCKS", "0"),
    ("GIT_LITERAL_PATHSPECS", "1"),
];

/// Variables of the sandbox that would point git elsewhere.
const UNWANTED: [&str; 8] = [
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_COMMON_DIR",
    "GIT_NAMESPACE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_CURL_VERBOSE",
];

/// How to run git: where, and with what.
#[derive(Clone)]
pub(super) struct Git<'a> {
    context: &'a Context,
    directory: PathBuf,
    variables: Variables,
    settings: Vec<&'static str>,
    credentials: Option<&'a Credentials>,
    limit: Duration,
}

/// A finished run.
#[derive(Debug)]
pub(super) struct Done {
    /// 0..255, or -1: killed by a signal.
    pub(super) code: i32,
    pub(super) output: Vec<u8>,
    /// What the output takes of the budget.
    _share: OutputShare,
    /// What it said on standard error, without secrets.
    pub(super) messages: String,
}

impl Done {
    pub(super) fn succeeded(&self) -> bool {
        self.code == 0
    }

    /// The output as text without the line's end.
    pub(super) fn line(&self) -> String {
        String::from_utf8_lossy(&self.output).trim_end_matches('\n').to_owned()
    }
}

impl<'a> Git<'a> {
    /// Git in `directory`, which must exist.
    pub(super) fn new(context: &'a Context, directory: &Path) -> Self {
        let mut variables: Variables =
            VARIABLES.map(|(name, value)| (name.to_owned(), Some(value.to_owned()))).into_iter().collect();
        if let Some(parent) = directory.parent().and_then(Path::to_str) {
            variables.insert("GIT_CEILING_DIRECTORIES".to_owned(), Some(parent.to_owned()));
        }
        let directory = directory.to_owned();
        Self { context, directory, variables, settings: Vec::new(), credentials: None, limit: LOCAL }
    }

    /// The same with one more variable.
    #[must_use]
    pub(super) fn with_variable(mut self, name: &str, value: &str) -> Self {
        self.variables.insert(name.to_owned(), Some(value.to_owned()));
        self
    }

    /// The same with one more setting, `section.key=value`.
    #[must_use]
    pub(super) fn with_setting(mut self, setting: &'static str) -> Self {
        self.settings.push(setting);
        self
    }

    /// The same for commands that speak to a remote, with these credentials or with none.
    ///
    /// With credentials no helper of the sandbox is asked, and none is told.
    #[must_use]
    pub(super) fn remote(mut self, credentials: Option<&'a Credentials>) -> Self {
        self.limit = REMOTE;
        self.credentials = credentials;
        if credentials.is_some() { self.with_setting("credential.helper=") } else { self }
    }

    /// Runs a command that must succeed; a failure is told by what git said.
    pub(super) async fn run(&self, arguments: &[&str]) -> Result<Done, Error> {
        self.run_with_input(arguments, b"").await
    }

    /// The same with a text on standard input.
    pub(super) async fn run_with_input(&self, arguments: &[&str], input: &[u8]) -> Result<Done, Error> {
        let done = self.attempt(arguments, input).await?;
        if done.succeeded() { Ok(done) } else { Err(failure::error(done.code, &done.messages)) }
    }

    /// Whether a command succeeds.
    pub(super) async fn test(&self, arguments: &[&str]) -> Result<bool, Error> {
        Ok(self.attempt(arguments, b"").await?.succeeded())
    }

    /// Runs a command; how it ended is the caller's to judge.
    pub(super) async fn attempt(&self, arguments: &[&str], input: &[u8]) -> Result<Done, Error> {
        let (child, streams) = self
            .start(arguments)
            .map_err(|error| Error::internal(format!("cannot start git in {}: {error}", self.directory.display())))??;
        let memory = MemoryWatch::begin();
        let mut running = Running(child);
        let output = self.context.processes().output_budget().output(WEIGHT);
        match timeout(self.limit, running.finish(streams, input, output)).await {
            Ok(done) => {
                let Finished { code, output, messages } = done?;
                let mut messages = failure::redacted(&String::from_utf8_lossy(&messages), self.credentials);
                if let Some(verdict) = (code != 0).then(|| memory.verdict()).flatten() {
                    messages = format!("{messages}\n{verdict}");
                }
                let (output, share) = output.into_parts();
                Ok(Done { code, output, _share: share, messages })
            }
            Err(_) => Err(Error::timeout(format!("git {} took too long", arguments.first().unwrap_or(&"")))),
        }
    }

    fn start(&self, arguments: &[&str]) -> io::Result<Result<(Child, Streams), Error>> {
        let environment = self.context.environment();
        let Some(program) = engine::program(&environment) else { return Ok(Err(failure::no_git())) };
        let mut command = command::command(&program, &environment, &self.variables, &self.directory);
        for unwanted in environment.keys().filter(|name| is_unwanted(name)) {
            command.env_remove(unwanted);
        }
        for setting in SETTINGS.iter().chain(&self.settings) {
            command.args(["-c", setting]);
        }
        command.args(arguments);
        let secret = self.credentials.map(Credentials::lend).transpose()?;
        if let Some((secret, program)) = &secret {
            command.env("GIT_ASKPASS", program).env(lent::VARIABLE, secret.as_raw_fd().to_string());
        }
        let secret = secret.map(|(secret, _)| secret);
        Ok(Ok(Streams::start(self.context, &mut command, secret.as_ref())?))
    }
}

/// Variables that point git elsewhere, or make it tell more than it should.
fn is_unwanted(name: &OsString) -> bool {
    UNWANTED.iter().any(|unwanted| name == unwanted) || name.to_string_lossy().starts_with("GIT_TRACE")
}

/// Our ends of a command's streams.
struct Streams {
    input: Sender,
    output: Receiver,
    messages: Receiver,
}

impl Streams {
    /// Starts `command` with pipes. `inherited` stays open in it, under the same number.
    fn start(context: &Context, command: &mut Command, inherited: Option<&OwnedFd>) -> io::Result<(Child, Self)> {
        let pipe = || pipe_with(PipeFlags::CLOEXEC);
        let ((stdin, input), (output, stdout), (messages, stderr)) = (pipe()?, pipe()?, pipe()?);
        for ours in [&input, &output, &messages] {
            rustix::io::ioctl_fionbio(ours, true)?;
        }
        command.stdin(stdin).stdout(stdout).stderr(stderr);
        // All processes are started on this one thread, so no other one can inherit it meanwhile.
        if let Some(inherited) = inherited {
            rustix::io::fcntl_setfd(inherited, rustix::io::FdFlags::empty())?;
        }
        let child = context.processes().start(command);
        if let Some(inherited) = inherited {
            rustix::io::fcntl_setfd(inherited, rustix::io::FdFlags::CLOEXEC)?;
        }
        // The command keeps the child's ends until it is told otherwise.
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let streams = Self {
            input: Sender::from_owned_fd_unchecked(input)?,
            output: Receiver::from_owned_fd_unchecked(output)?,
            messages: Receiver::from_owned_fd_unchecked(messages)?,
        };
        Ok((child?, streams))
    }
}

struct Finished {
    code: i32,
    output: KeptOutput,
    messages: Vec<u8>,
}

/// A command under way. Dropped before its end, it is killed.
struct Running(Child);

impl Running {
    async fn finish(&mut self, streams: Streams, input: &[u8], mut output: KeptOutput) -> Result<Finished, Error> {
        let Streams { input: mut pipe, output: mut stdout, messages: mut stderr } = streams;
        let mut messages = Vec::new();
        let code = {
            let feed = async {
                // A command that stops reading is no error; what it makes of that it says itself.
                let _ = pipe.write_all(input).await;
                drop(pipe);
            };
            let reading = async {
                tokio::join!(read_output(&mut stdout, &mut output), read_messages(&mut stderr, &mut messages), feed).0
            };
            tokio::pin!(reading);
            let (code, read) = tokio::select! {
                biased;
                read = &mut reading => (self.0.wait().await, read),
                code = self.0.wait() => (code, timeout(LINGER, reading).await.unwrap_or(Ok(()))),
            };
            read.map(|()| code)?
        };
        Ok(Finished { code, output, messages })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.0.has_ended() {
            self.0.group().signal(Signal::KILL);
        }
    }
}

/// How much is read at once, in bytes.
const STEP: usize = 16 << 10;

/// Reads to the end and keeps it. What is too much is read and dropped, so that git comes to its end; it is 422.
async fn read_output(pipe: &mut Receiver, kept: &mut KeptOutput) -> Result<(), Error> {
    let mut read = Ok(());
    loop {
        kept.bytes.reserve(STEP);
        if matches!(pipe.read_buf(&mut kept.bytes).await, Ok(0) | Err(_)) {
            return read;
        }
        if read.is_ok() && kept.bytes.len() > MAX_OUTPUT {
            read = Err(Error::unprocessable(format!("git wrote more than {} MiB", MAX_OUTPUT >> 20)));
        }
        read = read.and_then(|()| kept.count());
        if read.is_err() {
            kept.bytes = Vec::new();
        }
    }
}

/// Reads to the end, keeping the beginning.
async fn read_messages(pipe: &mut Receiver, kept: &mut Vec<u8>) {
    loop {
        kept.reserve(STEP);
        match pipe.read_buf(kept).await {
            Ok(0) | Err(_) => return,
            Ok(_) => kept.truncate(MAX_MESSAGES),
        }
    }
}
