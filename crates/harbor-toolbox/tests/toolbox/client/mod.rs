//! A toolbox as a real process in a home directory of its own, and requests to it.

mod answer;
mod process;
mod socket;
mod stream;

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use percent_encoding::{NON_ALPHANUMERIC, percent_encode};
use serde_json::{Value, json};
use tempfile::TempDir;

pub(crate) use answer::Answer;
pub(crate) use process::PROGRAM;
use process::Process;
pub(crate) use socket::{Frame, Socket};
pub(crate) use stream::{Program, Said, lives};

/// The token of every toolbox that is configured here.
pub(crate) const TOKEN: &str = "the-token";

/// Longest wait for anything.
pub(crate) const PATIENCE: Duration = Duration::from_mins(2);

/// Headers of a client that takes streams apart.
pub(crate) const CURRENT: &str = "x-daytona-sdk-version: 0.190.0\r\n";

/// Content type of the forms of [`form`].
pub(crate) const FORM: (&str, &str) = ("content-type", "multipart/form-data; boundary=FORM");

/// A running toolbox; killed when dropped.
pub(crate) struct Toolbox {
    process: Process,
    /// Its home and work directory.
    pub(crate) home: TempDir,
}

/// How it is started.
impl Toolbox {
    /// A toolbox that takes requests with [`TOKEN`].
    pub(crate) fn start() -> Self {
        Self::start_with(&json!({}))
    }

    /// The same, with `members` in its configuration.
    pub(crate) fn start_with(members: &Value) -> Self {
        let toolbox = Self::unconfigured();
        assert_eq!(toolbox.configure(None, members).status, 200);
        toolbox
    }

    /// The same, started by another program that is given the toolbox's command line.
    pub(crate) fn start_by(program: &[&str]) -> Self {
        let home = tempfile::tempdir().unwrap();
        let line = [program, &[PROGRAM]].concat();
        let toolbox = Self { process: Process::start(&mut process::command(&line, home.path())), home };
        assert_eq!(toolbox.configure(None, &json!({})).status, 200);
        toolbox
    }

    /// A toolbox with this PATH.
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
        assert_eq!(toolbox.configure(None, &json!({"env": {"PATH": path}})).status, 200);
        toolbox
    }

    /// A toolbox that has not been configured.
    pub(crate) fn unconfigured() -> Self {
        Self::unconfigured_with(|command| command)
    }

    /// The same, with changes to how it is started.
    pub(crate) fn unconfigured_with(change: impl FnOnce(&mut Command) -> &mut Command) -> Self {
        let home = tempfile::tempdir().unwrap();
        let mut command = process::command(&[PROGRAM], home.path());
        Self { process: Process::start(change(&mut command)), home }
    }

    /// Posts a `configure` that sets [`TOKEN`], with `members` on top.
    pub(crate) fn configure(&self, token: Option<&str>, members: &Value) -> Answer {
        let mut body = json!({"protocol": 1, "sandbox": "3f0e", "token": TOKEN});
        body.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
        self.send_as(token, "POST", "/.harbor/configure", body.to_string().as_bytes())
    }

    /// Configures it anew, with the environment of the processes that it starts from now on.
    pub(crate) fn set_environment(&self, variables: &Value) {
        assert_eq!(self.configure(Some(TOKEN), &json!({"env": variables})).status, 200);
    }

    /// Sends SIGTERM and waits for the end.
    pub(crate) fn terminate(&mut self) -> std::process::ExitStatus {
        self.tell_to_stop();
        self.process.child.wait().unwrap()
    }

    /// Sends SIGTERM.
    pub(crate) fn tell_to_stop(&self) {
        let pid = rustix::process::Pid::from_child(&self.process.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    }
}

/// Requests.
impl Toolbox {
    pub(crate) fn get(&self, path: &str) -> Answer {
        self.send("GET", path, CURRENT, b"")
    }

    pub(crate) fn post(&self, path: &str, body: &Value) -> Answer {
        self.send("POST", path, CURRENT, body.to_string().as_bytes())
    }

    pub(crate) fn post_bytes(&self, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        self.request("POST", path, headers, body)
    }

    pub(crate) fn delete(&self, path: &str) -> Answer {
        self.send("DELETE", path, CURRENT, b"")
    }

    pub(crate) fn delete_with(&self, path: &str, body: &Value) -> Answer {
        self.send("DELETE", path, CURRENT, body.to_string().as_bytes())
    }

    pub(crate) fn request(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        let mut stream = self.begin(method, path, headers, body.len());
        stream.write_all(body).unwrap();
        finish(stream)
    }

    /// One request; `headers` end with a line end each.
    pub(crate) fn send(&self, method: &str, path: &str, headers: &str, body: &[u8]) -> Answer {
        finish(self.open(Some(TOKEN), method, path, headers, body))
    }

    /// The same with this token, or none.
    pub(crate) fn send_as(&self, token: Option<&str>, method: &str, path: &str, body: &[u8]) -> Answer {
        finish(self.open(token, method, path, "", body))
    }

    /// Sends a request and leaves the answer to the caller.
    pub(crate) fn ask(&self, method: &str, path: &str, body: &[u8]) -> TcpStream {
        self.open(Some(TOKEN), method, path, "", body)
    }

