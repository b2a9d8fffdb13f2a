//! Starting harbor in the background and waiting until it is ready.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};

use super::announce::Word;
use super::progress::Doing;
use super::state::{Phase, Ready, Running, State};
use crate::config::directories::Directories;

/// How often the state of a harbor that somebody else started is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// How a start ended well.
#[derive(Debug)]
pub(crate) struct Started {
    /// What serves.
    pub(crate) ready: Ready,
    /// Whether keys were generated just now.
    pub(crate) first_start: bool,
}

/// Starts `harbor` with `arguments` and waits at most `limit` until it is ready; `show` is told what it is doing.
pub(crate) fn start(
    directories: &Directories,
    arguments: &[String],
    limit: Duration,
    show: &mut dyn FnMut(&Doing),
) -> anyhow::Result<Started> {
    let deadline = Instant::now() + limit;
    let mut child = spawn(&directories.standard_error(), arguments)?;
    let output = child.stdout.take().context("the new process has no output")?;
    let (words, said) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            if let Ok(word) = serde_json::from_str::<Word>(&line)
                && words.send(word).is_err()
            {
                break;
            }
        }
    });
    loop {
        match said.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(Word::Doing(doing)) => show(&doing),
            Ok(Word::Ready { first_start }) => {
                let running = Running::find(directories)?;
                let ready =
                    running.ready().context("harbor was ready and ended at once: see `harbor logs --no-follow`")?;
                return Ok(Started { ready: ready.clone(), first_start });
            }
            Ok(Word::Failed { reason }) => {
                _ = child.wait();
                if Running::find(directories)? != Running::No {
                    // somebody else started it at the same time: theirs is as good as ours
                    return wait(directories, deadline.saturating_duration_since(Instant::now()), show);
                }
                bail!("{reason}");
            }
            Err(RecvTimeoutError::Disconnected) => bail!("{}", last_words(&mut child, directories)),
            Err(RecvTimeoutError::Timeout) => bail!("{}", not_yet(limit)),
        }
    }
}

/// Waits at most `limit` until the harbor that is already running is ready.
pub(crate) fn wait(
    directories: &Directories,
    limit: Duration,
    show: &mut dyn FnMut(&Doing),
) -> anyhow::Result<Started> {
    let deadline = Instant::now() + limit;
    let mut shown = None;
    loop {
        let running = Running::find(directories)?;
        if let Some(ready) = running.ready() {
            return Ok(Started { ready: ready.clone(), first_start: false });
        }
        match running {
            Running::No => bail!("the harbor that was starting here ended: see `harbor logs --no-follow`"),
            Running::Yes { state: Some(State { phase: Phase::Stopping, .. }) } => {
                bail!("harbor is stopping: try again in a moment")
            }
            Running::Yes { state: Some(State { phase: Phase::Starting(doing), .. }) }
                if shown.as_ref() != Some(&doing) =>
            {
                show(&doing);
                shown = Some(doing);
            }
            Running::Yes { .. } => {}
        }
        if Instant::now() >= deadline {
            bail!("{}", not_yet(limit));
        }
        thread::sleep(LOOK_EVERY);
    }
}

fn not_yet(limit: Duration) -> String {
    format!(
        "harbor is still starting after {} seconds: it goes on in the background, `harbor logs` shows what it does",
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
        None => format!("harbor ended while starting ({ended}): see `harbor logs --no-follow`"),
    }
}
