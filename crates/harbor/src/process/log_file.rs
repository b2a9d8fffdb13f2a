//! A log file that does not grow without bound.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

/// Size at which a file is put aside, in bytes.
const FULL: u64 = 10 * 1024 * 1024;

/// Files kept beside the current one: `.1` is the newest.
const KEPT: u32 = 3;

/// Appends whole lines; full files are renamed to `….1`, `….2`, `….3`.
#[derive(Debug)]
pub(crate) struct LogFile {
    path: PathBuf,
    file: File,
    size: u64,
    full: u64,
}

impl LogFile {
    /// Opens the file at `path` to append.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        Self::with_limit(path, FULL)
    }

    fn with_limit(path: &Path, full: u64) -> io::Result<Self> {
        let file = append(path)?;
        let size = file.metadata()?.len();
        Ok(Self { path: path.to_owned(), file, size, full })
    }

    fn rotate(&mut self) -> io::Result<()> {
        for number in (1..KEPT).rev() {
            match fs::rename(aside(&self.path, number), aside(&self.path, number + 1)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        fs::rename(&self.path, aside(&self.path, 1))?;
        self.file = append(&self.path)?;
        self.size = 0;
        Ok(())
    }
}

impl Write for LogFile {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if self.size > 0 && self.size + line.len() as u64 > self.full {
            self.rotate()?;
        }
        self.file.write_all(line)?;
        self.size += line.len() as u64;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// The file that was the current one `number` rotations ago.
pub(crate) fn aside(path: &Path, number: u32) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{number}"));
    PathBuf::from(name)
}

fn append(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).mode(0o600).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_file_is_put_aside_and_the_oldest_goes() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("harbor.log");
        let mut log = LogFile::with_limit(&path, 10).unwrap();
        for number in 1..=6 {
            log.write_all(format!("line {number}\n").as_bytes()).unwrap(); // 7 bytes each: one per file
        }
        let content = |path: &Path| fs::read_to_string(path).unwrap();
        assert_eq!(content(&path), "line 6\n");
        assert_eq!([1, 2, 3].map(|number| content(&aside(&path, number))), ["line 5\n", "line 4\n", "line 3\n"]);
        assert!(!aside(&path, 4).exists());
    }
}
