//! harbor ⇄ toolbox: streams for the SSH gateway, a program's or a file server's (contract, edges §2.3).
//!
//! Each is asked for with `GET` and an HTTP/1.1 upgrade, with the token as in [`crate::toolbox`]:
//!
//! | path | `Upgrade:` | the stream after 101 |
//! |---|---|---|
//! | [`SFTP_PATH`] | [`SFTP_UPGRADE`] | SFTP version 3, as after `subsystem sftp` |
//! | [`PROGRAM_PATH`] | [`PROGRAM_UPGRADE`] | frames, one program per stream |
//!
//! Refusals come as HTTP answers before the upgrade: 401 without the token, 400 without the right `Upgrade`, 429 when
//! too many streams are open. Closing either direction of a stream ends what is behind it; for a program that is a
//! hang-up: `SIGHUP` to its process group and, if its first process stays, `SIGKILL` to the group soon after.
//!
//! A frame is its kind (one byte), the length of its payload (four bytes, big-endian, at most [`MAX_PAYLOAD`]) and the
//! payload. harbor sends [`Request`]s: any number of [`Request::Command`], whose bytes together are the command, then
//! one [`Request::Start`], then the rest. The toolbox answers with [`Event`]s: [`Event::Started`] or [`Event::Refused`]
//! first. After [`Event::Exited`] or [`Event::Killed`] there may be more output of what the program left running; the
//! toolbox closes the stream when nobody can write any more.
//!
//! *Back-pressure.* Output waits in the sandbox while harbor does not read. Input has credit: harbor may send
//! [`INPUT_CREDIT`] bytes of [`Request::Input`], and as many more as [`Event::Credit`] says, so that signals and sizes
//! never wait behind input that a program does not read. More input than that ends the stream.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Version of [`Start`].
pub const PROTOCOL: u32 = 1;

/// Where a file server is asked for.
pub const SFTP_PATH: &str = "/.harbor/sftp";

/// What its request upgrades to.
pub const SFTP_UPGRADE: &str = "harbor-sftp-3";

/// Where a program is asked for.
pub const PROGRAM_PATH: &str = "/.harbor/program";

/// What its request upgrades to.
pub const PROGRAM_UPGRADE: &str = "harbor-program-1";

/// Most bytes of a payload.
pub const MAX_PAYLOAD: usize = 64 << 10;

/// Most bytes of a command, over all of its frames: what the kernel takes as one argument, its end included.
pub const MAX_COMMAND: usize = (128 << 10) - 1;

/// How many bytes of input may be on their way before the first [`Event::Credit`].
pub const INPUT_CREDIT: usize = 256 << 10;

/// Bytes before a payload.
const HEAD: usize = 5;

/// How a program is started; the payload of [`Request::Start`], as JSON.
///
/// With a command `/bin/sh -c` runs it; without one it is a shell: on a terminal the sandbox's preferred one, else
/// `/bin/sh` with the input as its script. It works in the sandbox's work directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Start {
    /// [`PROTOCOL`] of the sender.
    pub protocol: u32,
    /// Environment on top of the sandbox's; names that are none are passed over.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// The program gets a terminal, so its output and error output are one.
    #[serde(default)]
    pub terminal: Option<Terminal>,
}

/// A terminal to start a program on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Terminal {
    /// `TERM`; empty: the environment's own.
    #[serde(default)]
    pub term: String,
    /// Its size at first.
    pub size: Size,
}

/// Size of a terminal, in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Size {
    /// Width.
    pub columns: u16,
    /// Height.
    pub rows: u16,
}

