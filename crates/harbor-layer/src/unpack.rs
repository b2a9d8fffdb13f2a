//! Writes an archive into a directory.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{
    AtFlags, CWD, FileType, Gid, Mode, OFlags, RawMode, ResolveFlags, Timespec, Timestamps, Uid, XattrFlags, chmodat,
    chownat, linkat, lsetxattr, makedev, mkdirat, mknodat, openat, openat2, statat, symlinkat, syncfs, unlinkat,
    utimensat,
};
use rustix::io::Errno;
use tar::{Archive, Entry, EntryType};

use super::extents::Extent;
use super::tree::{Elsewhere, Given};
use super::{DATA_MAP, WHOLE_SIZE, WriteBack, attributes};

/// The attribute with the rights that what is made in a directory gets.
const INHERITED: &str = "system.posix_acl_default";

/// Runs of zeros of this size become holes.
const BLOCK: usize = 64 * 1024;

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
        let destination = root.destination(&entry.path()?)?;
        if unpacker.make(&destination, &mut entry, &attributes)? {
            // what is made in a directory afterwards changes its time, and inherits what it is to give
            directories.push((entry.path()?.into_owned(), attributes.modified, attributes.inherited));
        }
    }
    for (path, modified, inherited) in directories {
        let destination = root.destination(&path)?;
        if let Some(rights) = inherited {
            lsetxattr(destination.path(), INHERITED, &rights, XattrFlags::empty())?;
        }
        set_time(&destination, modified)?;
    }
    // a descriptor that only names a directory cannot be synchronised
    let root = openat(&root.0, ".", OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    Ok(syncfs(root)?)
}

struct Unpacker<'a> {
    root: &'a Tree,
    elsewhere: Option<&'a Elsewhere<'a>>,
}

/// A directory, of which nothing outside is ever reached.
pub(super) struct Tree(OwnedFd);

/// A name in an opened directory.
pub(super) struct Destination {
    pub(super) parent: OwnedFd,
    pub(super) name: PathBuf,
}

impl Destination {
    /// A path for calls that take no descriptor. It ends in a plain name, which those calls do not follow.
    fn path(&self) -> PathBuf {
        Path::new("/proc/self/fd").join(self.parent.as_raw_fd().to_string()).join(&self.name)
    }

    pub(super) fn new_file(&self) -> io::Result<File> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(File::from(openat(&self.parent, &self.name, flags, Mode::RUSR | Mode::WUSR)?))
    }

    pub(super) fn open_file(&self) -> io::Result<File> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        Ok(File::from(openat(&self.parent, &self.name, flags, Mode::empty())?))
    }
}

impl Tree {
    pub(super) fn open(root: &Path) -> io::Result<Self> {
        let directory = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Self(openat(CWD, root, directory, Mode::empty())?))
    }

    /// Where `path` lies: its parent is opened without following a link or leaving the root.
    pub(super) fn destination(&self, path: &Path) -> io::Result<Destination> {
        let parts = path.components().filter(|part| *part != Component::CurDir);
        let mut clean = PathBuf::new();
        for part in parts {
            let Component::Normal(name) = part else {
                let reason = format!("{} is not a path within a layer", path.display());
                return Err(io::Error::new(io::ErrorKind::InvalidData, reason));
            };
            clean.push(name);
        }
        let parent = clean.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let name = clean.file_name().map_or_else(|| PathBuf::from("."), PathBuf::from);
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
        Ok(Destination { parent: openat2(&self.0, parent, flags, Mode::empty(), resolve)?, name })
    }
}

impl Unpacker<'_> {
    /// Makes one entry; whether it is a directory.
    fn make(
        &self,
        destination: &Destination,
        entry: &mut Entry<'_, impl Read>,
        attributes: &Attributes,
    ) -> io::Result<bool> {
        let kind = entry.header().entry_type();
        if kind == EntryType::Directory {
            make_directory(destination)?;
        } else {
            clear(destination)?;
        }
        match kind {
            EntryType::Directory => {}
            EntryType::Link => {
                let target = entry.link_name()?.ok_or(io::ErrorKind::InvalidData)?;
                let target = self.root.destination(&target)?;
                linkat(&target.parent, &target.name, &destination.parent, &destination.name, AtFlags::empty())?;
                return Ok(false);
            }
            EntryType::Symlink => {
                let target = match &attributes.link {
                    Some(target) => PathBuf::from(target),
                    None => entry.link_name()?.ok_or(io::ErrorKind::InvalidData)?.into_owned(),
                };
                symlinkat(&target, &destination.parent, &destination.name)?;
            }
            EntryType::Char => make_node(destination, entry, FileType::CharacterDevice)?,
            EntryType::Block => make_node(destination, entry, FileType::BlockDevice)?,
            EntryType::Fifo => make_node(destination, entry, FileType::Fifo)?,
            _ => match self.elsewhere {
                Some(elsewhere) => {
                    if elsewhere.give(&entry.path()?, destination)? == Given::Shared {
                        return Ok(false);
                    }
                }
                None => make_file(destination, entry, attributes)?,
            },
        }
        attributes.apply(destination, kind)?;
        Ok(kind == EntryType::Directory)
    }
}

