//! Reads a directory tree into an archive.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::io::{self, BufReader, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use rustix::fs::{Dir, FileType, Stat, readlinkat};
use rustix::io::Errno;
use tar::{Builder, EntryType, Header};

use super::extents::{self, Pieces};
use super::place::{Place, Tree};
use super::{Cut, DATA_MAP, WHOLE_SIZE, attributes};

/// Overlay's own notes on where a file came from; they are about the layer they were made in.
const NOT_KEPT: [&str; 5] = ["origin", "impure", "nlink", "uuid", "upper"];

/// Bytes of a file that are read at a time.
const READ_AT_ONCE: usize = 256 * 1024;

/// Characters of a path that a reason for people shows, the last ones.
const SHOWN: usize = 200;

/// Bytes of the longest path that is copied: deeper trees take time and room with the square of their depth.
const LONGEST_PATH: usize = 32 * 1024;

/// Writes everything below `root`, and `root`'s own attributes, to `output`. Parents come before children.
pub fn pack(root: &Path, output: impl Write, cut: &Cut) -> io::Result<()> {
    entries(root, output, true, cut).map(|_| ())
}

/// [`pack`]; or, without `contents`, the same archive but for what is in the files: only how long each is. Answers how many
/// bytes the files have in all.
pub(super) fn entries(root: &Path, output: impl Write, contents: bool, cut: &Cut) -> io::Result<u64> {
    let (tree, archive) = (Tree::open(root)?, Builder::new(output));
    let mut packer = Packer { archive, links: HashMap::new(), contents, bytes: 0, cut };
    let mut waiting = vec![PathBuf::new()];
    while let Some(path) = waiting.pop() {
        if path.as_os_str().len() > LONGEST_PATH {
            let reason = format!("it lies deeper than the {LONGEST_PATH} bytes of a path that can be copied");
            return about(&path, Err(io::Error::new(io::ErrorKind::InvalidFilename, reason)));
        }
        let directory = about(&path, tree.directory(&path))?;
        packer.entry(&directory, &path, &about(&path, directory.stat())?)?;
        for name in about(&path, names(&directory))? {
            let path = path.join(&name);
            let child = Place { parent: Rc::clone(&directory.parent), name: PathBuf::from(name) };
            let found = about(&path, child.stat())?;
            if kind(&found).is_dir() { waiting.push(path) } else { packer.entry(&child, &path, &found)? }
        }
    }
    packer.archive.into_inner()?.flush()?;
    Ok(packer.bytes)
}

/// What is in a directory, in the same order whatever the file system's is.
fn names(directory: &Place) -> io::Result<Vec<OsString>> {
    let mut names = Vec::new();
    for entry in Dir::read_from(&*directory.parent)? {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if name != b"." && name != b".." {
            names.push(OsStr::from_bytes(name).to_owned());
        }
    }
    names.sort();
    Ok(names)
}

/// An error about what lies at `path`, which it names.
fn about<T>(path: &Path, outcome: io::Result<T>) -> io::Result<T> {
    outcome.map_err(|error| {
        let text = path.to_string_lossy();
        let cut = text.char_indices().rev().nth(SHOWN - 1).map_or(0, |(at, _)| at);
        let dots = if cut > 0 { "…" } else { "" };
        io::Error::new(error.kind(), format!("/{dots}{}: {error}", &text[cut..]))
    })
}

fn kind(found: &Stat) -> FileType {
    FileType::from_raw_mode(found.st_mode)
}

struct Packer<'a, W: Write> {
    archive: Builder<W>,
    /// First path of each file that has several.
    links: HashMap<(u64, u64), PathBuf>,
    contents: bool,
    bytes: u64,
    cut: &'a Cut,
}

