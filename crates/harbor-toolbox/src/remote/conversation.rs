//! One stream: its program, and frames both ways.

use std::time::Duration;

use bytes::{Buf as _, BytesMut};
use harbor_protocol::remote::{Event, INPUT_CREDIT, MAX_COMMAND, Request, Size};
use rustix::process::{Signal, WaitStatus};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, split};
use tokio::time::{sleep, timeout};

use super::ends::Started;
use super::program;
use crate::cgroup::MemoryWatch;
use crate::context::Context;
use crate::http::upgrade::Stream;
use crate::process::Child;

/// How long harbor may take to say what is to be run.
const INTRODUCTION: Duration = Duration::from_secs(30);

/// Most bytes read of a program at once; a frame of its own.
const READ: usize = 16 << 10;

/// No more is read of a program while so many bytes wait for harbor.
const UNREAD: usize = 64 << 10;

/// Credit is given back in pieces of at least so many bytes, which are worth a frame.
const CREDIT: usize = INPUT_CREDIT / 4;

/// How long a program may take to end after a hang-up.
const GRACE: Duration = Duration::from_secs(2);

/// The end-of-file character that terminals have unless told otherwise.
const END_OF_FILE: &[u8] = b"\x04";

/// How long the other side may take to close its half once ours is closed.
const GOODBYE: Duration = Duration::from_secs(2);

/// Why a conversation is over before its program is.
struct HungUp;

/// Runs what the other side asks for, to its end or that of the stream.
pub(super) async fn hold(context: &Context, mut stream: Stream) {
    let mut received = BytesMut::new();
    let introduced = timeout(INTRODUCTION, introduction(&mut stream, &mut received)).await;
    let Ok(Ok((command, start))) = introduced else { return };
    let started = serde_json::from_slice(&start).map_err(|error| format!("cannot read what to start: {error}"));
    match started.and_then(|start| program::start(context, &command, start)) {
        Ok(started) => Conversation::new(started, received).hold(stream).await,
        Err(reason) => {
            let mut refusal = Vec::new();
            if Event::Refused(&reason).append_to(&mut refusal).is_ok() {
                // Whoever asked may have gone.
                let _ = stream.write_all(&refusal).await;
            }
            say_goodbye(&mut stream).await;
        }
    }
}

/// Closes our half and reads on for a while: a stream with unread input is reset, and the last words are lost with it.
async fn say_goodbye(stream: &mut (impl AsyncRead + AsyncWrite + Unpin)) {
    if stream.shutdown().await.is_ok() {
        let mut ignored = vec![0; READ];
        let _ = timeout(GOODBYE, async { while matches!(stream.read(&mut ignored).await, Ok(1..)) {} }).await;
    }
}

/// Reads up to the frame that starts a program: the command and what that frame says.
async fn introduction(stream: &mut Stream, received: &mut BytesMut) -> Result<(Vec<u8>, Vec<u8>), HungUp> {
    let mut command = Vec::new();
    loop {
        while let Some((request, length)) = Request::first(received).map_err(|_| HungUp)? {
            match request {
                Request::Command(part) if command.len() + part.len() <= MAX_COMMAND => command.extend_from_slice(part),
                Request::Start(start) => {
                    let start = start.to_vec();
                    received.advance(length);
                    return Ok((command, start));
                }
                _ => return Err(HungUp),
            }
            received.advance(length);
        }
        received.reserve(READ);
        if !matches!(stream.read_buf(received).await, Ok(1..)) {
            return Err(HungUp);
        }
    }
}

/// A program under way. Dropped before its end, its process group is killed.
struct Conversation {
    program: Started,
    received: BytesMut,
    /// What the program has not read yet; never more than there was credit for.
    input: BytesMut,
    /// There will be no more.
    input_ended: bool,
    /// How many bytes of input the program has taken since credit was given last.
    taken: usize,
    /// Frames on their way to harbor.
    unread: Frames,
    /// The end of the program has been told.
    told: bool,
    memory: MemoryWatch,
}

impl Drop for Conversation {
    fn drop(&mut self) {
        if !self.program.child.has_ended() {
            self.program.child.group().signal(Signal::KILL);
        }
    }
}

impl Conversation {
    fn new(program: Started, received: BytesMut) -> Self {
        let mut unread = Frames::default();
        unread.push(&Event::Started);
        let input = BytesMut::new();
        let memory = MemoryWatch::begin();
        Self { program, received, input, input_ended: false, taken: 0, unread, told: false, memory }
    }

    async fn hold(mut self, stream: Stream) {
        if self.converse(stream).await.is_err() && !self.program.child.has_ended() {
            hang_up(&mut self.program.child).await;
        }
    }