/// What harbor sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request<'a> {
    /// A part of the command; at most [`MAX_COMMAND`] bytes in all.
    Command(&'a [u8]),
    /// Start the program: a [`Start`].
    Start(&'a [u8]),
    /// Standard input, or what is typed.
    Input(&'a [u8]),
    /// There is no more input. On a terminal: its end-of-file character is typed.
    InputEnd,
    /// The terminal's size has changed; nothing to a program without one.
    Resize(Size),
    /// A signal for the program's process group, by its name without `SIG` (RFC 4254, section 6.9), or by number.
    Signal(&'a str),
}

/// What the toolbox sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// The program runs.
    Started,
    /// It does not, and the stream ends: the reason, for people.
    Refused(&'a str),
    /// Standard output, or what is on the terminal.
    Output(&'a [u8]),
    /// Standard error.
    ErrorOutput(&'a [u8]),
    /// So many more bytes of input may be sent.
    Credit(u32),
    /// The program has ended with this code.
    Exited(u8),
    /// The program was ended by a signal.
    Killed {
        /// Its name without `SIG`, or its number.
        signal: &'a str,
        /// Whether a core was dumped.
        core_dumped: bool,
    },
}

/// What is no frame; the stream cannot be read any further.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// No message of this direction has this kind.
    Kind(u8),
    /// The payload is longer than [`MAX_PAYLOAD`].
    Length(usize),
    /// The payload is not one of its kind.
    Payload(u8),
}

impl std::fmt::Display for Malformed {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Kind(kind) => write!(formatter, "unknown frame {kind:#04x}"),
            Self::Length(length) => write!(formatter, "a frame of {length} bytes, more than {MAX_PAYLOAD}"),
            Self::Payload(kind) => write!(formatter, "a frame {kind:#04x} with a wrong payload"),
        }
    }
}

impl std::error::Error for Malformed {}

impl<'a> Request<'a> {
    /// The first request of `stream` and how many bytes it takes; none when it is not whole yet.
    pub fn first(stream: &'a [u8]) -> Result<Option<(Self, usize)>, Malformed> {
        first(stream, Self::decode)
    }

    fn decode(kind: u8, payload: &'a [u8]) -> Result<Self, Malformed> {
        Ok(match (kind, payload) {
            (0x01, command) => Self::Command(command),
            (0x02, start) => Self::Start(start),
            (0x03, input) => Self::Input(input),
            (0x04, []) => Self::InputEnd,
            (0x05, &[a, b, c, d]) => {
                Self::Resize(Size { columns: u16::from_be_bytes([a, b]), rows: u16::from_be_bytes([c, d]) })
            }
            (0x06, signal) => Self::Signal(text(kind, signal)?),
            (0x04 | 0x05, _) => return Err(Malformed::Payload(kind)),
            _ => return Err(Malformed::Kind(kind)),
        })
    }

    /// Appends the frame to `stream`. A payload longer than [`MAX_PAYLOAD`] is an error, and nothing is appended.
    pub fn append_to(&self, stream: &mut Vec<u8>) -> Result<(), Malformed> {
        match *self {
            Self::Command(command) => append(stream, 0x01, &[command]),
            Self::Start(start) => append(stream, 0x02, &[start]),
            Self::Input(input) => append(stream, 0x03, &[input]),
            Self::InputEnd => append(stream, 0x04, &[]),
            Self::Resize(Size { columns, rows }) => {
                append(stream, 0x05, &[&columns.to_be_bytes(), &rows.to_be_bytes()])
            }
            Self::Signal(signal) => append(stream, 0x06, &[signal.as_bytes()]),
        }
    }
}

impl<'a> Event<'a> {
    /// The first event of `stream` and how many bytes it takes; none when it is not whole yet.
    pub fn first(stream: &'a [u8]) -> Result<Option<(Self, usize)>, Malformed> {
        first(stream, Self::decode)
    }

    fn decode(kind: u8, payload: &'a [u8]) -> Result<Self, Malformed> {
        Ok(match (kind, payload) {
            (0x81, []) => Self::Started,
            (0x82, reason) => Self::Refused(text(kind, reason)?),
            (0x83, output) => Self::Output(output),
            (0x84, output) => Self::ErrorOutput(output),
            (0x85, &[a, b, c, d]) => Self::Credit(u32::from_be_bytes([a, b, c, d])),
            (0x86, &[code]) => Self::Exited(code),
            (0x87, &[core @ (0 | 1), ref signal @ ..]) => {
                Self::Killed { signal: text(kind, signal)?, core_dumped: core == 1 }
            }
            (0x81 | 0x85..=0x87, _) => return Err(Malformed::Payload(kind)),
            _ => return Err(Malformed::Kind(kind)),
        })
    }

    /// Appends the frame to `stream`. A payload longer than [`MAX_PAYLOAD`] is an error, and nothing is appended.
    pub fn append_to(&self, stream: &mut Vec<u8>) -> Result<(), Malformed> {
        match *self {
            Self::Started => append(stream, 0x81, &[]),
            Self::Refused(reason) => append(stream, 0x82, &[reason.as_bytes()]),
            Self::Output(output) => append(stream, 0x83, &[output]),
            Self::ErrorOutput(output) => append(stream, 0x84, &[output]),
            Self::Credit(more) => append(stream, 0x85, &[&more.to_be_bytes()]),
            Self::Exited(code) => append(stream, 0x86, &[&[code]]),
            Self::Killed { signal, core_dumped } => {
                append(stream, 0x87, &[&[u8::from(core_dumped)], signal.as_bytes()])
            }
        }
    }
}

fn first<'a, T>(
    stream: &'a [u8],
    decode: impl FnOnce(u8, &'a [u8]) -> Result<T, Malformed>,
) -> Result<Option<(T, usize)>, Malformed> {
    let Some((&[kind, a, b, c, d], rest)) = stream.split_first_chunk::<HEAD>() else { return Ok(None) };
    // Lengths that a machine of fewer bits cannot count are too long anyway.
    let length = usize::try_from(u32::from_be_bytes([a, b, c, d])).unwrap_or(usize::MAX);
    if length > MAX_PAYLOAD {
        return Err(Malformed::Length(length));
    }
    let Some(payload) = rest.get(..length) else { return Ok(None) };
    Ok(Some((decode(kind, payload)?, HEAD + length)))
}

fn append(stream: &mut Vec<u8>, kind: u8, payload: &[&[u8]]) -> Result<(), Malformed> {
    let length = payload.iter().map(|part| part.len()).sum();
    let written = u32::try_from(length).ok().filter(|_| length <= MAX_PAYLOAD).ok_or(Malformed::Length(length))?;
    stream.push(kind);
    stream.extend_from_slice(&written.to_be_bytes());
    for part in payload {
        stream.extend_from_slice(part);
    }
    Ok(())
}

fn text(kind: u8, payload: &[u8]) -> Result<&str, Malformed> {
    std::str::from_utf8(payload).map_err(|_| Malformed::Payload(kind))
}
