//! Files of a project, as the protocol names them and as the disk does.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, percent_encode};

use super::language::Language;
use crate::context::Context;

/// Largest document, in bytes.
const DOCUMENT: u64 = 16 << 20;

/// Most sources that are searched for a symbol.
const SOURCES: usize = 200;

/// Most entries of directories that are looked at for sources.
const ENTRIES: usize = 20_000;

/// What a path in a URI shows as it is.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/').remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// Directories that hold no sources of the project's own.
const FOREIGN: [&str; 6] = ["node_modules", "__pycache__", "site-packages", "venv", "build", "dist"];

/// The file that a client's `file://` URI means; relative ones are of the work dir, as SDKs send them unencoded.
pub(super) fn path_of(context: &Context, uri: &str) -> PathBuf {
    let text = uri.strip_prefix("file://").unwrap_or(uri);
    let plain = tidy(&context.resolve(text));
    if plain.exists() {
        return plain;
    }
    let decoded: Vec<u8> = percent_decode_str(text).collect();
    tidy(&context.resolve(OsStr::from_bytes(&decoded)))
}

/// The URI of a file.
pub(super) fn uri_of(path: &Path) -> String {
    format!("file://{}", percent_encode(path.as_os_str().as_bytes(), PLAIN))
}

/// The same path without `.` and doubled slashes.
pub(super) fn tidy(path: &Path) -> PathBuf {
    path.components().collect()
}

/// The text of a document; what is not UTF-8 becomes U+FFFD.
pub(super) fn read(path: &Path) -> io::Result<String> {
    let found = std::fs::metadata(path)?;
    if !found.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a file"));
    }
    if found.len() > DOCUMENT {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("larger than {} MiB", DOCUMENT >> 20)));
    }
    std::fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
}

/// Sources below `root`, nearest first and not more than a search can bear.
pub(super) fn sources(root: &Path, language: Language) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut directories = std::collections::VecDeque::from([root.to_owned()]);
    let mut looked_at = 0;
    while let Some(directory) = directories.pop_front() {
        let Ok(entries) = std::fs::read_dir(&directory) else { continue };
        let mut entries: Vec<_> = entries.flatten().collect();
        entries.sort_by_key(std::fs::DirEntry::file_name);
        for entry in entries {
            looked_at += 1;
            if looked_at > ENTRIES || found.len() >= SOURCES {
                return found;
            }
            let (path, name) = (entry.path(), entry.file_name());
            let foreign = FOREIGN.iter().any(|&foreign| name == foreign) || name.as_bytes().starts_with(b".");
            match entry.file_type() {
                Ok(kind) if kind.is_dir() && !foreign => directories.push_back(path),
                Ok(kind) if kind.is_file() && language.has_source(&path) => found.push(path),
                _ => {}
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::Processes;

    #[test]
    fn uris_are_those_of_sdks_and_of_servers() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("a b%41.py"), "").unwrap();
        let context = Context::new([].into(), directory.path().to_owned(), Processes::default());
        let here = |name: &str| directory.path().join(name);
        assert_eq!(path_of(&context, "file://dir/./x.py"), here("dir/x.py"));
        assert_eq!(path_of(&context, "file:///etc/passwd"), Path::new("/etc/passwd"));
        assert_eq!(path_of(&context, "file://a b%41.py"), here("a b%41.py"), "as it is on the disk");
        let encoded = uri_of(&here("a b%41.py"));
        assert!(encoded.ends_with("/a%20b%2541.py"), "{encoded}");
        assert_eq!(path_of(&context, &encoded), here("a b%41.py"));
    }

    #[test]
    fn a_search_stays_in_the_project() {
        let directory = tempfile::tempdir().unwrap();
        for name in ["b.py", "a.py", "sub/c.py", "node_modules/d.py", ".git/e.py", "sub/f.txt"] {
            let path = directory.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        let found = sources(directory.path(), Language::Python);
        let names: Vec<_> = found.iter().map(|path| path.strip_prefix(directory.path()).unwrap()).collect();
        assert_eq!(names, [Path::new("a.py"), Path::new("b.py"), Path::new("sub/c.py")]);
    }
}
