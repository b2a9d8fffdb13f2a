//! What requests do: one client's open files, and the file system.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::canonicalize;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{
    self, AtFlags, CWD, Gid, Mode, OFlags, RenameFlags, StatVfs, StatVfsMountFlags, Timespec, Timestamps, Uid,
};
use rustix::io::{Errno, pread, pwrite, read};

use super::directory::Directory;
use super::reply::{Replies, Status};
use super::request::{Malformed, PACKET, Packet, Request, Wanted, length, open, parse};

/// Most open files and directories.
const HANDLES: usize = 256;

/// Most bytes of a file in one packet, as OpenSSH has it.
const CONTENT: usize = PACKET - 1024;

/// No further request is carried out while answers of this size wait.
const ANSWERS: usize = 512 << 10;

/// One client.
pub(super) struct Session {
    /// Where relative paths begin.
    start: PathBuf,
    home: PathBuf,
    handles: HashMap<u32, Handle>,
    opened: u32,
}

enum Handle {
    File(OwnedFd),
    Directory(Directory),
}

impl AsFd for Handle {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::File(file) => file.as_fd(),
            Self::Directory(directory) => directory.as_fd(),
        }
    }
}

impl Session {
    /// A client whose relative paths begin in `start`, or, where that is no more, in `home`.
    pub(super) fn new(start: PathBuf, home: PathBuf) -> Self {
        let start = if start.is_dir() { start } else { home.clone() };
        Self { start, home, handles: HashMap::new(), opened: 0 }
    }

    /// Answers the whole packets of `stream`, as many as fit; returns how many bytes they take.
    pub(super) fn answer(&mut self, stream: &[u8], replies: &mut Replies) -> Result<usize, Malformed> {
        let mut taken = 0;
        while let Some(length) = length(&stream[taken..])? {
            let Some(packet) = stream[taken..].get(..length) else { break };
            match parse(&packet[4..])? {
                Packet::Hello => replies.hello(),
                Packet::Request { id, request: Ok(request) } => {
                    if let Err(error) = self.carry_out(id, request, replies) {
                        replies.failure(id, error);
                    }
                }
                Packet::Request { id, request: Err(Malformed) } => {
                    replies.status(id, Status::BadMessage, "this is no request");
                }
            }
            taken += length;
            if replies.as_bytes().len() >= ANSWERS {
                break;
            }
        }
        Ok(taken)
    }

    /// Carries out one request and answers it, unless it fails.
    fn carry_out(&mut self, id: u32, request: Request<'_>, replies: &mut Replies) -> Result<(), Errno> {
        match request {
            Request::Open { path, flags, wanted } => {
                let file = open_file(&self.at(path), flags, wanted)?;
                replies.handle(id, self.keep(Handle::File(file))?);
                return Ok(());
            }
            Request::OpenDirectory { path } => {
                let directory = Directory::open(&self.at(path))?;
                replies.handle(id, self.keep(Handle::Directory(directory))?);
                return Ok(());
            }
            Request::Read { handle, offset, length } => {
                let file = self.handle(handle)?.as_fd();
                let length = usize::try_from(length).unwrap_or(CONTENT).min(CONTENT);
                return replies.data(id, length, |buffer| read_at(file, buffer, offset));
            }
            Request::ReadDirectory { handle } => match self.handles.get_mut(&number(handle)?) {
                Some(Handle::Directory(directory)) => return directory.list(id, replies),
                _ => return Err(Errno::BADF),
            },
            Request::LinkStatus { path } => {
                replies.attributes(id, &fs::lstat(self.at(path))?);
                return Ok(());
            }
            Request::Status { path } => {
                replies.attributes(id, &fs::stat(self.at(path))?);
                return Ok(());
            }
            Request::HandleStatus { handle } => {
                replies.attributes(id, &fs::fstat(self.handle(handle)?)?);
                return Ok(());
            }
            Request::RealPath { path } => {
                replies.name(id, real_path(&self.at(path))?.as_os_str().as_bytes());
                return Ok(());
            }
            Request::ExpandPath { path } => {
                replies.name(id, self.expanded(path)?.as_os_str().as_bytes());
                return Ok(());
            }
            Request::HomeDirectory => {
                replies.name(id, self.home.as_os_str().as_bytes());
                return Ok(());
            }
            Request::ReadLink { path } => {
                replies.name(id, fs::readlink(self.at(path), Vec::new())?.as_bytes());
                return Ok(());
            }
            Request::FileSystem { path } => {
                replies.numbers(id, &capacity(&fs::statvfs(self.at(path))?));
                return Ok(());
            }
            Request::FileSystemOfHandle { handle } => {
                replies.numbers(id, &capacity(&fs::fstatvfs(self.handle(handle)?)?));
                return Ok(());
            }
            Request::Limits => {
                replies.numbers(id, &[PACKET, CONTENT, CONTENT, HANDLES].map(|limit| limit as u64));
                return Ok(());
            }
            Request::Unknown => {
                replies.status(id, Status::Unsupported, "not supported");
                return Ok(());
            }
            change => self.change(change)?,
        }
        replies.status(id, Status::Ok, "Success");
        Ok(())
    }

