//! `POST /files/replace`: a literal text replaced in whole files (contract, toolbox §11.8).
//!
//! A file is changed in place, so it stays the same file: mode, owner, links to it. The new content is complete before
//! the first byte is changed, and room for it is reserved, so a full disk leaves the old one.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::Arc;

use axum::extract::State;
use memchr::memmem::Finder;
use rustix::fs::{FallocateFlags, OFlags, fallocate, fstat};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use super::query::Target;
use super::spool::Spool;
use super::stream::{CHUNK, blocking};
use super::{failure, open};
use crate::context::Context;
use crate::http::error::Error;
use crate::http::json::{Body, Json};

/// The request.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Order {
    files: Option<Vec<String>>,
    pattern: Option<String>,
    new_value: Option<String>,
}

/// How one file went.
#[derive(Serialize)]
pub(super) struct Outcome {
    file: String,
    success: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// Replaces in all files, one after the other; a file that fails does not stop the others.
pub(super) async fn replace(
    State(context): State<Context>,
    Body(order): Body<Order>,
) -> Result<Json<Vec<Outcome>>, Error> {
    let missing = |name: &str| Error::invalid_body(format!("{name} is required"));
    let files = order.files.ok_or_else(|| missing("files"))?;
    let pattern = order.pattern.filter(|pattern| !pattern.is_empty()).ok_or_else(|| missing("pattern"))?;
    let value: Arc<[u8]> = order.new_value.ok_or_else(|| missing("newValue"))?.into_bytes().into();
    let finder = Arc::new(Finder::new(pattern.as_bytes()).into_owned());
    let mut outcomes = Vec::with_capacity(files.len());
    for file in files {
        let target = Target::new(&context, file.as_bytes());
        let (finder, value) = (Arc::clone(&finder), Arc::clone(&value));
        let replaced = blocking(move || {
            let target = target?;
            replace_in(&target.full, &finder, &value).map_err(|error| failure::with_path(&target.given, &error))
        });
        let error = replaced.await.err().map(|error| error.without_prefix().to_string());
        outcomes.push(Outcome { file, success: error.is_none(), error });
    }
    Ok(Json(outcomes))
}

fn replace_in(path: &Path, finder: &Finder<'_>, value: &[u8]) -> io::Result<()> {
    if !contains(&open::regular_file(path)?.file, finder)? {
        return Ok(()); // which may be a file that cannot be written
    }
    let nonblocking = i32::try_from(OFlags::NONBLOCK.bits()).unwrap_or_default();
    let file = OpenOptions::new().read(true).write(true).custom_flags(nonblocking).open(path)?;
    open::refuse_special(&fstat(&file)?)?; // it may have been replaced
    match rewrite(&file, finder, value, Spool::new(path.parent().unwrap_or(Path::new("/"))))? {
        Some((from, content)) => overwrite(file, from, content),
        None => Ok(()),
    }
}

fn contains(mut file: &File, finder: &Finder<'_>) -> io::Result<bool> {
    let mut window = Window::new(finder);
    file.rewind()?;
    while window.fill(file)? {
        if finder.find(window.data()).is_some() {
            return Ok(true);
        }
        window.advance(0);
    }
    Ok(false)
}

/// Where the first occurrence is and everything from there on with all occurrences replaced; none without any.
fn rewrite(mut file: &File, finder: &Finder<'_>, value: &[u8], mut content: Spool) -> io::Result<Option<(u64, Spool)>> {
    let mut window = Window::new(finder);
    let mut first = None;
    file.rewind()?;
    while window.fill(file)? {
        let data = window.data();
        let mut done = 0;
        while let Some(offset) = finder.find(&data[done..]) {
            if first.is_some() {
                content.write_all(&data[done..done + offset])?;
            } else {
                first = Some(window.passed + (done + offset) as u64);
            }
            content.write_all(value)?;
            done += offset + finder.needle().len();
        }
        if first.is_some() {
            content.write_all(&data[done..window.settled(done)])?;
        }
        window.advance(done);
    }
    Ok(first.map(|first| (first, content)))
}

/// Puts `content` in place of everything from `from` on.
fn overwrite(mut file: File, from: u64, mut content: Spool) -> io::Result<()> {
    let (length, old) = (from + content.len(), file.metadata()?.len());
    if length > old {
        match fallocate(&file, FallocateFlags::KEEP_SIZE, old, length - old) {
            Ok(()) | Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => {}
            Err(error) => return Err(error.into()),
        }
    }
    file.seek(SeekFrom::Start(from))?;
    content.copy_to(&mut file)?;
    file.set_len(length)
}

/// A part of a file, moved along so that no occurrence of a text is cut in two unnoticed.
struct Window {
    buffer: Vec<u8>,
    /// Bytes of the buffer in use.
    held: usize,
    /// Bytes of the file before the buffer.
    passed: u64,
    /// Bytes that may be the beginning of an occurrence whose end has not been read.
    overlap: usize,
    at_end: bool,
}

impl Window {
    fn new(finder: &Finder<'_>) -> Self {
        let pattern = finder.needle().len();
        let buffer = vec![0; CHUNK.max(2 * pattern)];
        Self { buffer, held: 0, passed: 0, overlap: pattern - 1, at_end: false }
    }

    /// Reads more; false once the end has been seen.
    fn fill(&mut self, mut file: &File) -> io::Result<bool> {
        if self.at_end {
            return Ok(false);
        }
        let count = file.read(&mut self.buffer[self.held..])?;
        self.held += count;
        self.at_end = count == 0;
        Ok(true)
    }

    fn data(&self) -> &[u8] {
        &self.buffer[..self.held]
    }

    /// How much is settled when everything up to `done` is dealt with and nothing was found behind it.
    fn settled(&self, done: usize) -> usize {
        if self.at_end { self.held } else { done.max(self.held.saturating_sub(self.overlap)) }
    }

    fn advance(&mut self, done: usize) {
        let settled = self.settled(done);
        self.buffer.copy_within(settled..self.held, 0);
        self.held -= settled;
        self.passed += settled as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

    #[track_caller]
    fn check(before: &[u8], pattern: &str, value: &str, after: &[u8]) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("f");
        std::fs::write(&path, before).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
        std::fs::hard_link(&path, directory.path().join("other")).unwrap();
        replace_in(&path, &Finder::new(pattern), value.as_bytes()).unwrap();
        assert!(std::fs::read(directory.path().join("other")).unwrap() == after, "{pattern:?} by {value:?}");
        assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o777, 0o640);
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 2);
    }

    #[test]
    fn occurrences_are_replaced_literally() {
        check(b"a.b a.b axb", "a.b", "Z", b"Z Z axb");
        check(b"aaaaa", "aa", "b", b"bba");
        check(b"x\xff\0x", "x", "", b"\xff\0");
        check(b"none", "x", "y", b"none");
        check(b"one", "one", "longer than one", b"longer than one");
        check(b"", "x", "y", b"");
    }

    #[test]
    fn large_files_are_replaced_across_chunks() {
        for pattern in ["needle", "e"] {
            for value in ["", "longer needle", "n"] {
                let text = "some needle in the hay. ".repeat(100_000);
                check(text.as_bytes(), pattern, value, text.replace(pattern, value).as_bytes());
            }
        }
        let long = "0123456789".repeat(60_000);
        let text = format!("a{long}{long}b");
        check(text.as_bytes(), &long, "-", b"a--b");
    }
}
