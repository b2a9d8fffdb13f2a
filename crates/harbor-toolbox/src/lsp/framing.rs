//! Messages on a byte stream: a head with `Content-Length`, an empty line, that many bytes.

use std::ops::Range;

/// Most bytes of a head.
const HEAD: usize = 8 << 10;

/// Most bytes of a body; a longer one ends the server.
const BODY: usize = 16 << 20;

/// What is no message; the stream cannot be read any further.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Malformed {
    #[error("the language server sent a head of more than {HEAD} bytes")]
    LongHead,
    #[error("the language server sent a head without a length")]
    NoLength,
    #[error("the language server sent a message of more than {BODY} bytes")]
    LongBody,
}

/// Where the body of the first message in `stream` lies; none when the message is not whole yet.
///
/// Heads may hold other fields, in any letter case, and lines may end without a carriage return.
pub(super) fn first_body(stream: &[u8]) -> Result<Option<Range<usize>>, Malformed> {
    let mut length = None;
    let mut at = 0;
    loop {
        let window = &stream[at..stream.len().min(HEAD)];
        let Some(end) = memchr::memchr(b'\n', window) else {
            return if stream.len() >= HEAD { Err(Malformed::LongHead) } else { Ok(None) };
        };
        let line = window[..end].strip_suffix(b"\r").unwrap_or(&window[..end]);
        at += end + 1;
        if line.is_empty() {
            break;
        }
        length = content_length(line).or(length);
    }
    let length = length.ok_or(Malformed::NoLength)?;
    if length > BODY {
        return Err(Malformed::LongBody);
    }
    let body = at..at + length;
    Ok(Some(body).filter(|body| body.end <= stream.len()))
}

fn content_length(line: &[u8]) -> Option<usize> {
    let (name, value) = std::str::from_utf8(line).ok()?.split_once(':')?;
    if !name.trim().eq_ignore_ascii_case("content-length") {
        return None;
    }
    let digits = value.trim();
    // More digits than a number holds are a number that is too large.
    if !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit()) {
        Some(digits.parse().unwrap_or(usize::MAX))
    } else {
        None
    }
}

/// `body` as a message.
pub(super) fn framed(body: &[u8]) -> Vec<u8> {
    let head = format!("Content-Length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_comes_out_as_it_went_in_however_it_is_cut() {
        let stream = [framed(b"{\"a\":1}"), framed(b""), framed("ü\r\n\r\n".as_bytes())].concat();
        for cut in 0..stream.len() {
            if let Some(body) = first_body(&stream[..cut]).unwrap() {
                assert_eq!(&stream[body], b"{\"a\":1}", "{cut}");
            } else {
                assert!(cut < framed(b"{\"a\":1}").len(), "{cut}");
            }
        }
        let mut rest = stream.as_slice();
        let mut bodies = Vec::new();
        while let Some(body) = first_body(rest).unwrap() {
            bodies.push(rest[body.clone()].to_vec());
            rest = &rest[body.end..];
        }
        assert_eq!(bodies, [b"{\"a\":1}".to_vec(), Vec::new(), "ü\r\n\r\n".as_bytes().to_vec()]);
    }

    #[test]
    fn heads_may_be_written_in_several_ways() {
        for head in [
            "content-length:2\r\n\r\n",
            "Content-Type: x; charset=utf-8\r\nContent-Length: 2\r\n\r\n",
            "CONTENT-LENGTH: 2\n\n",
        ] {
            let stream = format!("{head}{{}}");
            assert_eq!(first_body(stream.as_bytes()), Ok(Some(head.len()..head.len() + 2)), "{head:?}");
        }
    }

    #[test]
    fn what_is_no_message_is_refused() {
        assert_eq!(first_body(b"hello\r\n\r\n"), Err(Malformed::NoLength));
        assert_eq!(first_body(b"Content-Length: -1\r\n\r\n"), Err(Malformed::NoLength));
        assert_eq!(first_body(b"Content-Length: 99999999999\r\n\r\n"), Err(Malformed::LongBody));
        assert_eq!(first_body(b"Content-Length: 99999999999999999999999\r\n\r\n"), Err(Malformed::LongBody));
        assert_eq!(first_body(&vec![b'x'; HEAD]), Err(Malformed::LongHead));
        assert_eq!(first_body(&[b"a: b\r\n".repeat(HEAD), b"\r\n".to_vec()].concat()), Err(Malformed::LongHead));
        assert_eq!(first_body(&vec![b'x'; HEAD - 1]), Ok(None));
        assert_eq!(first_body(b"\xff\xff\r\n\r\n"), Err(Malformed::NoLength));
    }
}
