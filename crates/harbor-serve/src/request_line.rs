//! Request targets as clients of the reference send them.
//!
//! Official clients and `curl -g` leave `"`, `<` and `>` in a query or path as they are. The reference takes them, the
//! HTTP library does not; so they are percent-encoded on their way to it. Nothing else is touched: neither where a line
//! ends, nor what follows the target.

/// How far a head's first line was read. It is looked at from its first byte on only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum RequestLine {
    /// Nothing of it has come.
    #[default]
    Ahead,
    /// So many letters of the method.
    Method(u8),
    /// The blank behind the method.
    Blank,
    /// Within the target.
    Target,
    /// Beyond the target, or not the beginning of a head after all.
    Passed,
}

/// Longer words are no method.
const LONGEST_METHOD: u8 = 20;

impl RequestLine {
    /// Reads on over `bytes`, and answers them with the target encoded; none where nothing has to be.
    pub(crate) fn encode(&mut self, bytes: &[u8]) -> Option<Vec<u8>> {
        let mut encoded: Option<Vec<u8>> = None;
        for (at, byte) in bytes.iter().enumerate() {
            if *self == Self::Passed {
                if let Some(encoded) = &mut encoded {
                    encoded.extend_from_slice(&bytes[at..]);
                }
                break;
            }
            let raw = *self == Self::Target && matches!(byte, b'"' | b'<' | b'>');
            if raw {
                let encoded = encoded.get_or_insert_with(|| bytes[..at].to_vec());
                encoded.extend_from_slice(format!("%{byte:02X}").as_bytes());
                continue;
            }
            if let Some(encoded) = &mut encoded {
                encoded.push(*byte);
            }
            *self = self.after(*byte);
        }
        encoded
    }

    fn after(self, byte: u8) -> Self {
        match (self, byte) {
            (Self::Ahead, b'\r' | b'\n') => Self::Ahead,
            (Self::Ahead, b'A'..=b'Z') => Self::Method(1),
            (Self::Method(length), b'A'..=b'Z' | b'-') if length < LONGEST_METHOD => Self::Method(length + 1),
            (Self::Method(_), b' ') => Self::Blank,
            (Self::Blank, b'/' | b'h' | b'H') => Self::Target,
            (Self::Target, byte) if !byte.is_ascii_whitespace() => Self::Target,
            (Self::Ahead | Self::Method(_) | Self::Blank | Self::Target | Self::Passed, _) => Self::Passed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// In one piece, and byte by byte.
    #[track_caller]
    fn check(head: &str, expected: &str) {
        let mut line = RequestLine::default();
        let whole = line.encode(head.as_bytes()).unwrap_or_else(|| head.as_bytes().to_vec());
        assert_eq!(String::from_utf8(whole).unwrap(), expected);
        let mut line = RequestLine::default();
        let pieces = head.bytes().flat_map(|byte| line.encode(&[byte]).unwrap_or_else(|| vec![byte]));
        assert_eq!(String::from_utf8(pieces.collect()).unwrap(), expected);
    }

    #[test]
    fn the_target_is_encoded_and_nothing_else() {
        check(
            "GET /api/sandbox?labels={\"a\":\"b\"} HTTP/1.1\r\nif-none-match: \"x\"\r\n\r\n<body>",
            "GET /api/sandbox?labels={%22a%22:%22b%22} HTTP/1.1\r\nif-none-match: \"x\"\r\n\r\n<body>",
        );
        check("\r\nM-SEARCH /<a>\" HTTP/1.1\r\n", "\r\nM-SEARCH /%3Ca%3E%22 HTTP/1.1\r\n");
        check("GET http://h/<> HTTP/1.1\r\n", "GET http://h/%3C%3E HTTP/1.1\r\n");
        check("GET /%22?x=%3c HTTP/1.1\r\n", "GET /%22?x=%3c HTTP/1.1\r\n");
        check("GET /\"\nx: \"\r\n", "GET /%22\nx: \"\r\n");
    }

    #[test]
    fn what_is_no_request_line_is_left_alone() {
        for head in
            ["x: \"<>\"\r\n", "W/\"tag\"\r\n", "foo <bar>\r\n", "GET  /\"\r\n", "\u{1}\"", "GET \"/\" HTTP/1.1\r\n"]
        {
            check(head, head);
        }
    }
}