impl<W: Write> Packer<'_, W> {
    fn entry(&mut self, source: &Place, path: &Path, found: &Stat) -> io::Result<()> {
        self.cut.check()?;
        let kind = kind(found);
        if kind.is_socket() {
            return Ok(());
        }
        let mut header = header(found);
        // an archive names its root so
        let name = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        if !kind.is_dir() && found.st_nlink > 1 {
            if let Some(first) = self.links.get(&(found.st_dev, found.st_ino)) {
                header.set_entry_type(EntryType::Link);
                return self.archive.append_link(&mut header, name, first);
            }
            self.links.insert((found.st_dev, found.st_ino), path.to_owned());
        }
        if kind.is_file() {
            return self.file(source, name, found, header);
        }
        if kind.is_symlink() {
            let target = readlinkat(&source.parent, &source.name, Vec::new()).map_err(io::Error::from);
            let target = OsString::from_vec(about(path, target)?.into_bytes());
            self.extensions(source, name, found, vec![attributes::link_record(&target)])?;
            header.set_entry_type(EntryType::Symlink);
            self.archive.append_link(&mut header, name, &target)
        } else {
            self.extensions(source, name, found, Vec::new())?;
            header.set_entry_type(special(kind));
            header.set_device_major(rustix::fs::major(found.st_rdev))?;
            header.set_device_minor(rustix::fs::minor(found.st_rdev))?;
            self.archive.append_data(&mut header, name, io::empty())
        }
    }

    /// A file's data, and where it lies if there are holes between.
    fn file(&mut self, source: &Place, name: &Path, found: &Stat, mut header: Header) -> io::Result<()> {
        let length = u64::try_from(found.st_size).unwrap_or(0);
        self.bytes += length;
        let whole_size = || (WHOLE_SIZE.to_owned(), length.to_string().into_bytes());
        if !self.contents {
            self.extensions(source, name, found, vec![whole_size()])?;
            return self.archive.append_data(&mut header, name, io::empty());
        }
        let file = about(name, source.open_file())?;
        let extents = about(name, extents::of(&file, length))?;
        let data = extents.iter().map(|(_, length)| length).sum();
        let mut records = Vec::new();
        // also where its holes are so small that they are read: whoever writes it knows that there are some
        if data < length || u64::try_from(found.st_blocks).unwrap_or(u64::MAX).saturating_mul(512) < length {
            let map: Vec<_> = extents.iter().map(|(offset, length)| format!("{offset},{length}")).collect();
            records.push(whole_size());
            records.push((DATA_MAP.to_owned(), map.join(",").into_bytes()));
        }
        self.extensions(source, name, found, records)?;
        header.set_size(data);
        let pieces = BufReader::with_capacity(READ_AT_ONCE, Pieces::new(file, extents, self.cut));
        self.archive.append_data(&mut header, name, pieces)
    }

    /// What a plain header cannot say: nanoseconds, extended attributes, and `records`.
    fn extensions(
        &mut self,
        source: &Place,
        path: &Path,
        found: &Stat,
        mut records: Vec<(String, Vec<u8>)>,
    ) -> io::Result<()> {
        let time = format!("{}.{:09}", found.st_mtime, found.st_mtime_nsec);
        records.push(("mtime".to_owned(), time.into_bytes()));
        let source = source.path();
        for name in about(path, attribute_names(&source))? {
            let note = name.to_str().and_then(|name| name.strip_prefix("trusted.overlay."));
            let kept = note.is_none_or(|note| !NOT_KEPT.contains(&note));
            if kept && let Some(value) = about(path, attribute(&source, &name))? {
                records.push(attributes::record(&name, value));
            }
        }
        self.archive.append_pax_extensions(records.iter().map(|(name, value)| (name.as_str(), value.as_slice())))
    }
}

fn header(found: &Stat) -> Header {
    let mut header = Header::new_gnu();
    header.set_mode(found.st_mode & 0o7777);
    header.set_uid(u64::from(found.st_uid));
    header.set_gid(u64::from(found.st_gid));
    header.set_mtime(u64::try_from(found.st_mtime).unwrap_or(0));
    header.set_size(0);
    header
}

fn special(kind: FileType) -> EntryType {
    match kind {
        FileType::Directory => EntryType::Directory,
        FileType::CharacterDevice => EntryType::Char,
        FileType::BlockDevice => EntryType::Block,
        _ => EntryType::Fifo,
    }
}

fn attribute_names(path: &Path) -> io::Result<Vec<OsString>> {
    let mut buffer = vec![0_u8; 64 * 1024];
    let length = match rustix::fs::llistxattr(path, &mut buffer[..]) {
        Ok(length) => length,
        Err(Errno::NOTSUP) => 0,
        Err(error) => return Err(error.into()),
    };
    let names = buffer[..length].split(|&byte| byte == 0).filter(|name| !name.is_empty());
    Ok(names.map(|name| OsString::from_vec(name.to_vec())).collect())
}

fn attribute(path: &Path, name: &OsStr) -> io::Result<Option<Vec<u8>>> {
    let mut buffer = vec![0_u8; 64 * 1024];
    match rustix::fs::lgetxattr(path, name, &mut buffer[..]) {
        Ok(length) => Ok(Some(buffer[..length].to_vec())),
        // removed since it was listed, or not for us to see
        Err(Errno::NODATA | Errno::PERM | Errno::ACCESS) => Ok(None),
        Err(error) => Err(error.into()),
    }
}
