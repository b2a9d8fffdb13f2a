//! `--install`: makes a directory of the binaries' volume durable and the current one (design D4a, Delivery).
//!
//! The engine copies files into a volume, but neither flushes them nor replaces a link atomically; a process inside
//! does. It is this one because the image is empty but for the volume.
//!
//! Guarantees: `current` exists at every moment once it ever did, and names the new directory only after all of that is
//! on disk. Leaves out: comparing contents, which harbor does, and removing older directories.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::symlink;
use std::path::Path;

use crate::problem::{Context, Problem};

/// Name of the link, beside the directories.
const CURRENT: &str = "current";

/// The next link, until it takes the place of the present one.
const NEXT: &str = ".current.next";

/// Makes `directory` the current one of the volume that it lies in.
pub(crate) fn install(directory: &Path) -> Result<(), Problem> {
    let cannot = || format!("cannot install {}", directory.display());
    let (Some(volume), Some(name)) = (directory.parent(), directory.file_name()) else {
        return Err(Problem::new(format!("{}: it lies in no volume", cannot())));
    };
    flush(directory).context(cannot())?;
    let next = volume.join(NEXT);
    match fs::remove_file(&next) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error).context(cannot()),
        _ => {}
    }
    symlink(name, &next).context(cannot())?;
    fs::rename(&next, volume.join(CURRENT)).context(cannot())?;
    flush_one(volume).context(cannot())
}

/// Writes every file in `directory`, then its list of files, to disk; there are no directories in it.
fn flush(directory: &Path) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        flush_one(&entry?.path())?;
    }
    flush_one(directory)
}

fn flush_one(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}