    /// Requests that are answered with their outcome alone.
    fn change(&mut self, request: Request<'_>) -> Result<(), Errno> {
        match request {
            Request::Close { handle } => self.handles.remove(&number(handle)?).map(drop).ok_or(Errno::BADF),
            Request::Write { handle, offset, data } => write_at(self.handle(handle)?.as_fd(), data, offset),
            Request::SetStatus { path, wanted } => set_path(&self.at(path), wanted, AtFlags::empty()),
            Request::SetLinkStatus { path, wanted } => set_path(&self.at(path), wanted, AtFlags::SYMLINK_NOFOLLOW),
            Request::SetHandleStatus { handle, wanted } => set_handle(self.handle(handle)?.as_fd(), wanted),
            Request::Remove { path } => fs::unlink(self.at(path)),
            Request::MakeDirectory { path, wanted } => {
                fs::mkdir(self.at(path), mode(wanted.permissions.unwrap_or(0o777)))
            }
            Request::RemoveDirectory { path } => fs::rmdir(self.at(path)),
            Request::Rename { from, to } => rename_new(&self.at(from), &self.at(to)),
            Request::PosixRename { from, to } => fs::rename(self.at(from), self.at(to)),
            Request::HardLink { from, to } => fs::link(self.at(from), self.at(to)),
            // The target is the link's content, not a path of ours.
            Request::SymbolicLink { target, link } => fs::symlink(OsStr::from_bytes(target), self.at(link)),
            Request::Synchronize { handle } => fs::fsync(self.handle(handle)?),
            _ => Err(Errno::NOSYS),
        }
    }

    /// The path that a client means.
    fn at(&self, path: &[u8]) -> PathBuf {
        self.start.join(OsStr::from_bytes(path))
    }

    /// A path that may begin with the home directory's sign; those of other users are not known here.
    fn expanded(&self, path: &[u8]) -> Result<PathBuf, Errno> {
        let path = match path {
            b"~" => self.home.clone(),
            [b'~', b'/', below @ ..] => self.home.join(OsStr::from_bytes(below)),
            [b'~', ..] => return Err(Errno::NOENT),
            path => self.at(path),
        };
        real_path(&path)
    }

    fn keep(&mut self, handle: Handle) -> Result<[u8; 4], Errno> {
        if self.handles.len() >= HANDLES {
            return Err(Errno::MFILE);
        }
        while self.handles.contains_key(&self.opened) {
            self.opened = self.opened.wrapping_add(1);
        }
        let number = self.opened;
        self.handles.insert(number, handle);
        self.opened = number.wrapping_add(1);
        Ok(number.to_be_bytes())
    }

    fn handle(&self, handle: &[u8]) -> Result<&Handle, Errno> {
        self.handles.get(&number(handle)?).ok_or(Errno::BADF)
    }
}

fn number(handle: &[u8]) -> Result<u32, Errno> {
    handle.try_into().map(u32::from_be_bytes).map_err(|_| Errno::BADF)
}

fn mode(permissions: u32) -> Mode {
    Mode::from_raw_mode(permissions & 0o7777)
}

/// Never waits for the other end of a FIFO: without a reader there is nothing to be written, without a writer its end.
fn open_file(path: &Path, flags: u32, wanted: Wanted) -> Result<OwnedFd, Errno> {
    let has = |flag: u32| flags & flag != 0;
    let mut how = match (has(open::READ), has(open::WRITE)) {
        (true, true) => OFlags::RDWR,
        (false, true) => OFlags::WRONLY,
        (_, false) => OFlags::RDONLY,
    };
    how |= OFlags::CLOEXEC | OFlags::NOCTTY | OFlags::NONBLOCK;
    how.set(OFlags::APPEND, has(open::APPEND));
    how.set(OFlags::CREATE, has(open::CREATE));
    how.set(OFlags::TRUNC, has(open::TRUNCATE));
    how.set(OFlags::EXCL, has(open::EXCLUSIVE));
    fs::open(path, how, mode(wanted.permissions.unwrap_or(0o666)))
}