fn make_directory(destination: &Destination) -> io::Result<()> {
    if destination.name == Path::new(".") {
        return Ok(());
    }
    match mkdirat(&destination.parent, &destination.name, Mode::RWXU) {
        Err(Errno::EXIST) => {
            let found = statat(&destination.parent, &destination.name, AtFlags::SYMLINK_NOFOLLOW)?;
            if FileType::from_raw_mode(found.st_mode).is_dir() {
                return Ok(());
            }
            clear(destination)?;
            Ok(mkdirat(&destination.parent, &destination.name, Mode::RWXU)?)
        }
        outcome => Ok(outcome?),
    }
}

/// Removes what has the name, if anything: a new container's layer holds no more than empty mount points.
fn clear(destination: &Destination) -> io::Result<()> {
    match unlinkat(&destination.parent, &destination.name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(Errno::ISDIR) => Ok(unlinkat(&destination.parent, &destination.name, AtFlags::REMOVEDIR)?),
        Err(error) => Err(error.into()),
    }
}

fn make_node(destination: &Destination, entry: &Entry<'_, impl Read>, kind: FileType) -> io::Result<()> {
    let major = entry.header().device_major()?.unwrap_or(0);
    let minor = entry.header().device_minor()?.unwrap_or(0);
    Ok(mknodat(&destination.parent, &destination.name, kind, Mode::RUSR | Mode::WUSR, makedev(major, minor))?)
}

fn make_file(destination: &Destination, entry: &mut Entry<'_, impl Read>, attributes: &Attributes) -> io::Result<()> {
    let file = destination.new_file()?;
    let whole = (entry.size(), vec![(0, entry.size())]);
    let (size, extents) = attributes.sparse.as_ref().unwrap_or(&whole);
    let mut write_back = WriteBack::default();
    for (offset, length) in extents {
        write_extent(&file, entry, (*offset, *length), &mut write_back)?;
    }
    file.set_len(*size)
}

/// Writes so many bytes at `offset`, but for blocks of zeros.
fn write_extent(
    file: &File,
    from: &mut impl Read,
    (offset, length): Extent,
    write_back: &mut WriteBack,
) -> io::Result<()> {
    let mut block = vec![0; BLOCK];
    let end = offset.checked_add(length).ok_or(io::ErrorKind::InvalidData)?;
    let mut at = offset;
    while at < end {
        let part = usize::try_from(end - at).unwrap_or(BLOCK).min(BLOCK);
        from.read_exact(&mut block[..part])?;
        if block[..part].iter().any(|&byte| byte != 0) {
            file.write_all_at(&block[..part], at)?;
        }
        at += part as u64;
        write_back.written(file, at);
    }
    Ok(())
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
    fn apply(&self, destination: &Destination, kind: EntryType) -> io::Result<()> {
        let (user, group) = (Uid::from_raw(self.owner.0), Gid::from_raw(self.owner.1));
        chownat(&destination.parent, &destination.name, Some(user), Some(group), AtFlags::SYMLINK_NOFOLLOW)?;
        if kind != EntryType::Symlink {
            chmodat(
                &destination.parent,
                &destination.name,
                Mode::from_raw_mode(self.mode as RawMode),
                AtFlags::empty(),
            )?;
        }
        for (name, value) in &self.extended {
            lsetxattr(destination.path(), name, value, XattrFlags::empty())?;
        }
        if kind == EntryType::Directory { Ok(()) } else { set_time(destination, self.modified) }
    }
}

fn set_time(destination: &Destination, modified: Timespec) -> io::Result<()> {
    let times = Timestamps { last_access: modified, last_modification: modified };
    Ok(utimensat(&destination.parent, &destination.name, &times, AtFlags::SYMLINK_NOFOLLOW)?)
}

/// Reads seconds and nanoseconds, the latter with exactly nine digits, as `pack` writes them.
fn moment(text: &str) -> Option<Timespec> {
    let (seconds, nanoseconds) = text.split_once('.')?;
    (nanoseconds.len() == 9)
        .then(|| Some(Timespec { tv_sec: seconds.parse().ok()?, tv_nsec: nanoseconds.parse().ok()? }))
        .flatten()
}
