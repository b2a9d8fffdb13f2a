//! Streams of harbor's own: a program behind one, as the SSH gateway drives it.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use harbor_protocol::remote::{Event, INPUT_CREDIT, PROGRAM_PATH, PROGRAM_UPGRADE, Request, Size, Start, Terminal};

use super::{TOKEN, Toolbox};

impl Toolbox {
    /// Asks for a stream; its status, and the stream.
    pub(crate) fn ask_for_stream(&self, path: &str, protocol: &str, token: &str) -> (u16, TcpStream) {
        let mut stream = self.connect();
        let head = format!(
            "GET {path} HTTP/1.1\r\nhost: toolbox\r\nconnection: upgrade\r\nupgrade: {protocol}\r\nx-harbor-token: {token}\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            head.extend(byte);
        }
        (std::str::from_utf8(&head[9..12]).unwrap().parse().unwrap(), stream)
    }

    /// A stream.
    #[track_caller]
    pub(crate) fn stream(&self, path: &str, protocol: &str) -> TcpStream {
        let (status, stream) = self.ask_for_stream(path, protocol, TOKEN);
        assert_eq!(status, 101);
        stream
    }

    /// Starts a program; an empty command is a shell.
    pub(crate) fn program(&self, command: &str, terminal: Option<(u16, u16)>, env: &[(&str, &str)]) -> Program {
        let size = |(columns, rows)| Size { columns, rows };
        let terminal = terminal.map(|given| Terminal { term: "vt100".to_owned(), size: size(given) });
        let env = env.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
        let mut program = Program::open(self);
        if !command.is_empty() {
            program.send(Request::Command(command.as_bytes()));
        }
        program.start(&Start { protocol: 1, env, terminal });
        program
    }
}

/// An [`Event`] that is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Said {
    Started,
    Refused(String),
    Output(Vec<u8>),
    ErrorOutput(Vec<u8>),
    Credit(usize),
    Exited(u8),
    Killed(String),
}

/// A program's stream.
pub(crate) struct Program {
    stream: TcpStream,
    received: Vec<u8>,
    credit: usize,
}

/// All that a program said.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) output: String,
    pub(crate) error_output: String,
    /// How it ended: [`Said::Exited`] or [`Said::Killed`].
    pub(crate) end: Option<Said>,
}

impl Program {
    pub(crate) fn open(toolbox: &Toolbox) -> Self {
        let stream = toolbox.stream(PROGRAM_PATH, PROGRAM_UPGRADE);
        Self { stream, received: Vec::new(), credit: INPUT_CREDIT }
    }

    pub(crate) fn start(&mut self, start: &Start) {
        self.send(Request::Start(serde_json::to_string(start).unwrap().as_bytes()));
    }

    pub(crate) fn send(&mut self, request: Request<'_>) {
        let mut frame = Vec::new();
        request.append_to(&mut frame).unwrap();
        self.send_bytes(&frame);
    }

    /// The other side may have closed.
    pub(crate) fn send_bytes(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes);
    }

    /// The next event; none once the toolbox has closed the stream.
    pub(crate) fn next(&mut self) -> Option<Said> {
        loop {
            if let Some((event, length)) = Event::first(&self.received).unwrap() {
                let said = match event {
                    Event::Started => Said::Started,
                    Event::Refused(reason) => Said::Refused(reason.to_owned()),
                    Event::Output(text) => Said::Output(text.to_vec()),
                    Event::ErrorOutput(text) => Said::ErrorOutput(text.to_vec()),
                    Event::Credit(more) => Said::Credit(usize::try_from(more).unwrap()),
                    Event::Exited(code) => Said::Exited(code),
                    Event::Killed { signal, .. } => Said::Killed(signal.to_owned()),
                };
                self.received.drain(..length);
                if let Said::Credit(more) = said {
                    self.credit += more;
                }
                return Some(said);
            }
            let mut buffer = vec![0; 64 << 10];
            match self.stream.read(&mut buffer) {
                Ok(0) => return None,
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => return None,
                read => self.received.extend(&buffer[..read.unwrap()]),
            }
        }
    }

    /// Reads until the output holds `text`; returns it all.
    #[track_caller]
    pub(crate) fn until(&mut self, text: &str) -> String {
        let mut output = Vec::new();
        while !String::from_utf8_lossy(&output).contains(text) {
            match self.next() {
                Some(Said::Output(more)) => output.extend(more),
                Some(Said::Started | Said::Credit(_)) => {}
                other => panic!("{other:?} before {text:?}; so far {}", String::from_utf8_lossy(&output)),
            }
        }
        String::from_utf8_lossy(&output).into_owned()
    }

    /// Sends input as credit allows, and its end; returns all that the program says meanwhile and after.
    pub(crate) fn feed(mut self, mut input: &[u8]) -> Finished {
        let mut said = Vec::new();
        loop {
            while !input.is_empty() && self.credit > 0 {
                let length = input.len().min(self.credit).min(harbor_protocol::remote::MAX_PAYLOAD);
                self.send(Request::Input(&input[..length]));
                self.credit -= length;
                input = &input[length..];
            }
            if input.is_empty() {
                self.send(Request::InputEnd);
                return self.finish_with(said);
            }
            said.push(self.next().expect("the stream ended before the input"));
        }
    }

    /// Reads to the end of the stream.
    pub(crate) fn finish(self) -> Finished {
        self.finish_with(Vec::new())
    }

    fn finish_with(mut self, mut said: Vec<Said>) -> Finished {
        said.extend(std::iter::from_fn(|| self.next()));
        let (mut output, mut error_output, mut end) = (Vec::new(), Vec::new(), None);
        for said in said {
            match said {
                Said::Output(text) => output.extend(text),
                Said::ErrorOutput(text) => error_output.extend(text),
                Said::Started | Said::Credit(_) => {}
                last => assert_eq!(end.replace(last), None, "it ends once"),
            }
        }
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Finished { output: text(output), error_output: text(error_output), end }
    }
}

/// Whether a process lives.
pub(crate) fn lives(pid: &str) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
    stat.rsplit(')').next().is_some_and(|rest| !rest.is_empty() && !rest.starts_with(" Z"))
}
