//! A web socket that shows every frame as it came.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::Value;

/// A connection after its handshake.
pub(crate) struct Socket {
    stream: TcpStream,
    /// The status of the handshake's answer.
    pub(crate) status: u16,
    /// The subprotocol selected.
    pub(crate) protocol: Option<String>,
}

/// A frame from the server.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Frame {
    Text(String),
    Binary(Vec<u8>),
    Pong(Vec<u8>),
    /// Code and reason.
    Close(u16, String),
    /// The connection ended without a close.
    End,
}

impl Socket {
    #[track_caller]
    pub(crate) fn open(mut stream: TcpStream, path: &str, headers: &str) -> Self {
        let head = format!(
            "GET {path} HTTP/1.1\r\nhost: t\r\nconnection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n\
             sec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n{headers}\r\n"
        );
        stream.write_all(head.as_bytes()).unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            head.extend(byte);
        }
        let head = String::from_utf8(head).unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let protocol = head.lines().find_map(|line| line.strip_prefix("sec-websocket-protocol: "));
        Self { stream, status, protocol: protocol.map(str::to_owned) }
    }

    pub(crate) fn text(&mut self, text: &str) {
        self.send(1, text.as_bytes());
    }

    pub(crate) fn json(&mut self, message: &Value) {
        self.text(&message.to_string());
    }

    pub(crate) fn ping(&mut self, text: &[u8]) {
        self.send(9, text);
    }

    /// One masked frame.
    pub(crate) fn send(&mut self, opcode: u8, text: &[u8]) {
        let mut frame = vec![0x80 | opcode];
        match u16::try_from(text.len()) {
            Ok(length @ ..126) => frame.push(0x80 | u8::try_from(length).unwrap()),
            Ok(length) => {
                frame.push(0x80 | 0x7E);
                frame.extend(length.to_be_bytes());
            }
            Err(_) => {
                frame.push(0x80 | 0x7F);
                frame.extend((text.len() as u64).to_be_bytes());
            }
        }
        frame.extend([0; 4]); // a mask that changes nothing
        frame.extend(text);
        self.stream.write_all(&frame).unwrap();
    }

    /// The next frame.
    pub(crate) fn next(&mut self) -> Frame {
        let Some(head) = self.bytes(2) else { return Frame::End };
        let length = match head[1] & 0x7F {
            126 => self.bytes(2).map(|bytes| u16::from_be_bytes(bytes.try_into().unwrap()).into()),
            127 => self.bytes(8).map(|bytes| u64::from_be_bytes(bytes.try_into().unwrap())),
            length => Some(u64::from(length)),
        };
        let Some(text) = length.and_then(|length| self.bytes(usize::try_from(length).unwrap())) else {
            return Frame::End;
        };
        match head[0] & 0x0F {
            1 => Frame::Text(String::from_utf8(text).unwrap()),
            2 => Frame::Binary(text),
            8 => Frame::Close(u16::from_be_bytes([text[0], text[1]]), String::from_utf8(text[2..].to_vec()).unwrap()),
            10 => Frame::Pong(text),
            other => panic!("frame of kind {other}"),
        }
    }

    fn bytes(&mut self, length: usize) -> Option<Vec<u8>> {
        let mut bytes = vec![0; length];
        match self.stream.read_exact(&mut bytes) {
            Ok(()) => Some(bytes),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => panic!("nothing came"),
            Err(_) => None,
        }
    }

    /// Reads to the end: all binary frames together, and how it ended.
    pub(crate) fn rest(&mut self) -> (Vec<u8>, Frame) {
        let mut binary = Vec::new();
        loop {
            match self.next() {
                Frame::Binary(text) => binary.extend(text),
                end @ (Frame::Close(..) | Frame::End) => return (binary, end),
                Frame::Text(_) | Frame::Pong(_) => {}
            }
        }
    }

    /// Reads binary frames until what they hold contains `text`; returns all of it.
    pub(crate) fn until(&mut self, text: &str) -> String {
        let mut seen = String::new();
        // Only what is new is searched: much may come.
        let mut searched = 0;
        while !seen[searched..].contains(text) {
            searched = seen.floor_char_boundary(seen.len().saturating_sub(text.len()));
            match self.next() {
                Frame::Binary(more) => seen.push_str(&String::from_utf8_lossy(&more)),
                Frame::Text(_) | Frame::Pong(_) => {}
                end => panic!("{end:?} before {text:?} in {seen:?}"),
            }
        }
        seen
    }

    /// Whether nothing comes for a while.
    pub(crate) fn is_quiet(&mut self, time: Duration) -> bool {
        self.stream.set_read_timeout(Some(time)).unwrap();
        let quiet = self.stream.peek(&mut [0]).is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock);
        self.stream.set_read_timeout(Some(super::PATIENCE)).unwrap();
        quiet
    }
}
