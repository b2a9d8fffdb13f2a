//! A container's writable layer as a directory, read and written as a tar archive, or copied to another directory
//! (design D7).
//!
//! Guarantees: what is read back is what was written: owners, modes, times to the nanosecond, extended attributes, hard
//! links, holes, devices (a deleted file is the character device 0/0) and opaque directories. Writing never leaves the
//! directory that it is given, whatever links the archive holds. Leaves out: sockets, which mean nothing later, layers in
//! which something moves, and compression.

mod attributes;
mod contents;
mod extents;
mod pack;
mod place;
mod remove;
mod tree;
mod unpack;
mod write_back;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

pub use contents::Contents;
pub use pack::pack;
pub use remove::{empty, remove};
pub use tree::{copy, describe};
pub use unpack::unpack;
pub use write_back::WriteBack;

/// Whether a copy under way is to end: threads cannot be dropped. Clones are the same.
#[derive(Clone, Debug, Default)]
pub struct Cut(Arc<AtomicBool>);

impl Cut {
    /// An error once the copy is to end.
    pub fn check(&self) -> io::Result<()> {
        if self.0.load(Ordering::Relaxed) { Err(io::Error::other("the copy was cut short")) } else { Ok(()) }
    }
}

/// Ends the copy with whoever waits for it.
#[derive(Debug)]
pub struct CutWhenDropped(pub Cut);

impl Drop for CutWhenDropped {
    fn drop(&mut self) {
        self.0.0.store(true, Ordering::Relaxed);
    }
}

/// PAX record of a file with holes, as GNU tar writes it (its sparse format 0.1): how long the file is.
const WHOLE_SIZE: &str = "GNU.sparse.size";

