//! Fuzzing of what git prints and of the addresses that callers give.

#![expect(clippy::missing_panics_doc, reason = "a panic is what fuzzing looks for")]

use std::path::Path;

use super::{source, status};

/// Output of `git status` of arbitrary bytes.
pub fn git_status(data: &[u8]) {
    serde_json::to_vec(&status::parse(data)).expect("a status is JSON");
}

/// An address of arbitrary text: no address of the web keeps a login.
pub fn git_source(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let source = source::Source::parse(&text, Path::new("/nowhere"));
    if let Some((_, rest)) = source.address.split_once("://").filter(|(scheme, _)| matches!(*scheme, "http" | "https"))
    {
        let authority = rest.split(['/', '?', '#']).next().unwrap_or(rest);
        assert!(!authority.contains('@'), "{}", source.address);
    }
    let _none_for_other_addresses = source::credentials_for(&source.address, "user".to_owned(), "password".to_owned());
}
