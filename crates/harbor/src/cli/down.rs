//! `harbor down`

use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use rustix::io::Errno;
use rustix::process::{Signal, kill_process};

use super::arguments::Down;
use super::note_foreign;
use crate::components::HANDLE;
use crate::config::directories::Directories;
use crate::process::lock::{self, Holder};
use crate::process::presence::LOOK_EVERY;
use crate::screen;

pub(super) fn run(directories: &Directories, options: &Down) -> anyhow::Result<ExitCode> {
    if let Some(named) = options.handles.first()
        && !options.handles.iter().any(|handle| handle == HANDLE)
    {
        bail!("{named} is not something to stop alone: `harbor down` stops all of it");
    }
    note_foreign(&options.handles);
    let path = directories.lock();
    let deadline = Instant::now() + Duration::from_secs(options.wait);
    let pid = loop {
        match lock::holder(&path)? {
            Holder::Nobody => {
                screen::line("harbor is not running")?;
                return Ok(ExitCode::SUCCESS);
            }
            Holder::Process(Some(pid)) => break pid,
            // it has taken the lock and not written its id yet
            Holder::Process(None) if Instant::now() < deadline => thread::sleep(LOOK_EVERY),
            Holder::Process(None) => bail!("harbor is just starting: try again in a moment"),
        }
    };
    match kill_process(pid, Signal::TERM) {
        Ok(()) | Err(Errno::SRCH) => {}
        Err(error) => {
            return Err(error).with_context(|| format!("cannot stop process {}", pid.as_raw_nonzero()));
        }
    }
    while lock::holder(&path)? == Holder::Process(Some(pid)) {
        if Instant::now() >= deadline {
            bail!(
                "process {} was told to stop and is still finishing requests: `harbor logs` shows what it does",
                pid.as_raw_nonzero()
            );
        }
        thread::sleep(LOOK_EVERY);
    }
    screen::line("harbor has stopped; sandboxes are left as they are and taken over at the next `harbor up`")?;
    Ok(ExitCode::SUCCESS)
}
