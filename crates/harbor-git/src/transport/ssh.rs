//! Git's protocol through a program that connects: the image's `ssh`, or what `GIT_SSH_COMMAND` or `core.sshCommand`
//! name. Keys, known hosts and settings are that program's business, and so is what it says when it fails.

use std::io::{self, Read, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use git2::transport::{Service, SmartSubtransport, SmartSubtransportStream, Transport};
use git2::{Error, Remote};

use super::address::Address;

/// What libgit2 calls for an address of ssh.
pub(super) fn transport(remote: &Remote<'_>) -> Result<Transport, Error> {
    Transport::smart(remote, false, Ssh)
}

struct Ssh;

impl SmartSubtransport for Ssh {
    fn action(&self, url: &str, action: Service) -> Result<Box<dyn SmartSubtransportStream>, Error> {
        let service = match action {
            Service::UploadPackLs | Service::UploadPack => "git-upload-pack",
            Service::ReceivePackLs | Service::ReceivePack => "git-receive-pack",
        };
        let address = Address::parse_ssh(url).ok_or_else(|| fatal(&format!("malformed address '{url}'")))?;
        let (host, port) = address.host_and_port();
        let to = address.username.as_ref().map_or_else(|| host.to_owned(), |user| format!("{user}@{host}"));
        if host.is_empty() || to.starts_with('-') {
            return Err(fatal(&format!("strange hostname '{to}' blocked")));
        }
        let mut command = program();
        if let Some(port) = port {
            command.args(["-p", port]);
        }
        command.arg(to).arg(format!("{service} {}", quoted(&address.path)));
        let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut child = child.map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => {
                fatal("unable to connect: this image has no ssh; install it (openssh-client), or use https")
            }
            _ => fatal(&format!("unable to connect: cannot start ssh: {error}")),
        })?;
        let (input, output) = (child.stdin.take(), child.stdout.take());
        Ok(Box::new(Connection { child, input, output }))
    }

    fn close(&self) -> Result<(), Error> {
        Ok(())
    }
}

/// What is started: a shell's command line of the settings, or `ssh`.
fn program() -> Command {
    let set = std::env::var("GIT_SSH_COMMAND").ok();
    let set = set.or_else(|| crate::config::everywhere().ok()?.get_string("core.sshCommand").ok());
    match set.filter(|line| !line.trim().is_empty()) {
        Some(line) => {
            let mut command = Command::new("sh");
            command.args(["-c", &format!("{line} \"$@\""), "ssh"]);
            command
        }
        None => Command::new(std::env::var_os("GIT_SSH").unwrap_or_else(|| "ssh".into())),
    }
}

/// A word for the shell at the other end.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''").replace('!', r"'\!'"))
}

fn fatal(reason: &str) -> Error {
    Error::from_str(&format!("fatal: {reason}"))
}

/// The running program. It ends when its input does.
struct Connection {
    child: Child,
    input: Option<ChildStdin>,
    output: Option<ChildStdout>,
}

impl Read for Connection {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.output.as_mut().map_or(Ok(0), |output| output.read(buffer))?;
        if read == 0 && !buffer.is_empty() {
            // It has said why on standard error, which is ours.
            return Err(io::Error::other("fatal: Could not read from remote repository."));
        }
        Ok(read)
    }
}

impl Write for Connection {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let input = self.input.as_mut().ok_or(io::ErrorKind::BrokenPipe)?;
        input.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.input.as_mut().map_or(Ok(()), ChildStdin::flush)
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        drop(self.input.take());
        drop(self.output.take());
        // It may be waiting for something else.
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn words_reach_the_other_shell_whole() {
        assert_eq!(quoted("a b"), "'a b'");
        assert_eq!(quoted("it's!"), r"'it'\''s'\!''");
    }
}
