//! Searching one file for a text, line by line, in bounded memory.

use std::os::fd::OwnedFd;

use memchr::memmem::Finder;
use memchr::{memchr, memchr_iter, memrchr};
use rustix::io::{Errno, read};

/// A line of this many bytes, its end included, is the longest that is read; a longer one ends the file.
const LONGEST_LINE: usize = 64 * 1024;

/// A NUL among this many first bytes makes a file binary.
const SNIFFED: usize = 512;

/// The text searched for.
pub(super) struct Needle {
    finder: Finder<'static>,
}

impl Needle {
    /// Searches for exactly these bytes.
    pub(super) fn new(text: &[u8]) -> Self {
        Self { finder: Finder::new(text).into_owned() }
    }
}

/// A file being searched.
pub(super) struct Scan {
    file: OwnedFd,
    /// Bytes at the start of the buffer that were read but not searched yet: the beginning of a line.
    held: usize,
    /// Lines searched so far.
    lines: u64,
    /// The first bytes have been seen.
    sniffed: bool,
}

impl Scan {
    /// A search from the beginning of `file`, which is read without blocking should it be no regular file.
    pub(super) fn new(file: OwnedFd) -> Self {
        Self { file, held: 0, lines: 0, sniffed: false }
    }

    /// Searches as much as fits into `buffer`, which must be the same for all blocks of a file and larger than the
    /// longest line. Hands each matching line to `found` with its number, from 1. False once the file is done.
    pub(super) fn next_block(&mut self, buffer: &mut [u8], needle: &Needle, mut found: impl FnMut(u64, &[u8])) -> bool {
        let Ok(at_end) = self.fill(buffer) else { return false };
        let data = &buffer[..self.held];
        if !self.sniffed && memchr(0, &data[..data.len().min(SNIFFED)]).is_some() {
            return false;
        }
        self.sniffed = true;
        let complete = if at_end { data.len() } else { memrchr(b'\n', data).map_or(0, |last| last + 1) };
        if complete == 0 {
            return false; // nothing left, or one line fills the whole buffer
        }
        let readable = before_overlong(&data[..complete]);
        self.lines += search(&data[..readable], needle, self.lines, &mut found);
        if at_end || readable < complete {
            return false;
        }
        buffer.copy_within(complete..self.held, 0);
        self.held -= complete;
        true
    }

    /// Fills the buffer; true at the end of the file.
    fn fill(&mut self, buffer: &mut [u8]) -> Result<bool, Errno> {
        while self.held < buffer.len() {
            match read(&self.file, &mut buffer[self.held..]) {
                Ok(0) => return Ok(true),
                Ok(count) => self.held += count,
                Err(Errno::INTR) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(false)
    }
}

/// How much of `data` is before the first line that is too long.
fn before_overlong(data: &[u8]) -> usize {
    let mut line = 0;
    while data.len() - line >= LONGEST_LINE {
        match memrchr(b'\n', &data[line..line + LONGEST_LINE]) {
            Some(end) => line += end + 1,
            None => return line,
        }
    }
    data.len()
}

/// Searches whole lines, `before` of which came earlier; returns how many there are.
fn search(data: &[u8], needle: &Needle, before: u64, found: &mut impl FnMut(u64, &[u8])) -> u64 {
    let (mut line, mut lines) = (0, 0);
    while let Some(offset) = needle.finder.find(&data[line..]) {
        let hit = line + offset;
        let start = memrchr(b'\n', &data[line..hit]).map_or(line, |end| line + end + 1);
        lines += count(&data[line..start]);
        let end = memchr(b'\n', &data[hit..]).map_or(data.len(), |end| hit + end);
        let content = data[start..end].strip_suffix(b"\r").unwrap_or(&data[start..end]);
        // Not so for a text with line ends in it.
        if hit + needle.finder.needle().len() <= start + content.len() {
            found(before + lines + 1, content);
        }
        if end == data.len() {
            return lines + 1;
        }
        lines += 1;
        line = end + 1;
    }
    lines + count(&data[line..])
}

fn count(data: &[u8]) -> u64 {
    memchr_iter(b'\n', data).count() as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Seek as _, Write as _};

    fn scan(data: &[u8], needle: &str) -> Vec<(u64, String)> {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(data).unwrap();
        file.rewind().unwrap();
        let (mut scan, needle) = (Scan::new(file.into()), Needle::new(needle.as_bytes()));
        let mut buffer = vec![0; 100_000];
        let mut found = Vec::new();
        while scan.next_block(&mut buffer, &needle, |line, content| {
            found.push((line, String::from_utf8_lossy(content).into_owned()));
        }) {}
        found
    }

    #[track_caller]
    fn check(data: &[u8], needle: &str, expected: &[(u64, &str)]) {
        let expected: Vec<_> = expected.iter().map(|(line, content)| (*line, (*content).to_owned())).collect();
        assert_eq!(scan(data, needle), expected);
    }

    #[test]
    fn a_line_is_found_once_and_without_its_end() {
        check(b"one\ntwo needle needle\nthree\n", "needle", &[(2, "two needle needle")]);
        check(b"needle first\r\nNeedle\nneedle", "needle", &[(1, "needle first"), (3, "needle")]);
        check(b"\n\nx\n", "x", &[(3, "x")]);
        check(b"", "x", &[]);
        check(b"a\r\nb", "a\r", &[]);
        check(b"a\nb", "a\nb", &[]);
    }

    #[test]
    fn binary_files_are_skipped() {
        check(b"needle\0", "needle", &[]);
        let mut late = vec![b'0'; 600];
        late.extend(b"\0needle\n");
        assert_eq!(scan(&late, "needle").len(), 1);
    }

    #[test]
    fn lines_are_counted_across_blocks() {
        let mut data = "0123456789012345678\n".repeat(50_000).into_bytes();
        data.extend(b"needle");
        check(&data, "needle", &[(50_001, "needle")]);
        assert_eq!(scan(&data, "9012345678").len(), 50_000);
    }

    #[test]
    fn an_overlong_line_ends_the_file() {
        let line = |length: usize| "x".repeat(length);
        for (length, expected) in [(65_535, vec![1, 2, 3]), (65_536, vec![1]), (400_000, vec![1])] {
            let data = format!("x\n{}\nx\n", line(length));
            assert_eq!(
                scan(data.as_bytes(), "x").iter().map(|found| found.0).collect::<Vec<_>>(),
                expected,
                "{length}"
            );
            let data = format!("x\n{}", line(length));
            assert_eq!(scan(data.as_bytes(), "x").len(), expected.len().min(2), "{length} at the end");
        }
    }

    #[test]
    fn what_is_no_file_is_not_waited_for() {
        let (reader, _writer) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::NONBLOCK).unwrap();
        assert!(!Scan::new(reader).next_block(&mut vec![0; 100_000], &Needle::new(b"x"), |_, _| {}));
    }
}
