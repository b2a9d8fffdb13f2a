//! Copies a directory tree to another directory of this machine.
//!
//! Names and attributes go the way of every layer, as an archive, but without the files' contents, which the kernel copies
//! from file to file. On a file system that can, the copies are made of the same blocks until one of them is written to.

use std::io::{self, Write};
use std::path::Path;

use super::contents::{Contents, Elsewhere};
use super::place::Tree;
use super::{Cut, pack, unpack};

/// Copies everything below `from` into `to`, in place of what is there under the same name, and writes to `description` what
/// [`describe`] writes of `from`. Returns when all of it is on the disk.
pub fn copy(from: &Path, to: &Path, contents: Contents, description: impl Write + Send, cut: &Cut) -> io::Result<()> {
    let (reader, writer) = io::pipe()?;
    let (source, target) = (Tree::open(from)?, Tree::open(to)?);
    let elsewhere = Elsewhere::new(source, contents, cut);
    std::thread::scope(|threads| {
        let describe = || pack::entries(from, Twice(writer, description), false, cut);
        let described = std::thread::Builder::new().name("layer".to_owned()).spawn_scoped(threads, describe)?;
        let copied = unpack::entries(&target, reader, Some(&elsewhere));
        let described = described.join().map_err(|_| io::Error::other("a thread that reads a directory panicked"))?;
        // the reader's reason, since the writer then only sees a broken pipe
        copied.and(described.map(|_| ()))
    })
}

/// Writes everything about a tree but what is in its files: names, attributes, and how long each file is. It is the same of
/// a tree that nobody has changed. Answers how many bytes the files have in all.
pub fn describe(root: &Path, output: impl Write, cut: &Cut) -> io::Result<u64> {
    pack::entries(root, output, false, cut)
}

/// Writes to both.
struct Twice<A, B>(A, B);

impl<A: Write, B: Write> Write for Twice<A, B> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let written = self.0.write(buffer)?;
        self.1.write_all(&buffer[..written])?;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()?;
        self.1.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::MetadataExt;

    use super::*;

    fn described(tree: &Path) -> Vec<u8> {
        let mut description = Vec::new();
        describe(tree, &mut description, &Cut::default()).unwrap();
        description
    }

    #[test]
    fn shared_files_are_the_same_and_are_described_alike() {
        let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::create_dir(from.path().join("a")).unwrap();
        fs::write(from.path().join("a/file"), "content").unwrap();
        fs::hard_link(from.path().join("a/file"), from.path().join("twin")).unwrap();
        fs::write(to.path().join("twin"), "in the way").unwrap();
        let before = described(from.path());

        let mut description = Vec::new();
        copy(from.path(), to.path(), Contents::Shared, &mut description, &Cut::default()).unwrap();

        assert_eq!(description, before);
        assert_eq!(described(from.path()), before);
        let number = |path: &Path| fs::metadata(path).unwrap().ino();
        for name in ["a/file", "twin"] {
            assert_eq!(number(&to.path().join(name)), number(&from.path().join(name)), "{name}");
        }
        assert_ne!(number(&to.path().join("a")), number(&from.path().join("a")));
        fs::remove_dir_all(from.path().join("a")).unwrap();
        assert_eq!(fs::read(to.path().join("a/file")).unwrap(), b"content");
    }

    #[test]
    fn a_description_tells_of_a_file_that_was_cut_short() {
        let tree = tempfile::tempdir().unwrap();
        let file = fs::File::create(tree.path().join("file")).unwrap();
        file.set_len(1 << 30).unwrap();
        let modified = file.metadata().unwrap().modified().unwrap();
        let before = described(tree.path());
        assert!(before.len() < 1 << 16, "{} bytes", before.len());
        file.set_len(0).unwrap();
        file.set_modified(modified).unwrap();
        assert_ne!(described(tree.path()), before);
    }

    #[test]
    fn a_copy_that_is_cut_ends() {
        let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::write(from.path().join("file"), "x").unwrap();
        let cut = Cut::default();
        drop(crate::CutWhenDropped(cut.clone()));
        copy(from.path(), to.path(), Contents::Copied, io::sink(), &cut).unwrap_err();
        assert!(!to.path().join("file").exists());
    }
}
