//! A toolbox as a real process: how it is started, where it listens, what the machine tells of it, and that it is gone
//! with its test.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// The toolbox that cargo built for these tests.
pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_harbor-toolbox");

/// A running toolbox; killed when dropped, which must come before its home directory is removed.
pub(crate) struct Process {
    pub(crate) child: Child,
    /// Where it listens, as it announced.
    pub(crate) address: SocketAddr,
}

/// A command that starts a toolbox by this line: on a free port, with this home and work directory, and with nothing
/// else in its environment but the PATH of the test.
pub(crate) fn command(line: &[&str], home: &Path) -> Command {
    let mut command = Command::new(line[0]);
    command.args(&line[1..]).args(["--listen", "127.0.0.1:0"]).current_dir(home);
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap()).env("HOME", home);
    command
}

impl Process {
    /// Runs a [`command`] and waits until it listens.
    pub(crate) fn start(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut announcement = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut announcement).unwrap();
        let address = announcement.split_whitespace().last().unwrap().parse().unwrap();
        Self { child, address }
    }

    /// A number of `/proc/PID/status`; of memory in KiB.
    pub(crate) fn status(&self, name: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let value = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).unwrap();
        value.split_whitespace().next().unwrap().parse().unwrap()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The process of this directory of `/proc`, if it is a child of `parent`: its number and state letter.
pub(super) fn child_of(parent: u32, directory: &Path) -> Option<(u32, char)> {
    let pid = directory.file_name()?.to_str()?.parse().ok()?;
    let stat = std::fs::read_to_string(directory.join("stat")).ok()?;
    let mut fields = stat[stat.rfind(')')? + 2..].split(' ');
    let state = fields.next()?.chars().next()?;
    (fields.next()?.parse() == Ok(parent)).then_some((pid, state))
}
