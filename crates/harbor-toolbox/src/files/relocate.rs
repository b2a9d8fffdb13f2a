//! `POST /files/move` (contract, toolbox §11.6).
//!
//! Nothing that exists is ever replaced. Across file systems (or the layers of a container's root) a move is a copy
//! followed by a removal; a copy that fails is taken back and the source is left as it was.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, chown, fchown, lchown, symlink};
use std::path::{Path, PathBuf};

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use http::StatusCode;
use rustix::fs::{
    AtFlags, CWD, FileType, Mode, OFlags, RenameFlags, Timespec, Timestamps, mknodat, renameat_with, utimensat,
};
use rustix::io::Errno;
use serde_json::json;

use super::query::{Query, Target};
use super::stream::blocking;
use super::{failure, paths, remove};
use crate::context::Context;
use crate::http::error::Error;
use crate::http::json::Json;

/// Renames or moves a file or directory to a path that does not exist yet.
pub(super) async fn relocate(State(context): State<Context>, query: Query) -> Result<Response, Error> {
    let source = query.target(&context, "source")?;
    let destination = query.target(&context, "destination")?;
    blocking(move || {
        let left = relocate_now(&source, &destination)?;
        Ok(match left {
            None => StatusCode::OK.into_response(),
            Some(error) => Json(json!({
                "message": "copied to the destination, but the source could not be deleted",
                "error": failure::reason(&error),
            }))
            .into_response(),
        })
    })
    .await
}

/// Moves; returns why the source is still there although all of it arrived.
fn relocate_now(source: &Target, destination: &Target) -> Result<Option<io::Error>, Error> {
    let at_source = |error: io::Error| failure::with_path(&source.given, &error);
    let at_destination = |error: io::Error| match error.kind() {
        io::ErrorKind::AlreadyExists => Error::conflict(format!("{}: already exists", paths::text(&destination.given))),
        _ => failure::with_path(&destination.given, &error),
    };
    fs::symlink_metadata(&source.full).map_err(at_source)?;
    let parent = parent_of(&destination.full);
    if !fs::metadata(&parent).map_err(at_destination)?.is_dir() {
        return Err(at_destination(Errno::NOTDIR.into()));
    }
    if fs::symlink_metadata(&destination.full).is_ok() {
        return Err(at_destination(Errno::EXIST.into()));
    }
    match rename(&source.full, &destination.full) {
        Ok(()) => Ok(None),
        Err(Errno::XDEV) => {
            if inside(&source.full, &parent).map_err(at_source)? {
                return Err(at_destination(Errno::INVAL.into()));
            }
            copy_tree(&source.full, &destination.full).map_err(at_destination)?;
            Ok(remove::tree(&source.full).err())
        }
        Err(error) => Err(at_destination(error.into())),
    }
}

fn parent_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("/"),
    }
}

/// Renames without replacing, also where the file system cannot promise that by itself.
fn rename(source: &Path, destination: &Path) -> Result<(), Errno> {
    match renameat_with(CWD, source, CWD, destination, RenameFlags::NOREPLACE) {
        Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => rustix::fs::rename(source, destination),
        result => result,
    }
}

/// Whether `directory` is `tree` or somewhere in it.
fn inside(tree: &Path, directory: &Path) -> io::Result<bool> {
    if !fs::symlink_metadata(tree)?.is_dir() {
        return Ok(false);
    }
    Ok(fs::canonicalize(directory)?.starts_with(fs::canonicalize(tree)?))
}

/// Copies a file, link or whole directory with modes, times and, where permitted, owners.
fn copy_tree(source: &Path, destination: &Path) -> io::Result<()> {
    let mut made_directories = Vec::new();
    let mut waiting = vec![(source.to_owned(), destination.to_owned())];
    let mut any = false;
    let copied = (|| {
        while let Some((from, to)) = waiting.pop() {
            let metadata = fs::symlink_metadata(&from)?;
            if !metadata.is_dir() {
                copy_one(&from, &to, &metadata)?;
                any = true;
                continue;
            }
            fs::create_dir(&to)?;
            any = true;
            for entry in fs::read_dir(&from)? {
                let entry = entry?;
                waiting.push((entry.path(), to.join(entry.file_name())));
            }
            made_directories.push((to, metadata));
        }
        // Last, innermost first: a directory need not be writable, and filling it changes its time.
        made_directories.iter().rev().try_for_each(|(path, metadata)| {
            let _ = chown(path, Some(metadata.uid()), Some(metadata.gid())); // only root may
            fs::set_permissions(path, fs::Permissions::from_mode(metadata.mode() & 0o7777))?;
            copy_times(path, metadata)
        })
    })();
    // What was there before is not ours to take back.
    if copied.as_ref().is_err_and(|error: &io::Error| any || error.kind() != io::ErrorKind::AlreadyExists) {
        let _ = remove::tree(destination); // the error at hand says more than one from here
    }
    copied
}

