//! Small files that must be whole or absent, and readable by their owner alone.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

/// Writes `content` to `path` in one step: a reader, or a crash at any point, sees the old file or the new one.
/// Mode 0600. Makes the directory when it is missing (0700).
pub(crate) fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let written = write_beside(path, content)?;
    fs::rename(&written, path)?;
    sync_directory(path)
}

/// The content of `path`; when there is none, makes it from `generate` in one step. The flag says whether it was made.
///
/// Of two processes that do this at once, both get the same content.
pub(crate) fn read_or_generate<E: From<io::Error>>(
    path: &Path,
    generate: impl FnOnce() -> Result<String, E>,
) -> Result<(String, bool), E> {
    if let Some(content) = read(path)? {
        return Ok((content, false));
    }
    let written = write_beside(path, generate()?.as_bytes())?;
    let linked = fs::hard_link(&written, path); // unlike a rename, never replaces
    fs::remove_file(&written)?;
    match linked {
        Ok(()) => sync_directory(path)?,
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(error.into()),
    }
    let content = read(path)?.ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
    Ok((content, true))
}

/// The content of `path` without the newline at its end, tightening a mode that lets others read; `None`: no file,
/// or one that a crash of the file system left empty.
pub(crate) fn read(path: &Path) -> io::Result<Option<String>> {
    let content = match fs::read_to_string(path) {
        Ok(content) => content,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    if fs::metadata(path)?.permissions().mode() & 0o077 != 0 {
        fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
    }
    let content = content.trim_end_matches('\n');
    if content.is_empty() {
        fs::remove_file(path)?;
        return Ok(None);
    }
    Ok(Some(content.to_owned()))
}

fn write_beside(path: &Path, content: &[u8]) -> io::Result<PathBuf> {
    if let Some(parent) = path.parent().filter(|parent| !parent.is_dir()) {
        use std::os::unix::fs::DirBuilderExt as _;
        fs::DirBuilder::new().recursive(true).mode(0o700).create(parent)?;
    }
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let beside = path.with_file_name(format!(".{name}.{:016x}.new", rand::random::<u64>()));
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
    file.write_all(content)?;
    file.sync_all()?;
    Ok(beside)
}

fn sync_directory(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(parent) => File::open(parent)?.sync_all(),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn generated(path: &Path, content: &str) -> (String, bool) {
        read_or_generate::<io::Error>(path, || Ok(content.to_owned())).unwrap()
    }

    #[test]
    fn a_secret_is_made_once_and_is_private() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("keys/secret");
        assert_eq!(generated(&path, "one"), ("one".to_owned(), true));
        assert_eq!(generated(&path, "two"), ("one".to_owned(), false));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "nothing is left beside it");
    }

    #[test]
    fn what_a_crash_left_is_made_good() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("secret");
        fs::write(directory.path().join(".secret.1.new"), "half").unwrap(); // before the link
        assert_eq!(generated(&path, "whole"), ("whole".to_owned(), true));
        fs::write(&path, "").unwrap(); // power lost on a file system that reorders
        assert_eq!(generated(&path, "again"), ("again".to_owned(), true));
    }

    #[test]
    fn a_mode_that_lets_others_read_is_tightened() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("secret");
        fs::write(&path, "x\n").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        assert_eq!(read(&path).unwrap().as_deref(), Some("x"));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn two_at_once_agree() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("secret");
        let barrier = std::sync::Barrier::new(2);
        let (one, two) = std::thread::scope(|scope| {
            let race = |content: &'static str| {
                let (path, barrier) = (&path, &barrier);
                scope.spawn(move || {
                    barrier.wait();
                    generated(path, content).0
                })
            };
            let (one, two) = (race("one"), race("two"));
            (one.join().unwrap(), two.join().unwrap())
        });
        assert_eq!(one, two);
    }
}
