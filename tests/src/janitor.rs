//! Removes what a harbor of a test leaves, whatever becomes of the test.
//!
//! A shell waits on a pipe that only the test process holds open. It cleans up when the pipe closes: because the fixture
//! was dropped (which waits for it), or because the process died.

use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// `$1` is the directory of a test; each directory in it with a `lock` or an `instance` is a harbor's.
const SCRIPT: &str = r#"
cat >/dev/null
for lock in "$1"/*/lock; do
  # the id in it is believed only while somebody holds the lock
  [ -s "$lock" ] && ! flock --nonblock "$lock" true && kill -9 "$(cat "$lock")" && flock --timeout 5 "$lock" true
done
labels=$(for instance in "$1"/*/instance; do [ -s "$instance" ] && echo "label=harbor.instance=$(cat "$instance")"; done)
sweep() {
  for label in $labels; do
    docker ps --all --quiet --no-trunc --filter "$label" | xargs --no-run-if-empty docker rm --force --volumes
    docker volume ls --quiet --filter "$label" | xargs --no-run-if-empty docker volume rm --force
    docker network ls --quiet --filter "$label" | xargs --no-run-if-empty docker network rm
    docker image ls --quiet --filter "label=harbor.built-by=${label##*=}" | xargs --no-run-if-empty docker rmi --force
  done
}
sweep
# what the engine was asked for right before a kill is made after it; nobody waits for this
{ sleep 3; sweep; } &
for place in "$1"/*; do
  mountpoint --quiet "$place" && { umount --lazy "$place" || sudo --non-interactive umount --lazy "$place"; }
done
rm -rf "$1"
"#;

/// Owns a directory under which any number of harbors may run.
#[derive(Debug)]
pub(crate) struct Janitor {
    place: PathBuf,
    shell: Child,
}

impl Janitor {
    /// A new directory, and somebody who will remove it.
    pub(crate) fn new() -> Self {
        let place =
            tempfile::Builder::new().prefix("harbor-platform.").tempdir().expect("a temporary directory").keep();
        let shell = Command::new("sh")
            .args(["-c", SCRIPT, "janitor"])
            .arg(&place)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0) // Ctrl-C ends the tests, not this
            .spawn()
            .expect("sh starts");
        Self { place, shell }
    }

    /// The directory.
    pub(crate) fn place(&self) -> &Path {
        &self.place
    }
}

impl Drop for Janitor {
    fn drop(&mut self) {
        drop(self.shell.stdin.take());
        let _ended = self.shell.wait();
    }
}
