//! The contents of files, copied from file to file by the kernel.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use rustix::fs::{AtFlags, ioctl_ficlone, linkat};
use rustix::io::Errno;

use super::extents::Extents;
use super::place::{Place, Tree};
use super::{Cut, WriteBack};

/// Bytes of a file that are copied until somebody looks whether the copy is to end.
const COPIED_AT_ONCE: u64 = 64 * 1024 * 1024;

/// What becomes of the contents of files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Contents {
    /// Each file is a new one.
    Copied,
    /// Where both directories are of one file system, a file gets a second name instead, attributes and all: for trees that
    /// are removed before anybody writes to the copy.
    Shared,
}

/// The tree that an archive without contents was made of.
pub(super) struct Elsewhere<'a> {
    tree: Tree,
    contents: Contents,
    cut: &'a Cut,
}

/// How a file came to its contents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Given {
    /// It is a file of its own, which has no attributes yet.
    Copied,
    /// It is the same file.
    Shared,
}

impl<'a> Elsewhere<'a> {
    pub(super) const fn new(tree: Tree, contents: Contents, cut: &'a Cut) -> Self {
        Self { tree, contents, cut }
    }

    /// Makes the file `path` of the tree at `place` too.
    pub(super) fn give(&self, path: &Path, place: &Place) -> io::Result<Given> {
        self.cut.check()?;
        let source = self.tree.place(path)?;
        if self.contents == Contents::Shared {
            match linkat(&source.parent, &source.name, &place.parent, &place.name, AtFlags::empty()) {
                Ok(()) => return Ok(Given::Shared),
                // another file system, or another quota; one without such links; too many of them
                Err(Errno::XDEV | Errno::PERM | Errno::NOTSUP | Errno::MLINK) => {}
                Err(error) => return Err(error.into()),
            }
        }
        self.copy_contents(&source.open_file()?, &place.new_file()?)?;
        Ok(Given::Copied)
    }

    fn copy_contents(&self, mut from: &File, mut to: &File) -> io::Result<()> {
        if ioctl_ficlone(to, from).is_ok() {
            return Ok(());
        }
        let size = from.metadata()?.len();
        let mut write_back = WriteBack::default();
        for extent in Extents::new(from, size) {
            let (offset, length) = extent?;
            from.seek(SeekFrom::Start(offset))?;
            to.seek(SeekFrom::Start(offset))?;
            let mut left = length;
            while left > 0 {
                self.cut.check()?;
                let copied = io::copy(&mut from.take(left.min(COPIED_AT_ONCE)), &mut to)?;
                if copied == 0 {
                    break; // it has become shorter
                }
                left -= copied;
                write_back.written(to, offset + length - left);
            }
        }
        to.set_len(size)
    }
}
