//! How extended attributes and link targets stand in PAX records, which readers of archives take apart at line ends and at
//! the first `=`: what could be mistaken there is written in hexadecimal.

use std::ffi::{OsStr, OsString};
use std::fmt::Write as _;
use std::os::unix::ffi::{OsStrExt, OsStringExt};

/// Prefix of a record that holds an extended attribute, as GNU tar and containerd write it.
const PLAIN: &str = "SCHILY.xattr.";

/// Prefix of a record that holds an extended attribute whose name or value others would misread: both in hexadecimal.
const ENCODED: &str = "HARBOR.xattr.";

/// Record of a symbolic link's target, byte for byte, in hexadecimal: a plain entry holds it tidied up.
const LINK: &str = "HARBOR.link";

/// The record of an extended attribute.
pub(crate) fn record(name: &OsStr, value: Vec<u8>) -> (String, Vec<u8>) {
    match name.to_str().filter(|name| !name.contains(['=', '\n'])) {
        Some(name) if !value.contains(&b'\n') => (format!("{PLAIN}{name}"), value),
        _ => (format!("{ENCODED}{}", hexadecimal(name.as_bytes())), hexadecimal(&value).into_bytes()),
    }
}

/// The extended attribute of a record, if it is of one.
pub(crate) fn attribute(key: &str, value: &[u8]) -> Option<(OsString, Vec<u8>)> {
    if let Some(name) = key.strip_prefix(PLAIN) {
        return Some((name.into(), value.to_vec()));
    }
    Some((OsString::from_vec(bytes(key.strip_prefix(ENCODED)?.as_bytes())?), bytes(value)?))
}

/// The record of a symbolic link's target.
pub(crate) fn link_record(target: &OsStr) -> (String, Vec<u8>) {
    (LINK.to_owned(), hexadecimal(target.as_bytes()).into_bytes())
}

/// The target of a record, if it is of one.
pub(crate) fn link(key: &str, value: &[u8]) -> Option<OsString> {
    (key == LINK).then(|| bytes(value)).flatten().map(OsString::from_vec)
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _writing_to_text_never_fails = write!(text, "{byte:02x}");
        text
    })
}

fn bytes(text: &[u8]) -> Option<Vec<u8>> {
    let (pairs, rest) = text.as_chunks::<2>();
    let byte = |pair: &[u8; 2]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    if rest.is_empty() { pairs.iter().map(byte).collect() } else { None }
}
