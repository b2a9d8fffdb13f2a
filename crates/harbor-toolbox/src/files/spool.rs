//! Bytes kept until they are complete: in memory while few, else in a file that has no name.

use std::fs::File;
use std::io::{self, Seek as _, Write};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::io::Errno;
use uuid::Uuid;

/// Up to this many bytes stay in memory.
const IN_MEMORY: usize = 1 << 20;

/// Bytes written, to be copied elsewhere later. Nothing is left behind, whatever happens.
pub(super) struct Spool {
    memory: Vec<u8>,
    file: Option<File>,
    length: u64,
    directory: PathBuf,
}

impl Spool {
    /// Large content is kept on the disk of `directory`, or in the directory for temporary files.
    pub(super) fn new(directory: &Path) -> Self {
        Self { memory: Vec::new(), file: None, length: 0, directory: directory.to_owned() }
    }

    /// Bytes written.
    pub(super) fn len(&self) -> u64 {
        self.length
    }

    /// Copies everything written to `target`.
    pub(super) fn copy_to(&mut self, target: &mut File) -> io::Result<()> {
        match &mut self.file {
            None => target.write_all(&self.memory),
            Some(file) => {
                file.rewind()?;
                io::copy(file, target).map(drop)
            }
        }
    }

    fn spill(&mut self) -> io::Result<&mut File> {
        let mut file = nameless(&self.directory).or_else(|_| nameless(&std::env::temp_dir()))?;
        file.write_all(&self.memory)?;
        self.memory = Vec::new();
        Ok(self.file.insert(file))
    }
}

impl Write for Spool {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = match &mut self.file {
            Some(file) => file.write(bytes)?,
            None if self.memory.len() + bytes.len() <= IN_MEMORY => {
                self.memory.extend_from_slice(bytes);
                bytes.len()
            }
            None => self.spill()?.write(bytes)?,
        };
        self.length += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A file in `directory` without a name, also where the file system has no such thing.
fn nameless(directory: &Path) -> io::Result<File> {
    let mode = Mode::RUSR | Mode::WUSR;
    match openat(CWD, directory, OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC, mode) {
        Ok(file) => Ok(file.into()),
        Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::NOENT | Errno::INVAL) => {
            let path = directory.join(format!(".harbor-{}", Uuid::new_v4()));
            let file = File::options().read(true).write(true).create_new(true).open(&path)?;
            std::fs::remove_file(&path)?;
            Ok(file)
        }
        Err(error) => Err(error.into()),
    }
}