fn copy_one(from: &Path, to: &Path, metadata: &fs::Metadata) -> io::Result<()> {
    let (uid, gid) = (Some(metadata.uid()), Some(metadata.gid()));
    let kind = FileType::from_raw_mode(metadata.mode());
    match kind {
        FileType::RegularFile => copy_file(from, to, metadata)?,
        FileType::Symlink => {
            symlink(fs::read_link(from)?, to)?;
            let _ = lchown(to, uid, gid); // only root may
        }
        FileType::Fifo | FileType::Socket | FileType::CharacterDevice | FileType::BlockDevice => {
            let permissions = Mode::from_raw_mode(metadata.mode());
            mknodat(CWD, to, kind, permissions, metadata.rdev())?;
            let _ = lchown(to, uid, gid); // only root may
        }
        _ => return Err(failure::not_a_file()),
    }
    copy_times(to, metadata)
}

fn copy_file(from: &Path, to: &Path, metadata: &fs::Metadata) -> io::Result<()> {
    let flags = i32::try_from((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits()).unwrap_or_default();
    let mut source = OpenOptions::new().read(true).custom_flags(flags).open(from)?;
    let mut copy = File::options().write(true).create_new(true).mode(0o600).open(to)?;
    io::copy(&mut source, &mut copy)?;
    let _ = fchown(&copy, Some(metadata.uid()), Some(metadata.gid())); // only root may
    copy.set_permissions(fs::Permissions::from_mode(metadata.mode() & 0o7777))
}

fn copy_times(to: &Path, metadata: &fs::Metadata) -> io::Result<()> {
    let times = Timestamps {
        last_access: Timespec { tv_sec: metadata.atime(), tv_nsec: metadata.atime_nsec() },
        last_modification: Timespec { tv_sec: metadata.mtime(), tv_nsec: metadata.mtime_nsec() },
    };
    Ok(utimensat(CWD, to, &times, AtFlags::SYMLINK_NOFOLLOW)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::mkfifoat;

    #[test]
    fn a_copied_tree_keeps_modes_times_and_links() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        fs::create_dir_all(at("a/d")).unwrap();
        fs::write(at("a/d/f"), "content").unwrap();
        fs::set_permissions(at("a/d/f"), fs::Permissions::from_mode(0o640)).unwrap();
        symlink("nowhere", at("a/l")).unwrap();
        mkfifoat(CWD, at("a/p"), Mode::RUSR).unwrap();
        fs::set_permissions(at("a/d"), fs::Permissions::from_mode(0o555)).unwrap();
        copy_tree(&at("a"), &at("b")).unwrap();
        assert_eq!(fs::read(at("b/d/f")).unwrap(), b"content");
        assert_eq!(fs::read_link(at("b/l")).unwrap(), Path::new("nowhere"));
        for name in ["d", "d/f", "l", "p", ""] {
            let of = |tree: &str| {
                let metadata = fs::symlink_metadata(at(tree).join(name)).unwrap();
                (metadata.mode(), metadata.mtime(), metadata.mtime_nsec())
            };
            assert_eq!(of("a"), of("b"), "{name:?}");
        }
        fs::set_permissions(at("a/d"), fs::Permissions::from_mode(0o755)).unwrap();
        fs::set_permissions(at("b/d"), fs::Permissions::from_mode(0o755)).unwrap();
    }

    #[test]
    fn a_failed_copy_is_taken_back_but_never_what_was_there() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        fs::create_dir(at("a")).unwrap();
        fs::write(at("a/f"), "x").unwrap();
        fs::write(at("there"), "kept").unwrap();
        copy_tree(&at("a"), &at("there")).unwrap_err();
        assert_eq!(fs::read(at("there")).unwrap(), b"kept");
        copy_tree(&at("a"), &at("a/f/below")).unwrap_err();
        assert_eq!(fs::read(at("a/f")).unwrap(), b"x");
    }

    #[test]
    fn a_tree_contains_itself_and_what_is_below() {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir_all(directory.path().join("a/b")).unwrap();
        fs::create_dir_all(directory.path().join("ab")).unwrap();
        let check = |path: &str| inside(&directory.path().join("a"), &directory.path().join(path)).unwrap();
        assert_eq!((check("a"), check("a/b"), check("ab"), check("a/../ab")), (true, true, false, false));
    }
}
