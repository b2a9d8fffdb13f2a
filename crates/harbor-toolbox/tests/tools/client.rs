//! A toolbox as a real process, requests to it, and a web socket that reads every frame itself.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::process::{self, PROGRAM, Process};

/// Longest wait for anything.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

/// A configured toolbox; killed when dropped.
pub(crate) struct Toolbox {
    process: Process,
    home: TempDir,
}

/// Status and body of an answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Status and code of an error.
    #[track_caller]
    pub(crate) fn refusal(&self) -> (u16, String) {
        (self.status, self.json()["code"].as_str().unwrap_or_default().to_owned())
    }

    /// What an error says.
    #[track_caller]
    pub(crate) fn message(&self) -> String {
        self.json()["message"].as_str().unwrap().to_owned()
    }

    /// Fails unless this is a success without a body.
    #[track_caller]
    pub(crate) fn empty(&self, status: u16) {
        let said = String::from_utf8_lossy(&self.body);
        assert_eq!((self.status, said.as_ref()), (status, ""));
    }
}

impl Toolbox {
    /// A toolbox whose home and work directory is a fresh one.
    pub(crate) fn start() -> Self {
        Self::with_path(&std::env::var("PATH").unwrap())
    }

    /// The same with this PATH.
    pub(crate) fn with_path(path: &str) -> Self {
        let program = Path::new(PROGRAM);
        assert!(program.with_file_name("harbor-git").exists(), "cargo build -p harbor-git makes what lies beside it");
        Self::launch(program, path, tempfile::tempdir().unwrap())
    }

    /// The same with nothing on PATH, and nothing beside the program.
    pub(crate) fn alone() -> Self {
        // Of one file system, so that it can be a link; a copy may be busy still when it is to be run.
        let home = tempfile::tempdir_in(Path::new(PROGRAM).parent().unwrap()).unwrap();
        let program = home.path().join("harbor-toolbox");
        std::fs::hard_link(PROGRAM, &program).unwrap();
        Self::launch(&program, "/nowhere", home)
    }

    fn launch(program: &Path, path: &str, home: TempDir) -> Self {
        let mut command = process::command(&[program.to_str().unwrap()], home.path());
        let toolbox = Self { process: Process::start(command.env("PATH", path)), home };
        toolbox.set_environment(&json!({"PATH": path}));
        toolbox
    }

    /// Configures the toolbox with the environment of the processes that it starts from now on.
    pub(crate) fn set_environment(&self, variables: &Value) {
        let configuration = json!({"protocol": 1, "sandbox": "s", "token": "T", "env": variables});
        assert_eq!(self.post("/.harbor/configure", &configuration).status, 200);
    }

    /// A path in the home directory.
    pub(crate) fn at(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    /// Writes a file into the home directory.
    pub(crate) fn write(&self, name: &str, text: &str) {
        let path = self.at(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    /// Runs a shell command in the home directory, outside of the toolbox; returns its output.
    #[track_caller]
    pub(crate) fn shell(&self, script: &str) -> String {
        let mut command = Command::new("sh");
        command.args(["-ec", script]).current_dir(self.home.path()).env("HOME", self.home.path());
        let output = command.output().unwrap();
        assert!(output.status.success(), "{script}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        self.send("GET", path, "")
    }

    pub(crate) fn post(&self, path: &str, body: &Value) -> Answer {
        self.send("POST", path, &body.to_string())
    }

    pub(crate) fn delete(&self, path: &str, body: &Value) -> Answer {
        self.send("DELETE", path, &body.to_string())
    }

    fn send(&self, method: &str, path: &str, body: &str) -> Answer {
        let mut stream = self.begin(method, path, body);
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        let end = answer.windows(4).position(|window| window == b"\r\n\r\n").expect("a head");
        let status = std::str::from_utf8(&answer[9..12]).unwrap().parse().unwrap();
        Answer { status, body: answer[end + 4..].to_vec() }
    }

    /// A connection on which this request has been sent.
    pub(crate) fn begin(&self, method: &str, path: &str, body: &str) -> TcpStream {
        let length = body.len();
        let mut stream =
            self.connect(&format!("{method} {path} HTTP/1.1\r\nconnection: close\r\ncontent-length: {length}\r\n"));
        stream.write_all(body.as_bytes()).unwrap();
        stream
    }

    /// A connection on which this head has been sent.
    fn connect(&self, head: &str) -> TcpStream {
        let mut stream = TcpStream::connect(self.process.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(format!("{head}host: toolbox\r\nx-harbor-token: T\r\n\r\n").as_bytes()).unwrap();
        stream
    }

    /// A web socket on this path.
    pub(crate) fn socket(&self, path: &str) -> Socket {
        let mut stream = self.connect(&format!(
            "GET {path} HTTP/1.1\r\nconnection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n\
             sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        ));
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            head.extend(byte);
        }
        assert!(head.starts_with(b"HTTP/1.1 101"), "{}", String::from_utf8_lossy(&head));
        Socket { stream }
    }

    /// Most memory the toolbox ever had, in bytes.
    pub(crate) fn peak_memory(&self) -> u64 {
        self.process.status("VmHWM") * 1024
    }

    /// Whether the toolbox has children.
    pub(crate) fn has_children(&self) -> bool {
        let pid = self.process.child.id();
        let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
        !children.trim().is_empty()
    }
}

/// A web socket. Frames of a client are masked; a mask of zeros changes nothing.
pub(crate) struct Socket {
    stream: TcpStream,
}

/// A frame of the server.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Frame {
    Text(String),
    Pong(Vec<u8>),
    Close(u16, String),
}

impl Socket {
    pub(crate) fn send(&mut self, message: &Value) {
        self.write(1, message.to_string().as_bytes());
    }

    pub(crate) fn ping(&mut self, payload: &[u8]) {
        self.write(9, payload);
    }

    fn write(&mut self, kind: u8, payload: &[u8]) {
        let length = u16::try_from(payload.len()).unwrap().to_be_bytes();
        let head = [0x80 | kind, 0x80 | 0x7E, length[0], length[1], 0, 0, 0, 0];
        self.stream.write_all(&[&head, payload].concat()).unwrap();
    }

    pub(crate) fn receive(&mut self) -> Frame {
        let [kind, short] = self.read(2)[..] else { unreachable!() };
        let length = match short {
            126 => u16::from_be_bytes(self.read(2).try_into().unwrap()).into(),
            127 => u64::from_be_bytes(self.read(8).try_into().unwrap()),
            short => short.into(),
        };
        assert!(length < 1 << 20, "no message is larger than a mebibyte");
        let payload = self.read(usize::try_from(length).unwrap());
        match kind {
            0x81 => Frame::Text(String::from_utf8(payload).unwrap()),
            0x8A => Frame::Pong(payload),
            0x88 => {
                let (code, reason) = payload.split_at(2);
                let code = u16::from_be_bytes(code.try_into().unwrap());
                Frame::Close(code, String::from_utf8(reason.to_vec()).unwrap())
            }
            other => panic!("frame of kind {other:#x}"),
        }
    }

    fn read(&mut self, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        self.stream.read_exact(&mut bytes).unwrap();
        bytes
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
