//! Writes an archive into a directory.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use rustix::fs::{
    AtFlags, FileType, Gid, Mode, RawMode, Timespec, Timestamps, Uid, XattrFlags, chmodat, chownat, linkat, lsetxattr,
    makedev, mkdirat, mknodat, statat, symlinkat, syncfs, unlinkat, utimensat,
};
use rustix::io::Errno;
use tar::{Archive, Entry, EntryType};

use super::contents::{Elsewhere, Given};
use super::extents::Extent;
use super::place::{Place, Tree};
use super::{DATA_MAP, WHOLE_SIZE, WriteBack, attributes};

/// The attribute with the rights that what is made in a directory gets.
const INHERITED: &str = "system.posix_acl_default";

/// Bytes that are read at a time; runs of zeros of this size become holes.
const BLOCK: usize = 64 * 1024;

/// In a file that has holes, runs of zeros of this size do: that of a page.
const PAGE: usize = 4096;

/// Writes every entry of the archive below `root`, in place of what is there under the same name. Returns when all of
/// it is on the disk: the caller may then remove what it is a copy of.
pub fn unpack(root: &Path, input: impl Read) -> io::Result<()> {
    entries(&Tree::open(root)?, input, None)
}

/// [`unpack`]; the contents of files are those in the archive, or `elsewhere`.
pub(super) fn entries(root: &Tree, input: impl Read, elsewhere: Option<&Elsewhere<'_>>) -> io::Result<()> {
    let unpacker = Unpacker { root, elsewhere };
    let mut archive = Archive::new(input);
    let mut directories = Vec::new();
    for entry in archive.entries()? {
        let mut entry = entry?;
        let attributes = Attributes::of(&mut entry)?;
        let place = root.place(&entry.path()?)?;
        if unpacker.make(&place, &mut entry, &attributes)? {
            // what is made in a directory afterwards changes its time, and inherits what it is to give
            directories.push((entry.path()?.into_owned(), attributes.modified, attributes.inherited));
        }
    }
    for (path, modified, inherited) in directories {
        let place = root.place(&path)?;
        if let Some(rights) = inherited {
            lsetxattr(place.path(), INHERITED, &rights, XattrFlags::empty())?;
        }
        set_time(&place, modified)?;
    }
    Ok(syncfs(root.readable()?)?)
}

struct Unpacker<'a> {
    root: &'a Tree,
    elsewhere: Option<&'a Elsewhere<'a>>,
}

impl Unpacker<'_> {
    /// Makes one entry; whether it is a directory.
    fn make(&self, place: &Place, entry: &mut Entry<'_, impl Read>, attributes: &Attributes) -> io::Result<bool> {
        let kind = entry.header().entry_type();
        if kind == EntryType::Directory {
            make_directory(place)?;
        } else {
            clear(place)?;
        }
        match kind {
            EntryType::Directory => {}
            EntryType::Link => {
                let target = entry.link_name()?.ok_or(io::ErrorKind::InvalidData)?;
                let target = self.root.place(&target)?;
                linkat(&target.parent, &target.name, &place.parent, &place.name, AtFlags::empty())?;
                return Ok(false);
            }
            EntryType::Symlink => {
                let target = match &attributes.link {
                    Some(target) => PathBuf::from(target),
                    None => entry.link_name()?.ok_or(io::ErrorKind::InvalidData)?.into_owned(),
                };
                symlinkat(&target, &place.parent, &place.name)?;
            }
            EntryType::Char => make_node(place, entry, FileType::CharacterDevice)?,
            EntryType::Block => make_node(place, entry, FileType::BlockDevice)?,
            EntryType::Fifo => make_node(place, entry, FileType::Fifo)?,
            _ => match self.elsewhere {
                Some(elsewhere) => {
                    if elsewhere.give(&entry.path()?, place)? == Given::Shared {
                        return Ok(false);
                    }
                }
                None => make_file(place, entry, attributes)?,
            },
        }
        attributes.apply(place, kind)?;
        Ok(kind == EntryType::Directory)
    }
}

fn make_directory(place: &Place) -> io::Result<()> {
    if place.name == Path::new(".") {
        return Ok(());
    }
    match mkdirat(&place.parent, &place.name, Mode::RWXU) {
        Err(Errno::EXIST) => {
            let found = statat(&place.parent, &place.name, AtFlags::SYMLINK_NOFOLLOW)?;
            if FileType::from_raw_mode(found.st_mode).is_dir() {
                return Ok(());
            }
            clear(place)?;
            Ok(mkdirat(&place.parent, &place.name, Mode::RWXU)?)
        }
        outcome => Ok(outcome?),
    }
}

/// Removes what has the name, if anything: a new container's layer holds no more than empty mount points.
fn clear(place: &Place) -> io::Result<()> {
    match unlinkat(&place.parent, &place.name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(Errno::ISDIR) => Ok(unlinkat(&place.parent, &place.name, AtFlags::REMOVEDIR)?),
        Err(error) => Err(error.into()),
    }
}

fn make_node(place: &Place, entry: &Entry<'_, impl Read>, kind: FileType) -> io::Result<()> {
    let major = entry.header().device_major()?.unwrap_or(0);
    let minor = entry.header().device_minor()?.unwrap_or(0);
    Ok(mknodat(&place.parent, &place.name, kind, Mode::RUSR | Mode::WUSR, makedev(major, minor))?)
}

