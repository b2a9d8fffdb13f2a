//! Starting harbor in the background and waiting until it answers.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};

use super::announce::StartMessage;
use super::presence::{LOOK_EVERY, PATIENCE, Presence};
use super::progress::StartStep;
use super::state::Ready;
use crate::config::directories::Directories;

/// How a start ended well.
#[derive(Debug)]
pub(crate) struct StartOutcome {
    /// What serves.
    pub(crate) ready: Ready,
    /// Whether keys were generated just now.
    pub(crate) first_start: bool,
    /// Whether it was there already, or somebody else started it.
    pub(crate) found: bool,
}

/// Makes sure that a harbor answers on these directories, within `limit`: one that is there already; one that somebody
/// else is starting, once it is ready; else `harbor` with `arguments`, after one that is ending has ended. `show` is
/// told what is waited for.
pub(crate) fn ensure(
    directories: &Directories,
    arguments: &[String],
    limit: Duration,
    show: &mut dyn FnMut(&StartStep),
) -> anyhow::Result<StartOutcome> {
    let deadline = Instant::now() + limit;
    let mut shown = StartStep::default();
    loop {
        let waits_for = match Presence::look(directories, PATIENCE.min(limit))? {
            Presence::Serving(_, ready) => return Ok(StartOutcome { ready, first_start: false, found: true }),
            Presence::Stopped => match start(directories, arguments, deadline, limit, show)? {
                Some(started) => return Ok(started),
                None => continue,
            },
            Presence::Starting(_, activity) => activity,
            Presence::Stopping(process) => StartStep::of(format!("waiting for {process}, which is stopping")),
            Presence::Silent(process, _, reason) => {
                StartStep::of(format!("waiting for {process}, which does not answer ({reason})"))
            }
        };
        if waits_for != shown {
            show(&waits_for);
            shown = waits_for;
        }
        if Instant::now() >= deadline {
            bail!("{}", not_yet(limit));
        }
        thread::sleep(LOOK_EVERY);
    }
}

/// Starts `harbor`. `None`: somebody else was faster.
fn start(
    directories: &Directories,
    arguments: &[String],
    deadline: Instant,
    limit: Duration,
    show: &mut dyn FnMut(&StartStep),
) -> anyhow::Result<Option<StartOutcome>> {
    let mut child = spawn(&directories.standard_error(), arguments)?;
    let output = child.stdout.take().context("the new process has no output")?;
    let (messages, said) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            if let Ok(message) = serde_json::from_str::<StartMessage>(&line)
                && messages.send(message).is_err()
            {
                break;
            }
        }
    });
    loop {
        match said.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(StartMessage::Doing(activity)) => show(&activity),
            Ok(StartMessage::Ready { first_start }) => {
                let presence = Presence::look(directories, PATIENCE)?;
                let Presence::Serving(_, ready) = presence else {
                    bail!("harbor was ready and ended at once: see `harbor logs`");
                };
                return Ok(Some(StartOutcome { ready, first_start, found: false }));
            }
            Ok(StartMessage::Failed { reason }) => {
                _ = child.wait();
                if Presence::look(directories, Duration::ZERO)? == Presence::Stopped {
                    bail!("{reason}");
                }
                return Ok(None);
            }
            Err(RecvTimeoutError::Disconnected) => bail!("{}", last_words(&mut child, directories)),
            Err(RecvTimeoutError::Timeout) => bail!("{}", not_yet(limit)),
        }
    }
}

fn not_yet(limit: Duration) -> String {
    format!(
        "harbor is still starting after {} seconds: it goes on in the background, `harbor logs -f` shows what it does",
        limit.as_secs()
    )
}

fn spawn(standard_error: &Path, arguments: &[String]) -> anyhow::Result<Child> {
    let program = std::env::current_exe().context("cannot find this program")?;
    let errors = File::options()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(standard_error)
        .with_context(|| format!("cannot write {}", standard_error.display()))?;
    Command::new(&program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(errors)
        .spawn()
        .with_context(|| format!("cannot start {}", program.display()))
}

/// What is known about a process that ended without a word.
fn last_words(child: &mut Child, directories: &Directories) -> String {
    let ended = child.wait().map_or_else(|error| error.to_string(), |status| status.to_string());
    let errors = fs::read_to_string(directories.standard_error()).unwrap_or_default();
    match errors.lines().rev().find(|line| !line.trim().is_empty()) {
        Some(line) => format!("harbor ended while starting ({ended}): {}", line.trim()),
        None => format!("harbor ended while starting ({ended}): see `harbor logs`"),
    }
}
