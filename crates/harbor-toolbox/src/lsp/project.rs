//! Files of a project, as the protocol names them and as the disk does.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, percent_encode};
use rustix::fs::{Mode, OFlags, open};

use super::language::Language;
use crate::context::Context;

/// Largest document, in bytes.
const DOCUMENT: u64 = 4 << 20;

/// Most sources that are searched for a symbol.
const SOURCES: usize = 200;

/// Most entries of directories that are looked at for sources.
const ENTRIES: usize = 20_000;

/// What a path in a URI shows as it is.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/').remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// Directories that hold no sources of the project's own.
const FOREIGN: [&str; 6] = ["node_modules", "__pycache__", "site-packages", "venv", "build", "dist"];

/// The file that a client's `file://` URI means, as SDKs send it: not encoded, and relative to the work dir; where no
/// such file is, to the project, as their documentation says.
pub(super) fn path_of(context: &Context, project: &Path, uri: &str) -> PathBuf {
    let text = uri.strip_prefix("file://").unwrap_or(uri);
    let decoded: Vec<u8> = percent_decode_str(text).collect();
    let (plain, decoded) = (OsStr::new(text), OsStr::from_bytes(&decoded));
    let candidates = [context.resolve(plain), context.resolve(decoded), project.join(plain), project.join(decoded)];
    let found = candidates.iter().find(|path| path.exists()).unwrap_or(&candidates[1]);
    tidy(found)
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
    // What is no file is never waited for.
    let file = open(path, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty())?;
    let file = File::from(file);
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a file"));
    }
    let mut bytes = Vec::new();
    file.take(DOCUMENT + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > DOCUMENT {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("larger than {} MiB", DOCUMENT >> 20)));
    }
    Ok(String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()))
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
        std::fs::create_dir(directory.path().join("p")).unwrap();
        for name in ["a b%41.py", "p/in.py"] {
            std::fs::write(directory.path().join(name), "").unwrap();
        }
        let context = Context::new([].into(), directory.path().to_owned(), Processes::default());
        let here = |name: &str| directory.path().join(name);
        let path_of = |uri: &str| path_of(&context, &here("p"), uri);
        assert_eq!(path_of("file://dir/./x.py"), here("dir/x.py"));
        assert_eq!(path_of("file:///etc/passwd"), Path::new("/etc/passwd"));
        assert_eq!(path_of("file://a b%41.py"), here("a b%41.py"), "as it is on the disk");
        assert_eq!(path_of("file://in.py"), here("p/in.py"), "only the project has it");
        let encoded = uri_of(&here("a b%41.py"));
        assert!(encoded.ends_with("/a%20b%2541.py"), "{encoded}");
        assert_eq!(path_of(&encoded), here("a b%41.py"));
    }

    #[test]
    fn documents_are_files_of_a_bearable_size() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        std::fs::write(at("whole"), vec![b'x'; 4 << 20]).unwrap();
        std::fs::write(at("larger"), vec![b'x'; (4 << 20) + 1]).unwrap();
        std::fs::write(at("latin"), b"caf\xe9").unwrap();
        rustix::fs::mkfifoat(rustix::fs::CWD, at("fifo"), Mode::RUSR | Mode::WUSR).unwrap();
        assert_eq!(read(&at("whole")).unwrap().len(), 4 << 20);
        assert_eq!(read(&at("latin")).unwrap(), "caf\u{fffd}");
        assert_eq!(read(&at("larger")).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
        for none in ["fifo", ".", "missing"] {
            read(&at(none)).unwrap_err();
        }
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
