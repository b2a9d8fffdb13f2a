//! A pseudo-terminal with a program on it.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use rustix::fs::OFlags;
use rustix::pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::process::{Child, Processes};

/// Columns and rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Size {
    pub(crate) cols: u16,
    pub(crate) rows: u16,
}

/// This side of a terminal.
pub(crate) struct Terminal {
    master: AsyncFd<File>,
}

impl Terminal {
    /// Starts `command` as the leader of a session whose controlling terminal is a new one.
    pub(crate) fn start(processes: &Processes, mut command: Command, size: Size) -> io::Result<(Self, Child)> {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
        grantpt(&master)?;
        unlockpt(&master)?;
        let slave = other_side(&master)?;
        rustix::io::ioctl_fionbio(&master, true)?;
        let terminal = Self { master: watched(File::from(master))? };
        terminal.resize(size)?;
        command.stdin(slave.try_clone()?).stdout(slave.try_clone()?).stderr(slave);
        take_terminal(&mut command);
        let child = processes.start_leader(&mut command)?;
        Ok((terminal, child))
    }

    /// Tells the program the new size; the kernel sends it SIGWINCH.
    pub(crate) fn resize(&self, Size { cols, rows }: Size) -> io::Result<()> {
        let size = Winsize { ws_col: cols, ws_row: rows, ws_xpixel: 0, ws_ypixel: 0 };
        Ok(tcsetwinsize(self.master.get_ref(), size)?)
    }

    /// Reads what programs have written; 0 or an error once none has the terminal any more.
    pub(crate) async fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.when_ready(Interest::READABLE, |mut master| master.read(buffer)).await
    }

    /// The same without waiting.
    pub(crate) fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.master.get_ref().read(buffer)
    }

    /// Types `text`, as fast as programs take it.
    pub(crate) async fn write_all(&self, mut text: &[u8]) -> io::Result<()> {
        while !text.is_empty() {
            text = &text[self.write(text).await?..];
        }
        Ok(())
    }

    /// Types as much of `text` as programs take at once. Dropping the future types nothing.
    pub(crate) async fn write(&self, text: &[u8]) -> io::Result<usize> {
        self.when_ready(Interest::WRITABLE, |mut master| master.write(text)).await
    }

    /// Does `action` once it can be done. A terminal that no program has open is for ever ready and never takes input.
    async fn when_ready<T>(&self, interest: Interest, mut action: impl FnMut(&File) -> io::Result<T>) -> io::Result<T> {
        loop {
            let mut guard = self.master.ready(interest).await?;
            let closed = guard.ready().is_read_closed() || guard.ready().is_write_closed();
            match action(self.master.get_ref()) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock && !closed => guard.clear_ready(),
                result => return result,
            }
        }
    }
}

/// Lets the runtime tell when the terminal can be read or written.
#[expect(unsafe_code, reason = "the runtime must be promised that the descriptor stays open")]
fn watched(master: File) -> io::Result<AsyncFd<File>> {
    // SAFETY: a file owns its descriptor, always the same one, and closes it only when dropped.
    let registered = unsafe { AsyncFd::register_with_interest(master, Interest::READABLE | Interest::WRITABLE) };
    Ok(registered?)
}

/// The side for programs. Asked of the terminal itself, it needs no `/dev/pts`; older kernels only know its name.
fn other_side(master: &OwnedFd) -> io::Result<OwnedFd> {
    if let Ok(slave) = ioctl_tiocgptpeer(master, OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC) {
        return Ok(slave);
    }
    let name = ptsname(master, Vec::new())?;
    Ok(rustix::fs::open(name, OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC, rustix::fs::Mode::empty())?)
}

/// Makes the terminal on the standard input of `command` its controlling one.
#[expect(unsafe_code, reason = "only the child itself can leave its session and take a terminal")]
fn take_terminal(command: &mut Command) {
    let take = || {
        // SAFETY: both are plain system calls on integers, allowed between fork and exec.
        let taken = unsafe { libc::setsid() != -1 && libc::ioctl(0, libc::TIOCSCTTY, 0) != -1 };
        if taken { Ok(()) } else { Err(io::Error::last_os_error()) }
    };
    // SAFETY: `take` allocates nothing and takes no lock.
    unsafe { command.pre_exec(take) };
}