    fn open(&self, token: Option<&str>, method: &str, path: &str, headers: &str, body: &[u8]) -> TcpStream {
        let mut stream = self.connect();
        let token = token.map(|token| format!("x-harbor-token: {token}\r\n")).unwrap_or_default();
        let length = body.len();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: toolbox\r\nconnection: close\r\n{token}{headers}content-length: {length}\r\n\r\n"
        );
        stream.write_all(&[head.as_bytes(), body].concat()).unwrap();
        stream
    }

    /// Sends the head of a request that promises `length` bytes.
    pub(crate) fn begin(&self, method: &str, path: &str, headers: &[(&str, &str)], length: usize) -> TcpStream {
        let mut stream = self.connect();
        let headers: Vec<_> = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let headers = headers.concat();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: toolbox\r\nconnection: close\r\nx-harbor-token: {TOKEN}\r\n\
             {headers}content-length: {length}\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).unwrap();
        stream
    }

    /// A connection on which nothing has been sent.
    pub(crate) fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.process.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    /// A web socket; `headers` as in [`Toolbox::send`].
    #[track_caller]
    pub(crate) fn socket(&self, path: &str, headers: &str) -> Socket {
        Socket::open(self.connect(), path, &format!("x-harbor-token: {TOKEN}\r\n{headers}"))
    }

    /// Runs a command that must be answered 200; returns exit code and result.
    #[track_caller]
    pub(crate) fn execute(&self, command: &str) -> (i64, String) {
        let answer = self.post("/process/execute", &json!({"command": command}));
        assert_eq!(answer.status, 200, "{answer:?}");
        let answer = answer.json();
        (answer["exitCode"].as_i64().unwrap(), answer["result"].as_str().unwrap().to_owned())
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
    pub(crate) fn run_async(&self, session: &str, command: &str) -> String {
        let body = json!({"command": command, "runAsync": true});
        let answer = self.post(&format!("/process/session/{session}/exec"), &body);
        assert_eq!(answer.status, 202, "{answer:?}");
        answer.json()["cmdId"].as_str().unwrap().to_owned()
    }
}

/// Its files.
impl Toolbox {
    /// A path in the home directory.
    pub(crate) fn at(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    /// Names in a directory below the home directory, sorted.
    pub(crate) fn names(&self, directory: &str) -> Vec<String> {
        let entries = std::fs::read_dir(self.at(directory)).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
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
}

/// What the machine tells of its process.
impl Toolbox {
    /// Most memory it ever had, in bytes.
    pub(crate) fn peak_memory(&self) -> u64 {
        self.process.status("VmHWM") * 1024
    }

    /// Resident memory.
    pub(crate) fn resident_kib(&self) -> u64 {
        self.process.status("VmRSS")
    }

    /// How many threads it has.
    pub(crate) fn threads(&self) -> u64 {
        self.process.status("Threads")
    }

    /// Open descriptors, threads, and resident memory in KiB.
    pub(crate) fn usage(&self) -> (usize, u64, u64) {
        let descriptors = std::fs::read_dir(format!("/proc/{}/fd", self.process.child.id())).unwrap().count();
        (descriptors, self.threads(), self.resident_kib())
    }

    /// From now on no thread can be started: there is no room for its stack.
    pub(crate) fn leave_no_room_for_threads(&self) {
        use rustix::process::{Pid, Resource, Rlimit, prlimit};
        const ROOM: u64 = 1 << 20;
        let most = Some((self.process.status("VmSize") << 10) + ROOM);
        let pid = Pid::from_child(&self.process.child);
        prlimit(Some(pid), Resource::As, Rlimit { current: most, maximum: most }).unwrap();
    }

    /// Its children: number and state letter.
    pub(crate) fn children(&self) -> Vec<(u32, char)> {
        let pid = self.process.child.id();
        std::fs::read_dir("/proc").unwrap().filter_map(|entry| process::child_of(pid, &entry.ok()?.path())).collect()
    }

    /// The port it listens on.
    pub(crate) fn port(&self) -> u16 {
        self.process.address.port()
    }
}

/// No more will be sent: reads the answer.
pub(crate) fn cut_off(stream: TcpStream) -> Answer {
    stream.shutdown(Shutdown::Write).unwrap();
    finish(stream)
}

/// Reads an answer to its end.
#[track_caller]
pub(crate) fn finish(mut stream: TcpStream) -> Answer {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    Answer::parse(&bytes)
}

/// A form of parts: name, file name (none when empty), content.
pub(crate) fn form(parts: &[(&str, &str, &[u8])]) -> Vec<u8> {
    let mut form = Vec::new();
    for (name, file_name, content) in parts {
        let file_name = if file_name.is_empty() { String::new() } else { format!("; filename=\"{file_name}\"") };
        let head = format!("--FORM\r\nContent-Disposition: form-data; name=\"{name}\"{file_name}\r\n\r\n");
        form.extend([head.as_bytes(), content, b"\r\n"].concat());
    }
    form.extend(b"--FORM--\r\n");
    form
}

/// Percent-encodes a query value.
pub(crate) fn encoded(value: impl AsRef<[u8]>) -> String {
    percent_encode(value.as_ref(), NON_ALPHANUMERIC).to_string()
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