/// What cannot be read at a place, such as a terminal, is read where it stands.
fn read_at(file: BorrowedFd<'_>, buffer: &mut [u8], offset: u64) -> Result<usize, Errno> {
    match pread(file, &mut *buffer, offset) {
        Err(Errno::SPIPE) => read(file, buffer),
        read => read,
    }
}

fn write_at(file: BorrowedFd<'_>, mut data: &[u8], mut offset: u64) -> Result<(), Errno> {
    while !data.is_empty() {
        let written = match pwrite(file, data, offset) {
            Err(Errno::INTR) => continue,
            Err(Errno::SPIPE) => rustix::io::write(file, data)?,
            written => written?,
        };
        if written == 0 {
            return Err(Errno::IO);
        }
        data = &data[written..];
        offset = offset.checked_add(written as u64).ok_or(Errno::FBIG)?;
    }
    Ok(())
}

/// Renames unless there is something at `to`.
fn rename_new(from: &Path, to: &Path) -> Result<(), Errno> {
    match fs::renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        // A file system without that promise.
        Err(Errno::INVAL | Errno::NOSYS) => match fs::lstat(to) {
            Ok(_) => Err(Errno::EXIST),
            Err(Errno::NOENT) => fs::rename(from, to),
            Err(error) => Err(error),
        },
        outcome => outcome,
    }
}

fn set_path(path: &Path, wanted: Wanted, links: AtFlags) -> Result<(), Errno> {
    if let Some(size) = wanted.size {
        let flags = OFlags::WRONLY | OFlags::CLOEXEC | OFlags::NOCTTY | OFlags::NONBLOCK;
        let own = if links.is_empty() { OFlags::empty() } else { OFlags::NOFOLLOW };
        fs::ftruncate(fs::open(path, flags | own, Mode::empty())?, size)?;
    }
    if let Some(permissions) = wanted.permissions {
        fs::chmodat(CWD, path, mode(permissions), links)?;
    }
    if let Some(times) = wanted.times {
        fs::utimensat(CWD, path, &timestamps(times), links)?;
    }
    if let Some((user, group)) = wanted.owner {
        fs::chownat(CWD, path, some_user(user), some_group(group), links)?;
    }
    Ok(())
}

fn set_handle(file: BorrowedFd<'_>, wanted: Wanted) -> Result<(), Errno> {
    if let Some(size) = wanted.size {
        fs::ftruncate(file, size)?;
    }
    if let Some(permissions) = wanted.permissions {
        fs::fchmod(file, mode(permissions))?;
    }
    if let Some(times) = wanted.times {
        fs::futimens(file, &timestamps(times))?;
    }
    if let Some((user, group)) = wanted.owner {
        fs::fchown(file, some_user(user), some_group(group))?;
    }
    Ok(())
}

/// The highest number means "leave it" to the kernel.
fn some_user(user: u32) -> Option<Uid> {
    (user != u32::MAX).then(|| Uid::from_raw(user))
}

fn some_group(group: u32) -> Option<Gid> {
    (group != u32::MAX).then(|| Gid::from_raw(group))
}

fn timestamps((access, modification): (u32, u32)) -> Timestamps {
    let time = |seconds: u32| Timespec { tv_sec: seconds.into(), tv_nsec: 0 };
    Timestamps { last_access: time(access), last_modification: time(modification) }
}

/// The path without links; its last part need not exist.
fn real_path(path: &Path) -> Result<PathBuf, Errno> {
    let errno = |error: std::io::Error| Errno::from_io_error(&error).unwrap_or(Errno::IO);
    match canonicalize(path).map_err(errno) {
        Err(Errno::NOENT) => match (path.parent(), path.components().next_back()) {
            (Some(parent), Some(Component::Normal(name))) => {
                // A link that leads nowhere is its own name.
                Ok(canonicalize(parent).map_err(errno)?.join(name))
            }
            _ => Err(Errno::NOENT),
        },
        found => found,
    }
}

fn capacity(found: &StatVfs) -> [u64; 11] {
    let flags = found.f_flag & (StatVfsMountFlags::RDONLY | StatVfsMountFlags::NOSUID);
    [
        found.f_bsize,
        found.f_frsize,
        found.f_blocks,
        found.f_bfree,
        found.f_bavail,
        found.f_files,
        found.f_ffree,
        found.f_favail,
        found.f_fsid,
        flags.bits(),
        found.f_namemax,
    ]
}
