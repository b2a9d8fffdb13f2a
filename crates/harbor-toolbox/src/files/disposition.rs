//! File names in `Content-Disposition` (contract, toolbox §11.14).

use std::fmt::Write as _;

/// The header of a single download, with the raw Latin-1 bytes the contract asks for.
pub(super) fn attachment(name: &str) -> Vec<u8> {
    let mut header = b"attachment; filename=\"".to_vec();
    for letter in name.chars() {
        match quoted(letter) {
            Quoted::Nothing => {}
            Quoted::Escaped(ascii) => header.extend([b'\\', ascii]),
            Quoted::Letter(letter) => header.push(u8::try_from(u32::from(letter)).unwrap_or(b'_')),
        }
    }
    header.extend(b"\"; filename*=utf-8''");
    header.extend(percent_encoded(name).as_bytes());
    header
}

/// The header of one part of a bulk download.
///
/// Plain `filename` carries each UTF-8 byte of the path as a character of its own: the only spelling from which older
/// Python clients get the path back (§11.14, "Non-ASCII paths").
pub(super) fn form_data(field: &str, path: &str) -> String {
    let mut header = format!("form-data; name=\"{field}\"; filename=\"");
    for byte in path.bytes() {
        match quoted(char::from(byte)) {
            Quoted::Nothing => {}
            Quoted::Escaped(ascii) => header.extend(['\\', char::from(ascii)]),
            Quoted::Letter(letter) => header.push(letter),
        }
    }
    header.push_str("\"; filename*=utf-8''");
    header.push_str(&percent_encoded(path));
    header
}

/// A character inside a quoted string of a header.
enum Quoted {
    Nothing,
    Escaped(u8),
    Letter(char),
}

fn quoted(letter: char) -> Quoted {
    match letter {
        '\r' | '\n' | '\0' => Quoted::Nothing,
        '"' => Quoted::Escaped(b'"'),
        '\\' => Quoted::Escaped(b'\\'),
        letter if letter.is_ascii_control() => Quoted::Letter('_'),
        letter => Quoted::Letter(letter),
    }
}

fn percent_encoded(name: &str) -> String {
    let mut encoded = String::with_capacity(name.len());
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"!#$&+-.^_`|~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            let _ = write!(encoded, "%{byte:02X}"); // writing to a String cannot fail
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn attached(name: &str, expected: &[u8]) {
        assert_eq!(attachment(name), expected, "{}", attachment(name).escape_ascii());
    }

    #[test]
    fn attachments_fall_back_to_latin1() {
        attached("a.txt", b"attachment; filename=\"a.txt\"; filename*=utf-8''a.txt");
        attached("q\"u\\.txt", b"attachment; filename=\"q\\\"u\\\\.txt\"; filename*=utf-8''q%22u%5C.txt");
        attached("\u{fc}.txt", b"attachment; filename=\"\xfc.txt\"; filename*=utf-8''%C3%BC.txt");
        attached("\u{65e5}\u{672c}", b"attachment; filename=\"__\"; filename*=utf-8''%E6%97%A5%E6%9C%AC");
        attached("a\r\n\0\tb\x7f", b"attachment; filename=\"a_b_\"; filename*=utf-8''a%0D%0A%00%09b%7F");
        attached("a%;(x)~.txt", b"attachment; filename=\"a%;(x)~.txt\"; filename*=utf-8''a%25%3B%28x%29~.txt");
    }

    #[test]
    fn parts_encode_each_byte_twice() {
        assert_eq!(
            form_data("file", "d/\u{e9}.txt").as_bytes(),
            b"form-data; name=\"file\"; filename=\"d/\xC3\x83\xC2\xA9.txt\"; filename*=utf-8''d%2F%C3%A9.txt"
        );
        assert_eq!(
            form_data("error", "a\"b\n"),
            "form-data; name=\"error\"; filename=\"a\\\"b\"; filename*=utf-8''a%22b%0A"
        );
    }
}
