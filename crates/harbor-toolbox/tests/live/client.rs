//! A toolbox as a real process, and requests to it.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::process::{self, PROGRAM, Process};
use crate::socket::Socket;

/// Longest wait for anything.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

/// Headers of a client that takes streams apart.
pub(crate) const CURRENT: &str = "x-daytona-sdk-version: 0.190.0\r\n";

/// A configured toolbox; killed when dropped.
pub(crate) struct Toolbox {
    process: Process,
    pub(crate) home: TempDir,
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// In lower case.
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Status and code of an error in the daemon's shape.
    #[track_caller]
    pub(crate) fn refusal(&self) -> (u16, String) {
        let body = self.json();
        assert_eq!((&body["source"], &body["statusCode"]), (&json!("DAYTONA_DAEMON"), &json!(self.status)));
        (self.status, body["code"].as_str().unwrap().to_owned())
    }
}

impl Toolbox {
    /// A toolbox whose home and work directory is a fresh one.
    pub(crate) fn start() -> Self {
        Self::configured(&json!({}))
    }

    /// The same, with `members` in its configuration.
    pub(crate) fn configured(members: &Value) -> Self {
        let home = tempfile::tempdir().unwrap();
        let toolbox = Self { process: Process::start(&mut process::command(&[PROGRAM], home.path())), home };
        let mut body = json!({"protocol": 1, "sandbox": "3f0e", "token": "T"});
        body.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
        assert_eq!(toolbox.post("/.harbor/configure", &body).status, 200);
        toolbox
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        self.send("GET", path, CURRENT, b"")
    }

    pub(crate) fn post(&self, path: &str, body: &Value) -> Answer {
        self.send("POST", path, CURRENT, body.to_string().as_bytes())
    }

    pub(crate) fn delete(&self, path: &str) -> Answer {
        self.send("DELETE", path, CURRENT, b"")
    }

    /// One request on a connection of its own; `headers` end with a line end each.
    pub(crate) fn send(&self, method: &str, path: &str, headers: &str, body: &[u8]) -> Answer {
        let mut stream = self.connect();
        let length = body.len();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: t\r\nconnection: close\r\nx-harbor-token: T\r\n{headers}content-length: {length}\r\n\r\n"
        );
        stream.write_all(&[head.as_bytes(), body].concat()).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        parse(&answer)
    }

    /// A web socket; `headers` as in [`Toolbox::send`].
    #[track_caller]
    pub(crate) fn socket(&self, path: &str, headers: &str) -> Socket {
        Socket::open(self.connect(), path, &format!("x-harbor-token: T\r\n{headers}"))
    }

    pub(crate) fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.process.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    /// A session that is ready for commands.
    #[track_caller]
    pub(crate) fn session(&self, id: &str) {
        let answer = self.post("/process/session", &json!({"sessionId": id}));
        assert_eq!((answer.status, answer.body.len()), (201, 0));
    }

    /// Runs a command in a session to its end.
    pub(crate) fn run(&self, session: &str, command: &str) -> Answer {
        self.post(&format!("/process/session/{session}/exec"), &json!({"command": command}))
    }

    /// Starts a command in a session; returns its id.
    #[track_caller]
    pub(crate) fn begin(&self, session: &str, command: &str) -> String {
        let body = json!({"command": command, "runAsync": true});
        let answer = self.post(&format!("/process/session/{session}/exec"), &body);
        assert_eq!(answer.status, 202, "{answer:?}");
        answer.json()["cmdId"].as_str().unwrap().to_owned()
    }

    /// Runs a command outside of any session.
    #[track_caller]
    pub(crate) fn execute(&self, command: &str) -> (i64, String) {
        let answer = self.post("/process/execute", &json!({"command": command})).json();
        (answer["exitCode"].as_i64().unwrap(), answer["result"].as_str().unwrap().to_owned())
    }

    /// Open descriptors, threads, and resident memory in KiB.
    pub(crate) fn usage(&self) -> (usize, u64, u64) {
        let descriptors = std::fs::read_dir(format!("/proc/{}/fd", self.process.child.id())).unwrap().count();
        (descriptors, self.process.status("Threads"), self.process.status("VmRSS"))
    }
}

fn parse(answer: &[u8]) -> Answer {
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n").expect("a head");
    let head = std::str::from_utf8(&answer[..end]).unwrap().to_ascii_lowercase();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let body = &answer[end + 4..];
    let body = if head.contains("transfer-encoding: chunked") { unchunked(body) } else { body.to_vec() };
    Answer { status, head, body }
}

fn unchunked(mut body: &[u8]) -> Vec<u8> {
    let mut whole = Vec::new();
    loop {
        let line = body.windows(2).position(|window| window == b"\r\n").expect("a chunk");
        let size = usize::from_str_radix(std::str::from_utf8(&body[..line]).unwrap(), 16).unwrap();
        if size == 0 {
            return whole;
        }
        whole.extend(&body[line + 2..line + 2 + size]);
        body = &body[line + 4 + size..];
    }
}

/// An argument to `sleep` that no other test, and no other run of this one, gives it: such a process can be found.
pub(crate) fn long_sleep(number: u32) -> String {
    format!("{number}.{}", std::process::id())
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
