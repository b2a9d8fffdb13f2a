//! A toolbox as a real process on a port of its own, in a home directory of its own.

use std::collections::HashMap;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::process::{self, PROGRAM, Process};

/// The token that [`Toolbox::configured`] sets.
pub(crate) const TOKEN: &str = "the-token";

/// Longest wait for anything.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A running toolbox; killed when dropped.
pub(crate) struct Toolbox {
    process: Process,
    /// Its home and work directory.
    pub(crate) home: TempDir,
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HashMap<String, String>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {} {:?}", self.status, self.body.get(..400)))
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }
}

impl Toolbox {
    /// A toolbox that has not been configured.
    pub(crate) fn start() -> Self {
        Self::start_with(|command| command)
    }

    /// The same, with changes to how it is started.
    pub(crate) fn start_with(change: impl FnOnce(&mut Command) -> &mut Command) -> Self {
        let home = tempfile::tempdir().unwrap();
        let mut command = process::command(&[PROGRAM], home.path());
        Self { process: Process::start(change(&mut command)), home }
    }

    /// A toolbox that takes requests with [`TOKEN`].
    pub(crate) fn configured() -> Self {
        let toolbox = Self::start();
        assert_eq!(toolbox.configure(None, &json!({})).status, 200);
        toolbox
    }

    /// Posts a `configure` that sets [`TOKEN`], with `members` on top.
    pub(crate) fn configure(&self, token: Option<&str>, members: &Value) -> Answer {
        let mut body = json!({"protocol": 1, "sandbox": "3f0e", "token": TOKEN});
        body.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
        self.send("POST", "/.harbor/configure", token, body.to_string().as_bytes())
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        self.send("GET", path, Some(TOKEN), b"")
    }

    pub(crate) fn post(&self, path: &str, body: &Value) -> Answer {
        self.send("POST", path, Some(TOKEN), body.to_string().as_bytes())
    }

    /// Runs a command that must be answered 200; returns exit code and result.
    #[track_caller]
    pub(crate) fn execute(&self, command: &str) -> (i64, String) {
        let answer = self.post("/process/execute", &json!({"command": command}));
        assert_eq!(answer.status, 200, "{answer:?}");
        let answer = answer.json();
        (answer["exitCode"].as_i64().unwrap(), answer["result"].as_str().unwrap().to_owned())
    }

    /// One request on a connection of its own.
    pub(crate) fn send(&self, method: &str, path: &str, token: Option<&str>, body: &[u8]) -> Answer {
        let mut stream = self.begin(method, path, token, body);
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        parse(&answer)
    }

    /// Sends a request and leaves the answer to the caller.
    pub(crate) fn begin(&self, method: &str, path: &str, token: Option<&str>, body: &[u8]) -> TcpStream {
        let mut stream = TcpStream::connect(self.process.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let token = token.map(|token| format!("x-harbor-token: {token}\r\n")).unwrap_or_default();
        let length = body.len();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: toolbox\r\nconnection: close\r\n{token}content-length: {length}\r\n\r\n"
        );
        stream.write_all(&[head.as_bytes(), body].concat()).unwrap();
        stream
    }

    /// Resident memory of the toolbox's process.
    pub(crate) fn resident_kib(&self) -> u64 {
        self.process.status("VmRSS")
    }

    /// How many threads it has.
    pub(crate) fn threads(&self) -> u64 {
        self.process.status("Threads")
    }

    /// From now on no thread can be started: there is no room for its stack.
    pub(crate) fn leave_no_room_for_threads(&self) {
        use rustix::process::{Pid, Resource, Rlimit, prlimit};
        const ROOM: u64 = 1 << 20;
        let most = Some((self.process.status("VmSize") << 10) + ROOM);
        let pid = Pid::from_child(&self.process.child);
        prlimit(Some(pid), Resource::As, Rlimit { current: most, maximum: most }).unwrap();
    }

    /// Sends SIGTERM and waits for the end.
    pub(crate) fn terminate(&mut self) -> std::process::ExitStatus {
        let child = &mut self.process.child;
        rustix::process::kill_process(rustix::process::Pid::from_child(child), rustix::process::Signal::TERM).unwrap();
        child.wait().unwrap()
    }

    /// Children of the toolbox: number and state letter.
    pub(crate) fn children(&self) -> Vec<(u32, char)> {
        let pid = self.process.child.id();
        std::fs::read_dir("/proc").unwrap().filter_map(|entry| child_of(pid, &entry.ok()?.path())).collect()
    }
}

fn child_of(parent: u32, directory: &std::path::Path) -> Option<(u32, char)> {
    let pid = directory.file_name()?.to_str()?.parse().ok()?;
    let stat = std::fs::read_to_string(directory.join("stat")).ok()?;
    let mut fields = stat[stat.rfind(')')? + 2..].split(' ');
    let state = fields.next()?.chars().next()?;
    (fields.next()?.parse() == Ok(parent)).then_some((pid, state))
}

fn parse(answer: &[u8]) -> Answer {
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n").expect("a head");
    let head = std::str::from_utf8(&answer[..end]).unwrap();
    let mut lines = head.lines();
    let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    let headers = lines.filter_map(|line| line.split_once(": "));
    let headers: HashMap<_, _> = headers.map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned())).collect();
    let body = &answer[end + 4..];
    let chunked = headers.get("transfer-encoding").is_some_and(|coding| coding == "chunked");
    Answer { status, headers, body: if chunked { joined(body) } else { body.to_vec() } }
}

/// The chunks of a body, which must be whole.
fn joined(mut rest: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    loop {
        let end = rest.windows(2).position(|pair| pair == b"\r\n").expect("a chunk's size");
        let size = usize::from_str_radix(std::str::from_utf8(&rest[..end]).unwrap(), 16).unwrap();
        if size == 0 {
            return body;
        }
        let chunk = &rest[end + 2..];
        body.extend_from_slice(&chunk[..size]);
        rest = &chunk[size + 2..];
    }
}

/// Waits until `condition` holds.
#[track_caller]
pub(crate) fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "in vain: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
