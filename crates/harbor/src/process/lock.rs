//! One harbor per data directory.
//!
//! Guarantees: the lock is the kernel's (flock), so it ends with the process however that ends; the file's content,
//! the process id, is only for messages and signals and is believed only while the lock is held.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Seek as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use rustix::process::Pid;

/// How long a start waits for a lock: somebody who only asks holds it for microseconds.
const PATIENCE: Duration = Duration::from_millis(200);

/// The lock, held until dropped.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the lock; when another process has it, the error names that process.
    pub(crate) fn take(path: &Path) -> anyhow::Result<Self> {
        let mut file = open(path)?;
        let deadline = Instant::now() + PATIENCE;
        loop {
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => break,
                Err(Errno::WOULDBLOCK) if Instant::now() < deadline => thread::sleep(Duration::from_millis(10)),
                Err(Errno::WOULDBLOCK) => {
                    let holder =
                        written(&mut file).map_or_else(|| "another process".to_owned(), |pid| format!("process {pid}"));
                    let directory = path.parent().unwrap_or(path).display();
                    bail!("harbor is already running on {directory} ({holder}): `harbor down` stops it");
                }
                Err(error) => return Err(error).with_context(|| format!("cannot lock {}", path.display())),
            }
        }
        file.set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| writeln!(file, "{}", std::process::id()))
            .with_context(|| format!("cannot write {}", path.display()))?;
        Ok(Self { _file: file })
    }
}

/// Who holds the lock at `path`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Holder {
    /// Nobody.
    Nobody,
    /// The process with this id; `None` in the instant before it has written it.
    Process(Option<Pid>),
}

/// Asks who holds the lock, without making anything.
pub(crate) fn holder(path: &Path) -> anyhow::Result<Holder> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Holder::Nobody),
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
    };
    match flock(&file, FlockOperation::NonBlockingLockShared) {
        Ok(()) => Ok(Holder::Nobody),
        Err(Errno::WOULDBLOCK) => Ok(Holder::Process(written(&mut file).and_then(Pid::from_raw))),
        Err(error) => Err(error).with_context(|| format!("cannot ask for the lock {}", path.display())),
    }
}

fn open(path: &Path) -> anyhow::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(0o600);
    options.open(path).with_context(|| format!("cannot open {}", path.display()))
}

fn written(file: &mut File) -> Option<i32> {
    let mut text = String::new();
    file.rewind().ok()?;
    file.read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_is_told_who_was_first() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("lock");
        assert_eq!(holder(&path).unwrap(), Holder::Nobody);
        let first = Lock::take(&path).unwrap();
        let refusal = Lock::take(&path).unwrap_err().to_string();
        assert!(refusal.contains(&format!("process {}", std::process::id())), "{refusal}");
        assert!(matches!(holder(&path).unwrap(), Holder::Process(Some(_))));
        drop(first);
        assert_eq!(holder(&path).unwrap(), Holder::Nobody);
        Lock::take(&path).unwrap();
    }

    #[test]
    fn asking_does_not_get_in_the_way_of_a_start() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("lock");
        drop(Lock::take(&path).unwrap());
        let asker = File::open(&path).unwrap();
        flock(&asker, FlockOperation::NonBlockingLockShared).unwrap();
        thread::scope(|scope| {
            scope.spawn(|| {
                thread::sleep(Duration::from_millis(50));
                drop(asker);
            });
            Lock::take(&path).unwrap();
        });
    }
}
