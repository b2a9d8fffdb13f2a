//! The shell of a session, and how it is told to run a command (contract, toolbox §8.1).
//!
//! It reads its orders from its standard input. A command is a file that it sources with the command's own streams;
//! on the line behind, it writes the exit code to its own standard output, which no command ever sees: while one
//! runs, the shell keeps it out of the way by itself. So it has no helper jobs and no variables of ours, a bare `wait`
//! waits for nothing of ours, and the line behind is reached even where an error ends the line before.
//!
//! A command may take away what that line is written with. So the same line makes a file whose name is the exit code,
//! by a redirection, which needs no builtin. A shell that does neither and waits for its next order is given up, and so
//! is one that did not read its command.

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use rustix::pipe::{PipeFlags, pipe_with};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::unix::pipe::{Receiver, Sender};
use tokio::time::{MissedTickBehavior, interval};

use super::command::Command;
use super::signs::Signs;
use crate::context::Context;
use crate::process::command::Variables;
use crate::process::{self, Child, Dialect, Group, quote};

/// Most bytes of a line that may be an exit code.
const LINE: usize = 4 << 10;

/// How often a shell that says nothing is looked at.
const LOOK: Duration = Duration::from_millis(200);

/// After so many looks that find it waiting for its next order, it will say nothing any more.
const PATIENCE: u32 = 5;

/// A running shell.
pub(super) struct Shell {
    pub(super) child: Child,
    orders: Sender,
    answers: Receiver,
    /// Read, but not yet a whole line.
    unread: Vec<u8>,
    dialect: Dialect,
    /// Where there is room for them.
    signs: Option<Signs>,
    /// The file system tells whether a command has been read.
    reading_is_told: bool,
}

/// What a shell did with an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The command's exit code.
    Done(i32),
    /// The shell has ended, with this code.
    Ended(i32),
    /// The shell says nothing any more; how the command ended is not known.
    Silent,
    /// The shell has not read the command.
    Unread,
}

impl Shell {
    /// Starts the sandbox's shell in `directory`.
    pub(super) fn start(context: &Context, directory: &Path) -> io::Result<Self> {
        let environment = context.environment();
        let shell = process::Shell::of_the_family(&environment);
        let process::Prepared { mut command, preamble } = shell.prepare(&environment, &Variables::new(), directory);
        let (stdin, orders) = pipe_with(PipeFlags::CLOEXEC)?;
        let (answers, stdout) = pipe_with(PipeFlags::CLOEXEC)?;
        command.stdin(stdin).stdout(stdout).stderr(Stdio::null());
        let child = context.processes().start(&mut command)?;
        // It fits into the empty pipe.
        rustix::io::write(&orders, preamble.as_bytes())?;
        let nonblocking = |pipe: OwnedFd| rustix::io::ioctl_fionbio(&pipe, true).map(|()| pipe);
        let orders = Sender::from_owned_fd_unchecked(nonblocking(orders)?)?;
        let answers = Receiver::from_owned_fd_unchecked(nonblocking(answers)?)?;
        let (signs, dialect) = (Signs::create(), shell.dialect);
        Ok(Self { child, orders, answers, unread: Vec::new(), dialect, signs, reading_is_told: false })
    }

    /// The process group it leads.
    pub(super) fn group(&self) -> &Group {
        self.child.group()
    }

    /// Runs a command until its last line.
    pub(super) async fn run(&mut self, command: &Command) -> Outcome {
        let order = self.order(command);
        // A shell that no longer reads has ended, or will: both show below.
        let _ = self.orders.write_all(order.as_bytes()).await;
        let outcome = self.answer(&command.id).await;
        match (outcome, command.has_been_read()) {
            (Outcome::Done(_), Some(false)) if self.reading_is_told => Outcome::Unread,
            (outcome, read) => {
                self.reading_is_told |= read == Some(true);
                outcome
            }
        }
    }

    async fn answer(&mut self, id: &str) -> Outcome {
        let mut looks = interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        looks.reset();
        let mut waiting = 0;
        loop {
            let answered = tokio::select! {
                biased;
                code = exit_code(&mut self.answers, &mut self.unread, id) => code,
                code = self.child.wait_as_shell() => return Outcome::Ended(code),
                _ = looks.tick() => {
                    if let Some(code) = self.signs.as_ref().and_then(Signs::take) {
                        return Outcome::Done(code);
                    }
                    waiting = if self.waits_for_an_order() { waiting + 1 } else { 0 };
                    if waiting >= PATIENCE {
                        return Outcome::Silent;
                    }
                    continue;
                }
            };
            return match answered {
                Some(code) => {
                    self.signs.iter().for_each(|signs| signs.remove(code));
                    Outcome::Done(code)
                }
                None => Outcome::Ended(self.child.wait_as_shell().await),
            };
        }
    }

    /// Whether the shell reads its orders at this moment, and there are none: the last one is done. Not every kernel tells.
    fn waits_for_an_order(&self) -> bool {
        let nothing_to_read = rustix::io::ioctl_fionread(&self.orders).is_ok_and(|unread| unread == 0);
        let process = format!("/proc/{}", self.group().pid().as_raw_nonzero());
        let reads = || {
            let call = std::fs::read_to_string(format!("{process}/syscall"));
            call.is_ok_and(|call| call.starts_with(&format!("{} 0x0 ", libc::SYS_read)))
        };
        // A command of its own that reads has another standard input.
        let orders = || rustix::fs::fstat(&self.orders).ok().map(|pipe| format!("pipe:[{}]", pipe.st_ino));
        let input = || std::fs::read_link(format!("{process}/fd/0")).ok();
        nothing_to_read && reads() && input().zip(orders()).is_some_and(|(input, orders)| input == Path::new(&orders))
    }

    /// The lines that run a command.
    fn order(&self, command: &Command) -> String {
        let signs = self.signs.as_ref().map(|signs| quote(&signs.directory().to_string_lossy()));
        self.dialect.order(&command.directory, &command.id, command.has_input(), signs.as_deref())
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

impl Dialect {
    /// The lines that run the command in `directory`; `signs` is where a file is made whose name is the exit code.
    ///
    /// Where that fails the exit code is lost to the line that it stands in, and the next one tells that failure.
    fn order(self, directory: &Path, id: &str, input: bool, signs: Option<&str>) -> String {
        let file = |name: &str| quote(&directory.join(name).to_string_lossy());
        // The prefix gets past functions and aliases of the user's with these names, and keeps an error in the command
        // from ending the shell.
        let prefix = match self {
            Self::Zsh => "\\builtin",
            Self::Bash => "\\builtin command",
            Self::Posix | Self::Foreign => "\\command",
        };
        let stdin = if input { file(Command::INPUT) } else { "/dev/null".to_owned() };
        let [stdout, stderr] = Command::OUTPUTS.map(file);
        let script = file(Command::SCRIPT);
        let tell = format!("{prefix} echo \"\n{id} $?\"");
        let sign = signs.map(|signs| format!("{{ {tell}; }} 2>|{signs}/\"$?\"\n")).unwrap_or_default();
        format!("{{ {prefix} . {script}; }} <{stdin} >{stdout} 2>{stderr}\n{sign}{tell}\n")
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
    fn an_order_survives_any_directory_name() {
        let order = Dialect::Posix.order(Path::new("/h/it's"), "id", true, Some("'/s'"));
        let expected =
            r"{ \command . '/h/it'\''s/command'; } <'/h/it'\''s/stdin' >'/h/it'\''s/stdout' 2>'/h/it'\''s/stderr'";
        assert_eq!(order.lines().next(), Some(expected));
    }
}
