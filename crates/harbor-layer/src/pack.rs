//! Reads a directory tree into an archive.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File, Metadata};
use std::io::{self, BufReader, Write};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use rustix::io::Errno;
use tar::{Builder, EntryType, Header};

use super::extents::{self, Pieces};
use super::{Cut, DATA_MAP, WHOLE_SIZE, attributes};

/// Overlay's own notes on where a file came from; they are about the layer they were made in.
const NOT_KEPT: [&str; 5] = ["origin", "impure", "nlink", "uuid", "upper"];

/// Bytes of a file that are read at a time.
const READ_AT_ONCE: usize = 256 * 1024;

/// Writes everything below `root`, and `root`'s own attributes, to `output`. Parents come before children.
pub fn pack(root: &Path, output: impl Write, cut: &Cut) -> io::Result<()> {
    entries(root, output, true, cut).map(|_| ())
}

/// [`pack`]; or, without `contents`, the same archive but for what is in the files: only how long each is. Answers how many
/// bytes the files have in all.
pub(super) fn entries(root: &Path, output: impl Write, contents: bool, cut: &Cut) -> io::Result<u64> {
    let archive = Builder::new(output);
    let mut packer = Packer { archive, root, links: HashMap::new(), contents, bytes: 0, cut };
    let mut waiting = vec![PathBuf::new()];
    while let Some(directory) = waiting.pop() {
        packer.entry(&directory)?;
        // in the same order whatever the file system's is
        let mut children = fs::read_dir(root.join(&directory))?.collect::<io::Result<Vec<_>>>()?;
        children.sort_by_key(fs::DirEntry::file_name);
        for child in children {
            let path = directory.join(child.file_name());
            if child.file_type()?.is_dir() { waiting.push(path) } else { packer.entry(&path)? }
        }
    }
    packer.archive.into_inner()?.flush()?;
    Ok(packer.bytes)
}

struct Packer<'a, W: Write> {
    archive: Builder<W>,
    root: &'a Path,
    /// First path of each file that has several.
    links: HashMap<(u64, u64), PathBuf>,
    contents: bool,
    bytes: u64,
    cut: &'a Cut,
}

impl<W: Write> Packer<'_, W> {
    fn entry(&mut self, path: &Path) -> io::Result<()> {
        self.cut.check()?;
        let source = self.root.join(path);
        let found = fs::symlink_metadata(&source)?;
        let kind = found.file_type();
        if kind.is_socket() {
            return Ok(());
        }
        let mut header = header(&found);
        // an archive names its root so
        let name = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        if !kind.is_dir() && found.nlink() > 1 {
            if let Some(first) = self.links.get(&(found.dev(), found.ino())) {
                header.set_entry_type(EntryType::Link);
                return self.archive.append_link(&mut header, name, first);
            }
            self.links.insert((found.dev(), found.ino()), path.to_owned());
        }
        if kind.is_file() {
            return self.file(&source, name, &found, header);
        }
        if kind.is_symlink() {
            let target = fs::read_link(&source)?;
            self.extensions(&source, &found, vec![attributes::link_record(target.as_os_str())])?;
            header.set_entry_type(EntryType::Symlink);
            self.archive.append_link(&mut header, name, target)
        } else {
            self.extensions(&source, &found, Vec::new())?;
            header.set_entry_type(special(kind));
            header.set_device_major(rustix::fs::major(found.rdev()))?;
            header.set_device_minor(rustix::fs::minor(found.rdev()))?;
            self.archive.append_data(&mut header, name, io::empty())
        }
    }

    /// A file's data, and where it lies if there are holes between.
    fn file(&mut self, source: &Path, name: &Path, found: &Metadata, mut header: Header) -> io::Result<()> {
        self.bytes += found.len();
        let whole_size = || (WHOLE_SIZE.to_owned(), found.len().to_string().into_bytes());
        if !self.contents {
            self.extensions(source, found, vec![whole_size()])?;
            return self.archive.append_data(&mut header, name, io::empty());
        }
        let file = File::open(source)?;
        let extents = extents::of(&file, found.len())?;
        let data = extents.iter().map(|(_, length)| length).sum();
        let mut records = Vec::new();
        if data < found.len() {
            let map: Vec<_> = extents.iter().map(|(offset, length)| format!("{offset},{length}")).collect();
            records.push(whole_size());
            records.push((DATA_MAP.to_owned(), map.join(",").into_bytes()));
        }
        self.extensions(source, found, records)?;
        header.set_size(data);
        let pieces = BufReader::with_capacity(READ_AT_ONCE, Pieces::new(file, extents, self.cut));
        self.archive.append_data(&mut header, name, pieces)
    }

    /// What a plain header cannot say: nanoseconds, extended attributes, and `records`.
    fn extensions(&mut self, source: &Path, found: &Metadata, mut records: Vec<(String, Vec<u8>)>) -> io::Result<()> {
        let time = format!("{}.{:09}", found.mtime(), found.mtime_nsec());
        records.push(("mtime".to_owned(), time.into_bytes()));
        for name in attribute_names(source)? {
            let note = name.to_str().and_then(|name| name.strip_prefix("trusted.overlay."));
            let kept = note.is_none_or(|note| !NOT_KEPT.contains(&note));
            if kept && let Some(value) = attribute(source, &name)? {
                records.push(attributes::record(&name, value));
            }
        }
        self.archive.append_pax_extensions(records.iter().map(|(name, value)| (name.as_str(), value.as_slice())))
    }
}

fn header(found: &Metadata) -> Header {
    let mut header = Header::new_gnu();
    header.set_mode(found.mode() & 0o7777);
    header.set_uid(u64::from(found.uid()));
    header.set_gid(u64::from(found.gid()));
    header.set_mtime(u64::try_from(found.mtime()).unwrap_or(0));
    header.set_size(0);
    header
}

fn special(kind: fs::FileType) -> EntryType {
    if kind.is_dir() {
        EntryType::Directory
    } else if kind.is_char_device() {
        EntryType::Char
    } else if kind.is_block_device() {
        EntryType::Block
    } else {
        EntryType::Fifo
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
