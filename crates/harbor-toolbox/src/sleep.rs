//! How a sandbox is put to sleep (design D15): everything in it ends but process 1, which begins anew and waits to be
//! configured; harbor then freezes it. A stopped sandbox so leaves nothing that somebody else's clean-up removes.
//!
//! harbor runs `harbor-toolbox --sleep SECONDS` in the sandbox as root, because what `sudo` started is not for process 1 to
//! end. That asks process 1 by a signal of its own, ends all others, and waits until process 1 has begun anew, which its
//! arguments show.

use std::convert::Infallible;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::{Pid, RawPid, Signal, getpid, kill_process};

use crate::process::lives;

/// Asks process 1 to end everything and begin anew.
pub(crate) const SIGNAL: Signal = Signal::USR2;

/// How often the processes are looked at.
const LOOK: Duration = Duration::from_millis(5);

/// How much longer than the others process 1 may take: it gives what it started some seconds of its own.
const PROCESS_ONE: Duration = Duration::from_secs(8);

/// What processes share as memory, and their messages to each other: both end with them.
const SHARED: [&str; 2] = ["/dev/shm", "/dev/mqueue"];

/// Ends every process but process 1 and this one: asked at once, made to after `grace`. Returns when process 1 has begun
/// anew and nothing else is left.
pub(crate) fn put_to_sleep(grace: Duration) -> io::Result<()> {
    let before = fs::read("/proc/1/cmdline")?;
    if !catches(&fs::read_to_string("/proc/1/status")?, SIGNAL) {
        return Err(io::Error::new(io::ErrorKind::Unsupported, "process 1 does not know how to sleep"));
    }
    kill_process(Pid::INIT, SIGNAL)?;
    let asked = Instant::now();
    for process in others()? {
        // a stopped one takes the first only once it goes on; either may have ended
        let _ = kill_process(process, Signal::TERM);
        let _ = kill_process(process, Signal::CONT);
    }
    loop {
        let left = others()?;
        if left.is_empty() && fs::read("/proc/1/cmdline")? != before {
            return SHARED.iter().try_for_each(|directory| clear(Path::new(directory)));
        }
        if asked.elapsed() >= grace {
            for process in left {
                // it may have ended
                let _ = kill_process(process, Signal::KILL);
            }
        }
        if asked.elapsed() >= grace + PROCESS_ONE {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "some processes do not end"));
        }
        std::thread::sleep(LOOK);
    }
}

/// Becomes this program once more, in the same process, which remembers nothing: the newest one, as at every start.
pub(crate) fn begin_anew() -> io::Result<Infallible> {
    let mut arguments = std::env::args_os();
    let program = arguments.next().map(PathBuf::from).filter(|program| program.components().count() > 1);
    let program = program.unwrap_or_else(|| PathBuf::from("/proc/self/exe"));
    let (arguments, times) = without_times(arguments.collect());
    Err(Command::new(program).args(arguments).arg(AGAIN).arg((times + 1).to_string()).exec())
}

/// The argument that tells how often process 1 has begun anew.
const AGAIN: &str = "--again";

/// The other arguments, and how often this process has begun anew.
pub(crate) fn without_times(mut arguments: Vec<OsString>) -> (Vec<OsString>, u64) {
    let number = |text: &OsString| text.to_str()?.parse().ok();
    match arguments.as_slice() {
        [.., name, times] if name == AGAIN => {
            let times = number(times).unwrap_or(0);
            arguments.truncate(arguments.len() - 2);
            (arguments, times)
        }
        _ => (arguments, 0),
    }
}

/// Whether a process of this `/proc/PID/status` does something of its own at this signal.
fn catches(status: &str, signal: Signal) -> bool {
    let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
    let caught = caught.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    caught & (1 << (signal.as_raw() - 1)) != 0
}

/// Every process but process 1 and this one that has not ended.
fn others() -> io::Result<Vec<Pid>> {
    let own = getpid().as_raw_nonzero().get();
    let mut others = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let Some(pid) = entry?.file_name().to_str().and_then(|name| name.parse::<RawPid>().ok()) else { continue };
        if pid != 1 && pid != own && lives(pid) {
            others.extend(Pid::from_raw(pid));
        }
    }
    Ok(others)
}

/// Removes everything in a directory. Nothing runs that could change it meanwhile.
fn clear(directory: &Path) -> io::Result<()> {
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            fs::remove_dir_all(entry.path())?;
        } else {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mask_tells_what_is_caught() {
        let status = |mask: &str| format!("Name:\tx\nSigCgt:\t{mask}\nCapInh:\t0\n");
        assert!(catches(&status("0000000000000800"), Signal::USR2));
        assert!(!catches(&status("0000000000000400"), Signal::USR2) && !catches("Name: x", Signal::USR2));
    }

    #[test]
    fn times_are_counted_behind_the_arguments() {
        let words =
            |text: &str| text.split(' ').filter(|word| !word.is_empty()).map(OsString::from).collect::<Vec<_>>();
        assert_eq!(without_times(words("")), (words(""), 0));
        assert_eq!(without_times(words("--listen 127.0.0.1:1")), (words("--listen 127.0.0.1:1"), 0));
        assert_eq!(without_times(words("--listen 127.0.0.1:1 --again 7")), (words("--listen 127.0.0.1:1"), 7));
        assert_eq!(without_times(words("--again x")), (words(""), 0));
    }

    #[test]
    fn shared_memory_is_emptied_and_links_are_not_followed() {
        let (shared, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::write(outside.path().join("kept"), "x").unwrap();
        fs::create_dir_all(shared.path().join("a/b")).unwrap();
        fs::write(shared.path().join("a/b/file"), "x").unwrap();
        std::os::unix::fs::symlink(outside.path(), shared.path().join("link")).unwrap();
        clear(shared.path()).unwrap();
        assert_eq!(fs::read_dir(shared.path()).unwrap().count(), 0);
        assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 1);
        clear(Path::new("/nonexistent/shm")).unwrap();
    }
}
