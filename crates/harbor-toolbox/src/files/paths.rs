//! Paths as text, the way the reference spells them in its answers (contract, toolbox §11.1 and §11.10).
//!
//! These functions only shuffle bytes and never look at the disk, so `a/../b` is `b` even where `a` is a link; they are
//! for what an answer says, never for what is opened.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

/// The shortest equal spelling: no empty and no `.` elements, `..` resolved against what is before it, `.` for nothing.
pub(super) fn clean(path: &[u8]) -> Vec<u8> {
    let rooted = path.first() == Some(&b'/');
    let mut kept: Vec<&[u8]> = Vec::new();
    for element in path.split(|&byte| byte == b'/') {
        match element {
            b"" | b"." => {}
            b".." if kept.last().is_some_and(|last| *last != b"..") => {
                kept.pop();
            }
            b".." if rooted => {}
            element => kept.push(element),
        }
    }
    let joined = kept.join(&b'/');
    match (rooted, joined.is_empty()) {
        (true, _) => [b"/", joined.as_slice()].concat(),
        (false, true) => b".".to_vec(),
        (false, false) => joined,
    }
}

/// What to put before the name of an entry of the directory `root`: cleaned, and nothing for `.`.
pub(super) fn prefix(root: &[u8]) -> Vec<u8> {
    let mut prefix = clean(root);
    match prefix.as_slice() {
        b"." => prefix.clear(),
        b"/" => {}
        _ => prefix.push(b'/'),
    }
    prefix
}

/// The last element, trailing slashes ignored; `.` for an empty path and `/` for the root.
pub(super) fn base(path: &[u8]) -> &[u8] {
    let trimmed = &path[..path.iter().rposition(|&byte| byte != b'/').map_or(0, |last| last + 1)];
    match (path.is_empty(), trimmed.is_empty()) {
        (true, _) => b".",
        (false, true) => b"/",
        (false, false) => trimmed.rsplit(|&byte| byte == b'/').next().unwrap_or(trimmed),
    }
}

/// Whether `name` names an entry of a directory and nothing else.
pub(super) fn is_plain_name(name: &str) -> bool {
    !matches!(name, "" | "." | "..") && !name.contains(['/', '\0'])
}

/// A path from bytes of a request.
pub(super) fn from_bytes(bytes: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(bytes))
}

/// A path as text for an answer; what is not UTF-8 becomes U+FFFD.
pub(super) fn text(path: &[u8]) -> String {
    String::from_utf8_lossy(path).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(function: impl Fn(&[u8]) -> Vec<u8>, cases: &[(&str, &str)]) {
        for (given, expected) in cases {
            assert_eq!(text(&function(given.as_bytes())), *expected, "of {given:?}");
        }
    }

    #[test]
    fn cleaning_follows_the_rules_of_go() {
        check(
            clean,
            &[
                ("", "."),
                (".", "."),
                ("/", "/"),
                ("//a//b/", "/a/b"),
                ("./d/", "d"),
                ("a/./b", "a/b"),
                ("a/../b", "b"),
                ("a/..", "."),
                ("../a/../..", "../.."),
                ("/../a", "/a"),
                ("/..", "/"),
            ],
        );
    }

    #[test]
    fn entries_hang_below_the_cleaned_root() {
        check(prefix, &[(".", ""), ("/", "/"), ("./d/", "d/"), ("/a/", "/a/"), ("", "")]);
    }

    #[test]
    fn the_base_ignores_trailing_slashes() {
        check(
            |path| base(path).to_vec(),
            &[("", "."), (".", "."), ("/", "/"), ("//", "/"), ("/a/b/", "b"), ("a", "a"), ("a/.", ".")],
        );
    }

    #[test]
    fn only_names_of_entries_are_plain() {
        for (name, plain) in
            [("a.txt", true), ("...", true), ("", false), ("..", false), ("a/b", false), ("a\0", false)]
        {
            assert_eq!(is_plain_name(name), plain, "{name:?}");
        }
    }
}