/// PAX record beside it: where its data lies, `offset,length,offset,length`. The entry holds nothing else.
const DATA_MAP: &str = "GNU.sparse.map";

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt, PermissionsExt, symlink};
    use std::path::Path;

    use rustix::fs::{CWD, FileType, Mode, XattrFlags, makedev, mknodat};

    use super::*;

    /// Both ways in which a layer becomes another one: through an archive, and from directory to directory.
    const WAYS: [fn(&Path, &Path); 2] = [through_an_archive, directly];

    fn through_an_archive(from: &Path, to: &Path) {
        let mut archive = Vec::new();
        pack(from, &mut archive, &Cut::default()).unwrap();
        unpack(to, archive.as_slice()).unwrap();
    }

    fn directly(from: &Path, to: &Path) {
        copy(from, to, Contents::Copied, io::sink(), &Cut::default()).unwrap();
    }

    #[test]
    fn holes_are_neither_read_nor_written() {
        for copy in WAYS {
            holes_are_kept(copy);
        }
    }

    fn holes_are_kept(copy: fn(&Path, &Path)) {
        let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let terabyte = 1 << 40;
        let file = fs::File::create(from.path().join("file")).unwrap();
        for (offset, text) in [(0, "first"), (1 << 39, "middle"), (terabyte - 4, "last")] {
            file.write_all_at(text.as_bytes(), offset).unwrap();
        }
        fs::File::create(from.path().join("empty")).unwrap().set_len(terabyte).unwrap();

        copy(from.path(), to.path());

        for name in ["file", "empty"] {
            let found = fs::metadata(to.path().join(name)).unwrap();
            assert_eq!(found.len(), terabyte, "{name}");
            assert!(found.blocks() * 512 < 1 << 20, "{name} takes {} blocks", found.blocks());
        }
        let file = fs::File::open(to.path().join("file")).unwrap();
        for (offset, text) in [(0, "first\0"), ((1 << 39) - 1, "\0middle\0"), (terabyte - 5, "\0last")] {
            let mut found = vec![1; text.len()];
            file.read_exact_at(&mut found, offset).unwrap();
            assert_eq!(found, text.as_bytes());
        }
    }

    #[test]
    fn many_small_pieces_take_no_more_room_than_before() {
        for copy in WAYS {
            let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
            let file = fs::File::create(from.path().join("file")).unwrap();
            for piece in 0..5000_u64 {
                file.write_all_at(b"x", piece << 18).unwrap();
            }
            // holes smaller than what is read at a time
            let dense = fs::File::create(from.path().join("dense")).unwrap();
            for piece in 0..100_u64 {
                dense.write_all_at(b"x", piece * 15 * 4096).unwrap();
            }

            copy(from.path(), to.path());

            for name in ["file", "dense"] {
                let [before, after] = [&from, &to].map(|tree| fs::metadata(tree.path().join(name)).unwrap());
                assert_eq!(after.len(), before.len());
                let (had, has) = (before.blocks(), after.blocks());
                assert!(has <= had + had / 4, "{name}: {has} blocks, {had} before");
            }
            assert_eq!(fs::read(from.path().join("dense")).unwrap(), fs::read(to.path().join("dense")).unwrap());
            let copied = fs::File::open(to.path().join("file")).unwrap();
            for piece in 0..5000_u64 {
                let mut found = [0];
                copied.read_exact_at(&mut found, piece << 18).unwrap();
                assert_eq!(&found, b"x", "piece {piece}");
            }
        }
    }

    #[test]
    fn a_tree_deeper_than_the_longest_path_is_kept() {
        for copy in WAYS {
            deep_files_are_kept(copy);
        }
    }

    fn deep_files_are_kept(copy: fn(&Path, &Path)) {
        use rustix::fs::{OFlags, mkdirat, openat};

        const DEPTH: usize = 60;
        let name = "d".repeat(200);
        let open = |from: &std::os::fd::OwnedFd, name: &str, flags| openat(from, name, flags, Mode::RWXU).unwrap();
        let directory = OFlags::RDONLY | OFlags::DIRECTORY;
        let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let mut at = openat(CWD, from.path(), directory, Mode::empty()).unwrap();
        for _ in 0..DEPTH {
            mkdirat(&at, &name, Mode::RWXU).unwrap();
            at = open(&at, &name, directory);
        }
        let file = fs::File::from(open(&at, "file", OFlags::WRONLY | OFlags::CREATE));
        file.write_all_at(b"deep", 0).unwrap();
        rustix::fs::fsetxattr(&file, "user.note", b"kept", XattrFlags::empty()).unwrap();
        rustix::fs::linkat(&at, "file", &at, "twin", rustix::fs::AtFlags::empty()).unwrap();
        rustix::fs::symlinkat("file", &at, "link").unwrap();

        copy(from.path(), to.path());

        let mut at = openat(CWD, to.path(), directory, Mode::empty()).unwrap();
        for _ in 0..DEPTH {
            at = open(&at, &name, directory);
        }
        for name in ["file", "twin", "link"] {
            let file = fs::File::from(open(&at, name, OFlags::RDONLY));
            let mut found = [0; 4];
            file.read_exact_at(&mut found, 0).unwrap();
            assert_eq!(&found, b"deep", "{name}");
            assert_eq!(file.metadata().unwrap().nlink(), 2);
            let length = rustix::fs::fgetxattr(&file, "user.note", &mut found).unwrap();
            assert_eq!(&found[..length], b"kept");
        }
    }

    #[test]
    fn attributes_and_links_are_kept_byte_for_byte() {
        for copy in WAYS {
            attributes_are_kept(copy);
        }
    }

    fn attributes_are_kept(copy: fn(&Path, &Path)) {
        use std::ffi::OsStr;
        use std::os::unix::ffi::OsStrExt;

        let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let file = from.path().join("file");
        fs::write(&file, "x").unwrap();
        let attributes: [(&[u8], &[u8]); 6] = [
            (b"user.plain", b"value"),
            (b"user.lines", b"a\nb\n"),
            (b"user.name\nwith a line", b"x"),
            (b"user.a=b", b"c=d"),
            (b"user.\xff\xfe", b"\x00\x0a\xff"),
            (b"user.empty", b""),
        ];
        for (name, value) in attributes {
            rustix::fs::lsetxattr(&file, OsStr::from_bytes(name), value, XattrFlags::empty()).unwrap();
        }
        let targets: [&[u8]; 5] = [b"a//b/./c/", b"//etc/../passwd", b"/", b"./x\ny", b"\xff"];
        for (number, target) in targets.iter().enumerate() {
            symlink(OsStr::from_bytes(target), from.path().join(number.to_string())).unwrap();
        }

        copy(from.path(), to.path());

        for (name, value) in attributes {
            let mut found = [0; 64];
            let length =
                rustix::fs::lgetxattr(to.path().join("file"), OsStr::from_bytes(name), &mut found[..]).unwrap();
            assert_eq!(&found[..length], value, "{:?}", OsStr::from_bytes(name));
        }
        for (number, target) in targets.iter().enumerate() {
            let found = fs::read_link(to.path().join(number.to_string())).unwrap();
            assert_eq!(found.as_os_str().as_bytes(), *target);
        }
    }

    #[test]
    fn nothing_inherits_rights_that_it_did_not_have() {
        for copy in WAYS {
            rights_are_kept(copy);
        }
    }

    fn rights_are_kept(copy: fn(&Path, &Path)) {
        // version 2: owner rwx, user 1234 rwx, group r-x, mask rwx, others r-x
        let rights: Vec<u8> = [2_u32.to_le_bytes().to_vec()]
            .into_iter()
            .chain([(1, 7, u32::MAX), (2, 7, 1234), (4, 5, u32::MAX), (16, 7, u32::MAX), (32, 5, u32::MAX)].map(
                |(tag, allowed, id): (u16, u16, u32)| {
                    [&tag.to_le_bytes()[..], &allowed.to_le_bytes(), &id.to_le_bytes()].concat()
                },
            ))
            .flatten()
            .collect();
        let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::create_dir_all(from.path().join("a/b")).unwrap();
        fs::write(from.path().join("a/file"), "x").unwrap();
        let default = "system.posix_acl_default";
        rustix::fs::lsetxattr(from.path().join("a"), default, &rights, XattrFlags::empty()).unwrap();

        copy(from.path(), to.path());

        let mut found = [0; 256];
        let length = rustix::fs::lgetxattr(to.path().join("a"), default, &mut found[..]).unwrap();
        assert_eq!(&found[..length], rights);
        for (path, name) in
            [("a/file", "system.posix_acl_access"), ("a/b", default), ("a/b", "system.posix_acl_access")]
        {
            assert!(rustix::fs::lgetxattr(to.path().join(path), name, &mut found[..]).is_err(), "{path} has {name}");
        }
    }

    #[test]
    fn what_is_cut_is_read_no_further() {
        let from = tempfile::tempdir().unwrap();
        fs::write(from.path().join("file"), vec![1; 1 << 20]).unwrap();
        let cut = Cut::default();
        drop(CutWhenDropped(cut.clone()));
        let mut written = Vec::new();
        pack(from.path(), &mut written, &cut).unwrap_err();
        assert!(written.len() < 1 << 20, "{} bytes", written.len());
    }

    #[test]
    fn a_layer_survives_the_copy() {
        for copy in WAYS {
            everything_is_kept(copy);
        }
    }

    fn everything_is_kept(copy: fn(&Path, &Path)) {
        let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let old = from.path();
        fs::create_dir_all(old.join("a/b")).unwrap();
        fs::write(old.join("a/b/file"), b"content").unwrap();
        fs::set_permissions(old.join("a/b/file"), fs::Permissions::from_mode(0o4711)).unwrap();
        fs::hard_link(old.join("a/b/file"), old.join("twin")).unwrap();
        symlink("/etc/passwd", old.join("link")).unwrap();
        let long = "n".repeat(200);
        fs::write(old.join("a").join(&long), vec![0_u8; 300_000]).unwrap();
        mknodat(CWD, old.join("gone"), FileType::CharacterDevice, Mode::empty(), makedev(0, 0)).unwrap();
        rustix::fs::lsetxattr(old.join("a"), "trusted.overlay.opaque", b"y", XattrFlags::empty()).unwrap();
        rustix::fs::lsetxattr(old.join("twin"), "user.note", b"\x00\xff", XattrFlags::empty()).unwrap();
        fs::create_dir(to.path().join("a")).unwrap();
        symlink("/nowhere", to.path().join("twin")).unwrap();

        copy(old, to.path());

        let new = to.path();
        let file = fs::metadata(new.join("a/b/file")).unwrap();
        assert_eq!(fs::read(new.join("a/b/file")).unwrap(), b"content");
        assert_eq!(file.mode() & 0o7777, 0o4711);
        assert_eq!(file.ino(), fs::symlink_metadata(new.join("twin")).unwrap().ino());
        let before = fs::metadata(old.join("a/b/file")).unwrap();
        assert_eq!((file.mtime(), file.mtime_nsec()), (before.mtime(), before.mtime_nsec()));
        assert_eq!(
            fs::metadata(new.join("a")).unwrap().mtime_nsec(),
            fs::metadata(old.join("a")).unwrap().mtime_nsec()
        );
        assert_eq!(fs::read_link(new.join("link")).unwrap(), Path::new("/etc/passwd"));
        assert_eq!(fs::metadata(new.join("a").join(&long)).unwrap().len(), 300_000);
        let gone = fs::symlink_metadata(new.join("gone")).unwrap();
        assert!(gone.file_type().is_char_device() && gone.rdev() == 0);
        let mut value = [0; 16];
        let length = rustix::fs::lgetxattr(new.join("a"), "trusted.overlay.opaque", &mut value[..]).unwrap();
        assert_eq!(&value[..length], b"y");
        let length = rustix::fs::lgetxattr(new.join("twin"), "user.note", &mut value[..]).unwrap();
        assert_eq!(&value[..length], b"\x00\xff");
    }

    #[test]
    fn an_archive_cannot_reach_out_of_its_directory() {
        let outside = tempfile::tempdir().unwrap();
        let inside = tempfile::tempdir().unwrap();
        let mut archive = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Symlink);
        header.set_size(0);
        archive.append_link(&mut header, "door", outside.path()).unwrap();
        let mut header = tar::Header::new_gnu();
        header.set_size(1);
        header.set_mode(0o644);
        archive.append_data(&mut header, "door/file", &b"x"[..]).unwrap();
        let archive = archive.into_inner().unwrap();
        unpack(inside.path(), archive.as_slice()).unwrap_err();
        assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0);
    }
}