fn make_file(place: &Place, entry: &mut Entry<'_, impl Read>, attributes: &Attributes) -> io::Result<()> {
    let file = place.new_file()?;
    let whole = (entry.size(), vec![(0, entry.size())]);
    let (size, extents) = attributes.sparse.as_ref().unwrap_or(&whole);
    let mut write_back = WriteBack::default();
    let hole = if attributes.sparse.is_some() { PAGE } else { BLOCK };
    for (offset, length) in extents {
        write_extent(&file, entry, (*offset, *length), hole, &mut write_back)?;
    }
    file.set_len(*size)
}

/// Writes so many bytes at `offset`, but for runs of zeros as long as a `hole`.
fn write_extent(
    file: &File,
    from: &mut impl Read,
    (offset, length): Extent,
    hole: usize,
    write_back: &mut WriteBack,
) -> io::Result<()> {
    let mut block = vec![0; BLOCK];
    let end = offset.checked_add(length).ok_or(io::ErrorKind::InvalidData)?;
    let mut at = offset;
    while at < end {
        let part = usize::try_from(end - at).unwrap_or(BLOCK).min(BLOCK);
        from.read_exact(&mut block[..part])?;
        let mut written = 0;
        for run in block[..part].chunks(hole).collect::<Vec<_>>().chunk_by(|one, next| is_zero(one) == is_zero(next)) {
            let run_length: usize = run.iter().map(|chunk| chunk.len()).sum();
            if !is_zero(run[0]) {
                file.write_all_at(&block[written..written + run_length], at + written as u64)?;
            }
            written += run_length;
        }
        at += part as u64;
        write_back.written(file, at);
    }
    Ok(())
}

fn is_zero(bytes: &[u8]) -> bool {
    bytes.iter().all(|&byte| byte == 0)
}

/// Reads where the data of a file with holes lies.
fn data_map(text: &str) -> Option<Vec<Extent>> {
    let numbers: Vec<u64> = match text {
        "" => Vec::new(),
        text => text.split(',').map(|number| number.parse().ok()).collect::<Option<_>>()?,
    };
    let (pairs, rest) = numbers.as_chunks::<2>();
    rest.is_empty().then(|| pairs.iter().map(|[offset, length]| (*offset, *length)).collect())
}

/// Everything about a file but its contents.
struct Attributes {
    owner: (u32, u32),
    mode: u32,
    modified: Timespec,
    extended: Vec<(OsString, Vec<u8>)>,
    /// Of a directory: the rights that what is made in it gets.
    inherited: Option<Vec<u8>>,
    /// Of a symbolic link: its target.
    link: Option<OsString>,
    /// Of a file with holes: its length, and where its data lies.
    sparse: Option<(u64, Vec<Extent>)>,
}

impl Attributes {
    fn of(entry: &mut Entry<'_, impl Read>) -> io::Result<Self> {
        let number = |number: u64| u32::try_from(number).map_err(io::Error::other);
        let owner = (number(entry.header().uid()?)?, number(entry.header().gid()?)?);
        let mode = entry.header().mode()?;
        let mut modified = Timespec { tv_sec: i64::try_from(entry.header().mtime()?).unwrap_or(0), tv_nsec: 0 };
        let (mut extended, mut inherited, mut link) = (Vec::new(), None, None);
        let (mut size, mut map) = (None, None);
        if let Some(records) = entry.pax_extensions()? {
            for record in records {
                let record = record?;
                let Ok(name) = record.key() else { continue };
                if name == "mtime" {
                    modified = record.value().ok().and_then(moment).unwrap_or(modified);
                } else if name == WHOLE_SIZE {
                    size = record.value().ok().and_then(|text| text.parse().ok());
                } else if name == DATA_MAP {
                    map = record.value().ok().and_then(data_map);
                } else if let Some(target) = attributes::link(name, record.value_bytes()) {
                    link = Some(target);
                } else if let Some((name, value)) = attributes::attribute(name, record.value_bytes()) {
                    if name == INHERITED {
                        inherited = Some(value);
                    } else {
                        extended.push((name, value));
                    }
                }
            }
        }
        Ok(Self { owner, mode, modified, extended, inherited, link, sparse: size.zip(map) })
    }

    /// Owner first: changing it takes away set-user-id bits and file capabilities.
    fn apply(&self, place: &Place, kind: EntryType) -> io::Result<()> {
        let (user, group) = (Uid::from_raw(self.owner.0), Gid::from_raw(self.owner.1));
        chownat(&place.parent, &place.name, Some(user), Some(group), AtFlags::SYMLINK_NOFOLLOW)?;
        if kind != EntryType::Symlink {
            chmodat(&place.parent, &place.name, Mode::from_raw_mode(self.mode as RawMode), AtFlags::empty())?;
        }
        for (name, value) in &self.extended {
            lsetxattr(place.path(), name, value, XattrFlags::empty())?;
        }
        if kind == EntryType::Directory { Ok(()) } else { set_time(place, self.modified) }
    }
}

fn set_time(place: &Place, modified: Timespec) -> io::Result<()> {
    let times = Timestamps { last_access: modified, last_modification: modified };
    Ok(utimensat(&place.parent, &place.name, &times, AtFlags::SYMLINK_NOFOLLOW)?)
}

/// Reads seconds and nanoseconds, the latter with exactly nine digits, as `pack` writes them.
fn moment(text: &str) -> Option<Timespec> {
    let (seconds, nanoseconds) = text.split_once('.')?;
    (nanoseconds.len() == 9)
        .then(|| Some(Timespec { tv_sec: seconds.parse().ok()?, tv_nsec: nanoseconds.parse().ok()? }))
        .flatten()
}
