//! A toolbox as a real process, and a client that sends and reads every byte itself.

use std::collections::HashMap;
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use percent_encoding::{NON_ALPHANUMERIC, percent_encode};
use serde_json::Value;
use tempfile::TempDir;

use crate::process::{self, PROGRAM, Process};

/// Longest wait for anything.
const PATIENCE: Duration = Duration::from_secs(30);

/// Content type of the forms of [`form`].
pub(crate) const FORM: (&str, &str) = ("content-type", "multipart/form-data; boundary=FORM");

/// A configured toolbox; killed when dropped.
pub(crate) struct Toolbox {
    process: Process,
    home: TempDir,
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// Names in lower case; values as bytes.
    pub(crate) headers: HashMap<String, Vec<u8>>,
    pub(crate) body: Vec<u8>,
    /// The body came to its proper end.
    pub(crate) complete: bool,
}

impl Toolbox {
    /// A toolbox whose home and work directory is a fresh one.
    pub(crate) fn start() -> Self {
        Self::start_by(&[])
    }

    /// The same, started by another program that is given the toolbox's command line.
    pub(crate) fn start_by(program: &[&str]) -> Self {
        let home = tempfile::tempdir().unwrap();
        let line = [program, &[PROGRAM]].concat();
        let toolbox = Self { process: Process::start(&mut process::command(&line, home.path())), home };
        let configured = toolbox.post("/.harbor/configure", &[], br#"{"protocol":1,"sandbox":"s","token":"T"}"#);
        assert_eq!(configured.status, 200);
        toolbox
    }

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

    pub(crate) fn get(&self, path: &str) -> Answer {
        self.request("GET", path, &[], b"")
    }

    pub(crate) fn post(&self, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        self.request("POST", path, headers, body)
    }

    pub(crate) fn request(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        let mut stream = self.begin(method, path, headers, body.len());
        stream.write_all(body).unwrap();
        finish(stream)
    }

    /// Sends the head of a request that promises `length` bytes.
    pub(crate) fn begin(&self, method: &str, path: &str, headers: &[(&str, &str)], length: usize) -> TcpStream {
        let mut stream = TcpStream::connect(self.process.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let headers: Vec<_> = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let headers = headers.concat();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: toolbox\r\nconnection: close\r\nx-harbor-token: T\r\n\
             {headers}content-length: {length}\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).unwrap();
        stream
    }

    /// Most memory the toolbox ever had, in bytes.
    pub(crate) fn peak_memory(&self) -> u64 {
        self.process.status("VmHWM") * 1024
    }
}

impl Answer {
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Status and code of an error.
    #[track_caller]
    pub(crate) fn refusal(&self) -> (u16, String) {
        (self.status, self.json()["code"].as_str().unwrap().to_owned())
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| std::str::from_utf8(value).unwrap())
    }
}

/// No more will be sent: reads the answer.
pub(crate) fn cut_off(stream: TcpStream) -> Answer {
    stream.shutdown(Shutdown::Write).unwrap();
    finish(stream)
}

/// Reads an answer to its end.
pub(crate) fn finish(mut stream: TcpStream) -> Answer {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n").expect("a head");
    let mut lines = bytes[..end].split(|&byte| byte == b'\n').map(<[u8]>::trim_ascii_end);
    let status = std::str::from_utf8(&lines.next().unwrap()[9..12]).unwrap().parse().unwrap();
    let headers: HashMap<_, _> = lines
        .map(|line| {
            let colon = line.iter().position(|&byte| byte == b':').unwrap();
            (String::from_utf8(line[..colon].to_ascii_lowercase()).unwrap(), line[colon + 2..].to_vec())
        })
        .collect();
    let rest = bytes[end + 4..].to_vec();
    let (body, complete) = match headers.get("content-length") {
        _ if headers.contains_key("transfer-encoding") => dechunked(&rest),
        Some(length) => {
            let complete = std::str::from_utf8(length).unwrap().parse() == Ok(rest.len());
            (rest, complete)
        }
        None => (rest, true),
    };
    Answer { status, headers, body, complete }
}

fn dechunked(mut rest: &[u8]) -> (Vec<u8>, bool) {
    let mut body = Vec::new();
    while let Some(end) = rest.windows(2).position(|window| window == b"\r\n") {
        let length = usize::from_str_radix(std::str::from_utf8(&rest[..end]).unwrap(), 16).unwrap();
        if length == 0 {
            return (body, true);
        }
        let Some(chunk) = rest.get(end + 2..end + 2 + length) else { break };
        body.extend_from_slice(chunk);
        rest = &rest[end + 2 + length + 2..];
    }
    (body, false)
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

/// Waits until `condition` holds.
#[track_caller]
pub(crate) fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "in vain: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
