//! `daytona entrypoint logs`: the entrypoint's output for somebody inside the sandbox (contract, toolbox §4.1).
//!
//! Reads the log's file, as the toolbox's token is no business of processes in the sandbox. Standard output goes to
//! standard output and standard error to standard error, from the beginning of what is kept, for ever.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

use rustix::fs::SeekFrom as Where;

use super::demux::{Demux, Part, Stream, piece};
use super::entrypoint::{COMMAND, LOG, SESSION};

/// How often the log is looked at for more.
const LOOK: Duration = Duration::from_millis(100);

/// Copies the entrypoint's log to `output` and `error` until one of them is closed.
///
/// Errors: no entrypoint has written a log below `home`, or it cannot be read.
pub(crate) fn tail(home: &Path, output: &mut impl Write, error: &mut impl Write) -> io::Result<()> {
    let path = PathBuf::from(home).join(".daytona/sessions").join(SESSION).join(COMMAND).join(LOG);
    let mut log = File::open(&path).map_err(|reason| {
        io::Error::new(reason.kind(), format!("cannot read the entrypoint's log {}: {reason}", path.display()))
    })?;
    skip_dropped(&mut log)?;
    let streams = [Stream::Output, Stream::Error].map(|stream| Demux::new(Part::Only(stream)));
    let [mut stdout, mut stderr] = streams;
    let mut unread = Vec::new();
    loop {
        let more = io::Read::by_ref(&mut log).take(64 << 10).read_to_end(&mut unread)?;
        let length = if unread.is_empty() { 0 } else { piece(&unread) };
        let (mut text, mut errors) = (Vec::new(), Vec::new());
        stdout.take(&unread[..length], &mut text);
        stderr.take(&unread[..length], &mut errors);
        unread.drain(..length);
        if write(output, &text).is_err() || write(error, &errors).is_err() {
            return Ok(()); // nobody reads any more
        }
        if more == 0 {
            sleep(LOOK);
        }
    }
}

/// The beginning of a log that was long is a hole.
fn skip_dropped(log: &mut File) -> io::Result<()> {
    match rustix::fs::seek(&*log, Where::Data(0)) {
        Ok(begin) => log.seek(SeekFrom::Start(begin)).map(|_| ()),
        Err(rustix::io::Errno::NXIO) => log.seek(SeekFrom::End(0)).map(|_| ()),
        Err(_) => log.rewind(),
    }
}

fn write(to: &mut impl Write, text: &[u8]) -> io::Result<()> {
    to.write_all(text)?;
    to.flush()
}
