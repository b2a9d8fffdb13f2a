//! Fuzzing of the log format.

#![expect(clippy::missing_panics_doc, reason = "a panic is what fuzzing looks for")]

use super::demux::{Demux, Part, Stream, mark, piece};

/// A log of arbitrary bytes: its parts do not depend on how it was cut, and marked text comes out as it went in.
pub fn session_log(data: &[u8]) {
    for part in [Part::Raw, Part::Combined, Part::Only(Stream::Output), Part::Only(Stream::Error)] {
        let mut whole = Vec::new();
        Demux::new(part).take(data, &mut whole);
        let (mut demux, mut cut, mut rest) = (Demux::new(part), Vec::new(), data);
        while !rest.is_empty() {
            // what a reader has at once is short, and only `piece` of it is passed on
            let end = if rest.len() > 64 { piece(&rest[..64]) } else { rest.len() };
            demux.take(&rest[..end], &mut cut);
            rest = &rest[end..];
        }
        // a run of marker bytes longer than what is read at once is cut anywhere
        if !data.windows(61).any(|window| window.iter().all(|&byte| byte == 1 || byte == 2)) {
            assert_eq!(cut, whole, "{part:?}");
        }
    }
    let text: Vec<u8> = data.iter().copied().filter(|byte| !matches!(byte, 1 | 2)).collect();
    let (mut log, mut open) = (Vec::new(), None);
    for (number, piece) in text.chunks(7).enumerate() {
        let stream = if number % 3 == 0 { Stream::Error } else { Stream::Output };
        log.extend(mark(stream, piece, &mut open));
    }
    let mut combined = Vec::new();
    Demux::new(Part::Combined).take(&log, &mut combined);
    assert_eq!(combined, text);
}
