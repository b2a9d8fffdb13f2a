//! The shell of a session, and how it is told to run a command (contract, toolbox §8.1).
//!
//! It reads its orders from its standard input. A command is a file that it sources with the command's own streams;
//! on the line behind, it writes the exit code to its own standard output, which no command ever sees: while one
//! runs, the shell keeps it out of the way by itself. So it has no helper jobs and no variables of ours, a bare `wait`
//! waits for nothing of ours, and the line behind is reached even where an error ends the line before.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::process::Stdio;

use rustix::pipe::{PipeFlags, pipe_with};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::unix::pipe::{Receiver, Sender};

use super::command::Command;
use crate::context::Context;
use crate::process::command::{self, Variables};
use crate::process::{Child, Group, default_shell, quote};

/// Most bytes of a line that may be an exit code.
const LINE: usize = 4 << 10;

/// A running shell.
pub(super) struct Shell {
    pub(super) child: Child,
    orders: Sender,
    answers: Receiver,
    /// Read, but not yet a whole line.
    unread: Vec<u8>,
    dialect: Dialect,
}

/// What shells do not have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Dialect {
    Zsh,
    Bash,
    /// dash, `BusyBox`' ash and their kin.
    Posix,
}

/// What a shell did with an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The command's exit code.
    Done(i32),
    /// The shell has ended, with this code.
    Ended(i32),
}

impl Shell {
    /// Starts the sandbox's shell in `directory`.
    pub(super) fn start(context: &Context, directory: &Path) -> io::Result<Self> {
        let (program, dialect) = known(default_shell(context.variable("SHELL").as_deref()));
        let environment = context.environment();
        let mut command = command::command(&program, &environment, &Variables::new(), directory);
        let (stdin, orders) = pipe_with(PipeFlags::CLOEXEC)?;
        let (answers, stdout) = pipe_with(PipeFlags::CLOEXEC)?;
        command.stdin(stdin).stdout(stdout).stderr(Stdio::null());
        let child = context.processes().start(&mut command)?;
        let nonblocking = |pipe: OwnedFd| rustix::io::ioctl_fionbio(&pipe, true).map(|()| pipe);
        let orders = Sender::from_owned_fd_unchecked(nonblocking(orders)?)?;
        let answers = Receiver::from_owned_fd_unchecked(nonblocking(answers)?)?;
        Ok(Self { child, orders, answers, unread: Vec::new(), dialect })
    }

    /// The process group it leads.
    pub(super) fn group(&self) -> &Group {
        self.child.group()
    }

    /// Runs a command until its last line.
    pub(super) async fn run(&mut self, command: &Command) -> Outcome {
        let order = self.dialect.order(&command.directory, &command.id, command.has_input());
        // A shell that no longer reads has ended, or will: both show below.
        let _ = self.orders.write_all(order.as_bytes()).await;
        let answered = tokio::select! {
            biased;
            code = exit_code(&mut self.answers, &mut self.unread, &command.id) => code,
            code = self.child.wait_as_shell() => return Outcome::Ended(code),
        };
        match answered {
            Some(code) => Outcome::Done(code),
            None => Outcome::Ended(self.child.wait_as_shell().await),
        }
    }
}

/// Reads until the line with the exit code of `id`; none at the end of the stream. Other lines are what traps and
/// traces of the user's write there: nothing.
async fn exit_code(answers: &mut Receiver, unread: &mut Vec<u8>, id: &str) -> Option<i32> {
    loop {
        while let Some(end) = memchr::memchr(b'\n', unread) {
            let code = parse(&unread[..end], id);
            unread.drain(..=end);
            if code.is_some() {
                return code;
            }
        }
        if unread.len() > LINE {
            unread.clear();
        }
        match answers.read_buf(unread).await {
            Ok(1..) => {}
            _ => return None,
        }
    }
}

fn parse(line: &[u8], id: &str) -> Option<i32> {
    let code = line.strip_prefix(id.as_bytes())?.strip_prefix(b" ")?;
    std::str::from_utf8(code).ok()?.parse().ok()
}

/// The shell to use for `shell`, and how to speak to it. One with another language gives way to `sh`.
fn known(shell: OsString) -> (OsString, Dialect) {
    let name = Path::new(&shell).file_name().map(OsStr::as_bytes).unwrap_or_default();
    match name {
        b"zsh" => (shell, Dialect::Zsh),
        b"bash" => (shell, Dialect::Bash),
        b"sh" | b"dash" | b"ash" | b"ksh" | b"mksh" => (shell, Dialect::Posix),
        _ => ("sh".into(), Dialect::Posix),
    }
}

impl Dialect {
    /// The lines that run the command in `directory`.
    fn order(self, directory: &Path, id: &str, input: bool) -> String {
        let file = |name: &str| quote(&directory.join(name).to_string_lossy());
        // The prefix gets past functions of the user's with these names, and keeps an error in the command from
        // ending the shell.
        let prefix = match self {
            Self::Zsh => "builtin",
            Self::Bash => "builtin command",
            Self::Posix => "command",
        };
        let stdin = if input { file(Command::INPUT) } else { "/dev/null".to_owned() };
        let [stdout, stderr] = Command::OUTPUTS.map(file);
        let script = file(Command::SCRIPT);
        format!("{{ {prefix} . {script}; }} <{stdin} >{stdout} 2>{stderr}\n{prefix} echo \"\n{id} $?\"\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_whole_line_is_an_exit_code() {
        for (line, code) in [
            ("id 0", Some(0)),
            ("id 255", Some(255)),
            ("id 0'", None),
            ("id", None),
            ("other 0", None),
            (" id 0", None),
            ("id 1 2", None),
            ("", None),
        ] {
            assert_eq!(parse(line.as_bytes(), "id"), code, "{line}");
        }
    }

    #[test]
    fn a_foreign_shell_gives_way() {
        assert_eq!(known("/usr/bin/zsh".into()), ("/usr/bin/zsh".into(), Dialect::Zsh));
        assert_eq!(known("/bin/bash".into()), ("/bin/bash".into(), Dialect::Bash));
        assert_eq!(known("/usr/bin/fish".into()), ("sh".into(), Dialect::Posix));
    }

    #[test]
    fn an_order_survives_any_directory_name() {
        let order = Dialect::Posix.order(Path::new("/h/it's"), "id", true);
        let expected =
            r"{ command . '/h/it'\''s/command'; } <'/h/it'\''s/stdin' >'/h/it'\''s/stdout' 2>'/h/it'\''s/stderr'";
        assert_eq!(order.lines().next(), Some(expected));
    }
}