    /// Carries frames both ways until the program has ended and nobody can write any more, or the other side is gone.
    async fn converse(&mut self, stream: Stream) -> Result<(), HungUp> {
        let (mut incoming, mut outgoing) = split(stream);
        let (mut output, mut error_output) = (vec![0; READ], vec![0; READ]);
        self.take_requests()?;
        loop {
            let Started { child, input, output: stdout, error_output: stderr, .. } = &mut self.program;
            let room = self.unread.rest().len() < UNREAD;
            if self.told && stdout.is_closed() && stderr.is_closed() && self.unread.rest().is_empty() {
                say_goodbye(&mut incoming.unsplit(outgoing)).await;
                return Ok(());
            }
            if room && self.taken >= CREDIT {
                self.unread.push(&Event::Credit(u32::try_from(self.taken).unwrap_or_default()));
                self.taken = 0;
            }
            self.received.reserve(READ);
            tokio::select! {
                read = incoming.read_buf(&mut self.received) => {
                    if !matches!(read, Ok(1..)) {
                        return Err(HungUp);
                    }
                    self.take_requests()?;
                }
                written = outgoing.write(self.unread.rest()), if !self.unread.rest().is_empty() => {
                    self.unread.advance(written.ok().filter(|&length| length > 0).ok_or(HungUp)?);
                }
                length = input.write(&self.input), if !self.input.is_empty() => self.note_taken(length),
                length = stdout.read(&mut output), if room && !stdout.is_closed() => if length > 0 {
                    self.unread.push(&Event::Output(&output[..length]));
                },
                length = stderr.read(&mut error_output), if room && !stderr.is_closed() => if length > 0 {
                    self.unread.push(&Event::ErrorOutput(&error_output[..length]));
                },
                status = child.end(), if !self.told => self.tell(status),
            }
        }
    }

    /// Does what has been asked for since.
    fn take_requests(&mut self) -> Result<(), HungUp> {
        while let Some((request, length)) = Request::first(&self.received).map_err(|_| HungUp)? {
            match request {
                Request::Input(text) if !self.input_ended => {
                    if self.input.len() + self.taken + text.len() > INPUT_CREDIT {
                        return Err(HungUp);
                    }
                    self.input.extend_from_slice(text);
                }
                Request::InputEnd => self.end_input(),
                Request::Resize(size) => self.resize(size),
                Request::Signal(name) => self.signal(name),
                Request::Command(_) | Request::Start(_) | Request::Input(_) => return Err(HungUp),
            }
            self.received.advance(length);
        }
        Ok(())
    }

    /// Tells how the program has ended.
    fn tell(&mut self, status: Option<WaitStatus>) {
        self.told = true;
        let succeeded = status.and_then(WaitStatus::exit_status) == Some(0);
        if let Some(verdict) = (!succeeded).then(|| self.memory.verdict()).flatten() {
            self.unread.push(&Event::ErrorOutput(format!("harbor: {verdict}\r\n").as_bytes()));
        }
        if let Some((signal, core_dumped)) = status.and_then(program::killed_by) {
            self.unread.push(&Event::Killed { signal: &signal, core_dumped });
        } else {
            let code = status.and_then(WaitStatus::exit_status).and_then(|code| u8::try_from(code).ok());
            self.unread.push(&Event::Exited(code.unwrap_or(u8::MAX)));
        }
    }

    fn note_taken(&mut self, length: usize) {
        self.input.advance(length);
        self.taken += length;
        if self.input.is_empty() {
            self.input = BytesMut::new();
            if self.input_ended {
                self.program.input.end();
            }
        }
    }

    /// A pipe is closed once everything in it has been read; on a terminal its end-of-file character is typed.
    fn end_input(&mut self) {
        if std::mem::replace(&mut self.input_ended, true) {
            return;
        }
        if self.program.terminal.is_some() {
            self.input.extend_from_slice(END_OF_FILE);
        } else if self.input.is_empty() {
            self.program.input.end();
        }
    }

    fn resize(&self, Size { columns, rows }: Size) {
        if let Some(terminal) = &self.program.terminal {
            // It may be closed by now.
            let _ = terminal.resize(crate::pty::Size { cols: columns, rows });
        }
    }

    /// Unknown signals kill, as the reference has it.
    fn signal(&self, name: &str) {
        self.program.child.group().signal(program::signal(name).unwrap_or(Signal::KILL));
    }
}

/// Tells a process group that its user has gone, and kills it if its leader stays.
async fn hang_up(child: &mut Child) {
    child.group().signal(Signal::HUP);
    // A stopped process takes a signal only once it goes on.
    child.group().signal(Signal::CONT);
    tokio::select! {
        _ = child.end() => {}
        () = sleep(GRACE) => child.group().signal(Signal::KILL),
    }
}

/// Events on their way out.
#[derive(Default)]
struct Frames {
    bytes: Vec<u8>,
    sent: usize,
}

impl Frames {
    fn push(&mut self, event: &Event<'_>) {
        // No event of ours is longer than a frame may be.
        let _ = event.append_to(&mut self.bytes);
    }

    fn rest(&self) -> &[u8] {
        &self.bytes[self.sent..]
    }

    fn advance(&mut self, length: usize) {
        self.sent += length;
        if self.rest().is_empty() {
            (self.bytes, self.sent) = (Vec::new(), 0);
        }
    }
}
