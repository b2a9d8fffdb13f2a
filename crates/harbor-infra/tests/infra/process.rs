//! Starting, ending and measuring the process; and how it starts and ends.

use std::io::Read;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use harbor_protocol::infra::{PROTOCOL, Reply, Request, SOCKET};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::client::Client;

/// A running infra; killed when dropped.
pub(crate) struct Infra {
    child: Child,
    directory: TempDir,
    stream_port: u16,
}

impl Infra {
    /// With the passing form alone.
    pub(crate) fn start() -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), None, 4096)
    }

    /// With both forms.
    pub(crate) fn start_streaming(token: &str) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), Some(token), 4096)
    }

    /// In a directory, with at most so many open files; returns when it answers.
    pub(crate) fn start_in(directory: TempDir, token: Option<&str>, descriptors: usize) -> Self {
        if let Some(token) = token {
            std::fs::write(directory.path().join("token"), token).unwrap();
        }
        let stream_port = free_port();
        let child = command(directory.path(), stream_port, descriptors).spawn().unwrap();
        let infra = Self { child, directory, stream_port };
        let deadline = Instant::now() + Duration::from_secs(5);
        while Client::connect(infra.directory()).is_err() {
            assert!(Instant::now() < deadline, "infra does not answer");
            std::thread::sleep(Duration::from_millis(2));
        }
        infra
    }

    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }

    pub(crate) fn client(&self) -> Client {
        Client::connect(self.directory()).unwrap()
    }

    pub(crate) fn stream_address(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.stream_port))
    }

    /// Processor time used so far, in ticks of 10 ms.
    pub(crate) fn processor_ticks(&self) -> u64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        let fields: Vec<_> = stat.rsplit(") ").next().unwrap().split(' ').collect();
        fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
    }

    /// Sends a signal and waits for the end.
    fn end(mut self, signal: Signal) -> (ExitStatus, Duration) {
        let begun = Instant::now();
        kill_process(Pid::from_child(&self.child), signal).unwrap();
        (self.child.wait().unwrap(), begun.elapsed())
    }
}

impl Drop for Infra {
    fn drop(&mut self) {
        let _ended_already = self.child.kill();
        let _ended_already = self.child.wait();
    }
}

/// A port that was free a moment ago, outside the range that the kernel hands out by itself.
pub(crate) fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let first = 10_000 + u16::try_from(std::process::id() % 10_000).unwrap();
    loop {
        let port = first + NEXT.fetch_add(1, Ordering::Relaxed);
        if TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).is_ok() {
            return port;
        }
    }
}

/// The shell sets the limit of open files, which infra cannot raise again.
fn command(directory: &Path, stream_port: u16, descriptors: usize) -> Command {
    let mut command = Command::new("sh");
    let script = format!("ulimit -n {descriptors} && exec \"$@\"");
    command.args(["-c", &script, "sh", env!("CARGO_BIN_EXE_harbor-infra"), "--directory"]).arg(directory);
    command.arg("--token-file").arg(directory.join("token")).args(["--stream-port", &stream_port.to_string()]);
    command
}

/// Infra must end by itself, not with success, and say why.
#[track_caller]
fn check_refuses_to_start(directory: &Path, stream_port: u16, why: &str) {
    let mut child = command(directory, stream_port, 4096).stderr(Stdio::piped()).spawn().unwrap();
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(1));
    assert!(said.contains(why), "said: {said}");
}

fn with_token(token: &str) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("token"), token).unwrap();
    directory
}

#[test]
fn says_who_it_is() {
    let version = env!("CARGO_PKG_VERSION").to_owned();
    let (reply, passed) = Infra::start().client().ask(&Request::Ready);
    assert_eq!(reply, Reply::Ready { protocol: PROTOCOL, version });
    assert!(passed.is_none());
}

#[test]
fn signals_end_it_well_and_soon() {
    for signal in [Signal::TERM, Signal::INT] {
        let infra = Infra::start_streaming("0123456789abcdef");
        let _client = infra.client();
        let (status, took) = infra.end(signal);
        assert_eq!(status.code(), Some(0));
        assert!(took < Duration::from_secs(1), "took {took:?}");
    }
}

#[test]
fn uses_no_processor_when_idle() {
    let infra = Infra::start_streaming("0123456789abcdef");
    let _client = infra.client();
    let before = infra.processor_ticks();
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(infra.processor_ticks(), before);
}

#[test]
fn a_stale_socket_is_replaced() {
    let directory = tempfile::tempdir().unwrap();
    drop(UnixListener::bind(directory.path().join(SOCKET)).unwrap());
    let infra = Infra::start_in(directory, None, 4096);
    assert!(matches!(infra.client().ask(&Request::Ready).0, Reply::Ready { .. }));
}

#[test]
fn a_killed_one_is_succeeded_in_the_same_directory() {
    let mut infra = Infra::start();
    infra.child.kill().unwrap();
    infra.child.wait().unwrap();
    let path: PathBuf = infra.directory().to_owned();
    let mut next = command(&path, infra.stream_port, 4096).spawn().unwrap();
    let deadline = Instant::now() + Duration::from_secs(5);
    while Client::connect(&path).is_err() && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(2));
    }
    let answered = Client::connect(&path).is_ok();
    next.kill().unwrap();
    next.wait().unwrap();
    assert!(answered);
}

#[test]
fn a_served_socket_is_left_alone() {
    let infra = Infra::start();
    check_refuses_to_start(infra.directory(), free_port(), "cannot listen on");
    assert!(matches!(infra.client().ask(&Request::Ready).0, Reply::Ready { .. }));
}

#[test]
fn a_port_held_by_somebody_else_is_a_loud_failure() {
    for address in ["0.0.0.0", "127.0.0.1", "::", "::1"] {
        let directory = with_token("0123456789abcdef");
        let taken = TcpListener::bind((address, free_port())).unwrap();
        let port = taken.local_addr().unwrap().port();
        check_refuses_to_start(directory.path(), port, &format!("cannot listen on port {port} for streaming"));
        assert!(!directory.path().join(SOCKET).exists(), "{address}: the other form came up");
    }
}

#[test]
fn nobody_can_listen_beside_it() {
    let infra = Infra::start_streaming("0123456789abcdef");
    for address in ["0.0.0.0", "127.0.0.1", "127.9.9.9", "::", "::1"] {
        assert!(TcpListener::bind((address, infra.stream_port)).is_err(), "{address}");
    }
}

#[test]
fn an_empty_token_is_a_loud_failure() {
    check_refuses_to_start(with_token("\n").path(), free_port(), "is shorter than 16 bytes");
}

#[test]
fn too_few_descriptors_are_a_loud_failure() {
    let directory = tempfile::tempdir().unwrap();
    let output = command(directory.path(), free_port(), 100).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8(output.stderr).unwrap().contains("needs at least 512 open files, may have 100"));
}
