//! The format of a log: every line behind the marker of its stream (contract, toolbox §8.7).
//!
//! Plain functions over bytes that anything may have written. Marker bytes that a command writes act as markers.

use crate::characters::complete;

/// Bytes before each line of standard output and of standard error.
const MARKERS: [[u8; 3]; 2] = [[1; 3], [2; 3]];

/// Where a line comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stream {
    /// Standard output.
    Output,
    /// Standard error.
    Error,
}

/// What of a log is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// Everything, markers included.
    Raw,
    /// Everything without the markers.
    Combined,
    /// The lines of one stream, without markers; bytes before the first marker belong to none.
    Only(Stream),
}

impl Stream {
    fn marker(self) -> [u8; 3] {
        match self {
            Self::Output => MARKERS[0],
            Self::Error => MARKERS[1],
        }
    }
}

/// `text` with a marker before each of its lines; `open` is the stream whose line the log stands in.
pub(super) fn mark(stream: Stream, text: &[u8], open: &mut Option<Stream>) -> Vec<u8> {
    let mut marked = Vec::with_capacity(text.len() + 16);
    for line in text.split_inclusive(|&byte| byte == b'\n') {
        if *open != Some(stream) {
            marked.extend(stream.marker());
        }
        marked.extend(line);
        *open = (!line.ends_with(b"\n")).then_some(stream);
    }
    marked
}

/// Takes a part out of a log that comes in pieces. No piece may end within a marker; see [`piece`].
#[derive(Clone, Copy, Debug)]
pub(super) struct Demux {
    part: Part,
    current: Option<Stream>,
}

impl Demux {
    /// For a log from its beginning.
    pub(super) fn new(part: Part) -> Self {
        Self { part, current: None }
    }

    /// Appends what is wanted of `piece` to `wanted`.
    pub(super) fn take(&mut self, piece: &[u8], wanted: &mut Vec<u8>) {
        if self.part == Part::Raw {
            wanted.extend(piece);
            return;
        }
        let mut rest = piece;
        while !rest.is_empty() {
            if let Some(stream) = marked(rest) {
                self.current = Some(stream);
                rest = &rest[3..];
                continue;
            }
            // A byte that looks like a marker and begins none is text.
            let end = 1 + rest[1..].iter().position(|&byte| byte == 1 || byte == 2).unwrap_or(rest.len() - 1);
            if self.wants() {
                wanted.extend(&rest[..end]);
            }
            rest = &rest[end..];
        }
    }

    fn wants(self) -> bool {
        match self.part {
            Part::Raw | Part::Combined => true,
            Part::Only(stream) => self.current == Some(stream),
        }
    }
}

fn marked(text: &[u8]) -> Option<Stream> {
    [Stream::Output, Stream::Error].into_iter().find(|stream| text.starts_with(&stream.marker()))
}

/// Length of the longest beginning of `text` that can be passed on by itself: whole lines, or a piece of a longer line
/// that ends neither in what may be part of a marker nor within a character. Never 0 for a text that is not empty.
pub(super) fn piece(text: &[u8]) -> usize {
    if let Some(end) = memchr::memrchr(b'\n', text) {
        return end + 1;
    }
    let mut end = text.len();
    while end > 0 && matches!(text[end - 1], 1 | 2) {
        end -= 1;
    }
    end = complete(&text[..end]);
    if end == 0 { text.len() } else { end }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(log: &[u8], part: Part, expected: &[u8]) {
        let mut wanted = Vec::new();
        Demux::new(part).take(log, &mut wanted);
        assert_eq!(wanted, expected);
    }

    #[test]
    fn each_line_has_its_marker() {
        let mut open = None;
        let mut marked = mark(Stream::Output, b"a\n\nb\n", &mut open);
        marked.extend(mark(Stream::Error, b"e\n", &mut open));
        assert_eq!(marked, b"\x01\x01\x01a\n\x01\x01\x01\n\x01\x01\x01b\n\x02\x02\x02e\n");
    }

    #[test]
    fn pieces_of_a_long_line_join_unless_the_other_stream_came_between() {
        let mut open = None;
        let mut marked = mark(Stream::Output, b"lo", &mut open);
        marked.extend(mark(Stream::Output, b"ng", &mut open));
        marked.extend(mark(Stream::Error, b"e\n", &mut open));
        marked.extend(mark(Stream::Output, b"er\n", &mut open));
        assert_eq!(marked, b"\x01\x01\x01long\x02\x02\x02e\n\x01\x01\x01er\n");
        check(&marked, Part::Only(Stream::Output), b"longer\n");
    }

    #[test]
    fn streams_are_taken_apart_and_what_has_no_marker_is_dropped() {
        let log = b"lost\x01\x01\x01a\n\x02\x02\x02b\n\x01\x01\x01c\n";
        check(log, Part::Only(Stream::Output), b"a\nc\n");
        check(log, Part::Only(Stream::Error), b"b\n");
        check(log, Part::Combined, b"losta\nb\nc\n");
        check(log, Part::Raw, log);
    }

    #[test]
    fn fewer_bytes_than_a_marker_are_text() {
        check(b"\x01\x01\x01\x02a\x01\x01b\x02", Part::Only(Stream::Output), b"\x02a\x01\x01b\x02");
        check(b"\x01\x01\x01\x01\x01\x01\x01x", Part::Only(Stream::Output), b"\x01x");
    }

    #[test]
    fn pieces_end_at_a_line_or_where_nothing_is_torn() {
        for (text, whole) in [
            (&b"a\nb"[..], 2),
            (b"abc", 3),
            (b"abc\x01\x01", 3),
            (b"\x01\x01", 2),
            ("abü".as_bytes(), 4),
            (&"abü".as_bytes()[..3], 2),
            (&"ab\u{1f642}".as_bytes()[..5], 2),
            (b"\x80\x80\x80\x80\x80", 5),
            (&"ü".as_bytes()[..1], 1),
        ] {
            assert_eq!(piece(text), whole, "{text:?}");
        }
    }

    #[test]
    fn a_log_in_pieces_is_the_same_log() {
        let log = "\u{1}\u{1}\u{1}grüße\u{1}\n\u{2}\u{2}\u{2}\u{1f642}\u{2}x\n\u{1}\u{1}\u{1}end".as_bytes();
        for size in 1..log.len() {
            for part in [Part::Raw, Part::Combined, Part::Only(Stream::Output), Part::Only(Stream::Error)] {
                let (mut whole, mut joined) = (Vec::new(), Vec::new());
                Demux::new(part).take(log, &mut whole);
                let (mut demux, mut at) = (Demux::new(part), 0);
                while at < log.len() {
                    let window = &log[at..log.len().min(at + size.max(8))];
                    let length = piece(window);
                    demux.take(&window[..length], &mut joined);
                    at += length;
                }
                assert_eq!(joined, whole, "{part:?} in windows of {size}");
            }
        }
    }
}
