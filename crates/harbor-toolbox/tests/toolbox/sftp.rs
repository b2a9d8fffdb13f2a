//! Files, with OpenSSH's own `sftp` and `scp`.

use std::fs::{self, Permissions};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

use crate::client::Toolbox;

/// A toolbox, and a directory of the client's own.
struct Pair {
    toolbox: Toolbox,
    local: TempDir,
    /// The program that `-D` runs.
    server: PathBuf,
}

impl Pair {
    fn new() -> Self {
        let toolbox = Toolbox::start();
        let local = tempfile::tempdir().unwrap();
        let server = local.path().join("join");
        let join = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/toolbox/join.py");
        let port = toolbox.port();
        fs::write(&server, format!("#!/bin/sh\nexec python3 '{}' {port}\n", join.display())).unwrap();
        fs::set_permissions(&server, Permissions::from_mode(0o755)).unwrap();
        Self { toolbox, local, server }
    }

    /// Runs a batch of commands; the first that fails ends it.
    fn sftp(&self, batch: &[u8]) -> Output {
        let file = self.local.path().join("batch");
        fs::write(&file, batch).unwrap();
        let mut command = Command::new("sftp");
        command.args(["-q", "-b"]).arg(file).arg("-D").arg(&self.server).current_dir(self.local.path());
        command.output().unwrap()
    }

    /// What a batch prints; it must succeed.
    #[track_caller]
    fn done(&self, batch: &str) -> String {
        let output = self.sftp(batch.as_bytes());
        assert!(output.status.success(), "{batch}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// What a batch that must fail says.
    #[track_caller]
    fn refused(&self, batch: &str) -> String {
        let output = self.sftp(batch.as_bytes());
        assert!(!output.status.success(), "{batch}: {output:?}");
        String::from_utf8(output.stderr).unwrap()
    }

    #[track_caller]
    fn scp(&self, arguments: &[&str]) {
        let mut command = Command::new("scp");
        command.args(["-q", "-D"]).arg(&self.server).args(arguments).current_dir(self.local.path());
        let output = command.output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {output:?}");
    }

    fn here(&self, name: &str) -> PathBuf {
        self.local.path().join(name)
    }

    fn there(&self, name: &str) -> PathBuf {
        self.toolbox.at(name)
    }
}

/// Bytes of which no two stretches are alike.
fn content(length: usize) -> Vec<u8> {
    (0..length).map(|index| u8::try_from((index ^ (index >> 8) ^ (index >> 15)) & 0xff).unwrap()).collect()
}

#[test]
fn content_comes_and_goes_whole() {
    let pair = Pair::new();
    for length in [0, 1, 32_768, 261_121, 5_000_000] {
        let bytes = content(length);
        fs::write(pair.here("up"), &bytes).unwrap();
        pair.done("put up file\nput -f up synced\nget file down\n");
        assert!(fs::read(pair.there("file")).unwrap() == bytes, "{length} up");
        assert!(fs::read(pair.there("synced")).unwrap() == bytes, "{length} with fsync");
        assert!(fs::read(pair.here("down")).unwrap() == bytes, "{length} down");
    }
    pair.done("get -a file down\n");
    fs::write(pair.here("down"), content(1000)).unwrap();
    pair.done("reget file down\n");
    assert!(fs::read(pair.here("down")).unwrap() == content(5_000_000), "a download goes on where it ended");
    fs::write(pair.there("part"), content(1000)).unwrap();
    pair.done("reput down part\n");
    assert!(fs::read(pair.there("part")).unwrap() == content(5_000_000), "an upload goes on where it ended");
    assert!(pair.toolbox.peak_memory() < 32 << 20, "{}", pair.toolbox.peak_memory());
}

#[test]
fn trees_times_and_permissions() {
    let pair = Pair::new();
    fs::create_dir_all(pair.here("tree/sub/deep")).unwrap();
    fs::write(pair.here("tree/a"), "a").unwrap();
    fs::write(pair.here("tree/sub/deep/b"), "b").unwrap();
    fs::set_permissions(pair.here("tree/a"), Permissions::from_mode(0o640)).unwrap();
    let touched = Command::new("touch").args(["-d", "2020-02-03 04:05:06 UTC"]).arg(pair.here("tree/a")).status();
    assert!(touched.unwrap().success());
    pair.done("put -pR tree\nget -pR tree back\n");
    for place in [pair.there("tree"), pair.here("back")] {
        let a = fs::metadata(place.join("a")).unwrap();
        assert_eq!((a.mode() & 0o7777, a.mtime()), (0o640, 1_580_702_706));
        assert_eq!(fs::read(place.join("sub/deep/b")).unwrap(), b"b");
    }
    // Only root may give files away.
    let own = fs::metadata(pair.there("tree/a")).unwrap();
    let (user, group) = if own.uid() == 0 { (34, 12) } else { (own.uid(), own.gid()) };
    pair.done(&format!("chmod 751 tree/a\nchgrp {group} tree/a\nchown {user} tree/a\n"));
    let a = fs::metadata(pair.there("tree/a")).unwrap();
    assert_eq!((a.mode() & 0o777, a.uid(), a.gid()), (0o751, user, group));
    pair.done("rm tree/sub/deep/b\nrmdir tree/sub/deep\nmkdir tree/new\n");
    assert!(!pair.there("tree/sub/deep").exists() && pair.there("tree/new").is_dir());
    pair.refused("rmdir tree\n");
    pair.refused("rm tree\n");
    assert!(pair.there("tree/new").is_dir());
}

#[test]
fn names_are_listed_and_changed() {
    let pair = Pair::new();
    for number in 0..700 {
        fs::write(pair.there(&format!("file-{number:03}")), "").unwrap();
    }
    let listed = pair.done("ls -1\n");
    assert_eq!(listed.lines().filter(|line| line.starts_with("file-")).count(), 700);
    let long = pair.done("ls -la file-007\n");
    assert!(long.contains("-rw-r--r--") && long.contains("file-007"), "{long}");
    assert!(pair.done("ls -la\n").contains(" .."));
    pair.done("rename file-000 renamed\n");
    assert!(pair.there("renamed").exists() && !pair.there("file-000").exists());
    fs::write(pair.there("taken"), "taken").unwrap();
    pair.refused("rename -l renamed taken\n");
    assert_eq!(fs::read(pair.there("taken")).unwrap(), b"taken", "the old rename overwrites nothing");
    pair.done("rename -l renamed free\nrename taken free\n");
    assert_eq!(fs::read(pair.there("free")).unwrap(), b"taken", "the new one does, at once");
    let pwd = pair.done("pwd\ncd /usr/bin/..\npwd\n");
    let home = fs::canonicalize(pair.there("")).unwrap();
    assert!(pwd.contains(&format!("directory: {}\n", home.display())) && pwd.ends_with("directory: /usr\n"), "{pwd}");
    assert!(pair.done("df\n").contains('%'));
    for missing in ["get none\n", "ls none\n", "cd none\n", "rm none\n"] {
        let said = pair.refused(missing).to_lowercase();
        assert!(said.contains("not found") || said.contains("no such"), "{said}");
    }
}

#[test]
fn links_are_the_kernels_business() {
    let pair = Pair::new();
    fs::write(pair.there("file"), "content").unwrap();
    pair.done("ln -s file soft\nln -s /no/where broken\nln file hard\nget soft\nget hard\n");
    assert_eq!(fs::read_link(pair.there("soft")).unwrap(), Path::new("file"));
    assert_eq!(fs::read_link(pair.there("broken")).unwrap(), Path::new("/no/where"));
    assert_eq!(fs::metadata(pair.there("hard")).unwrap().nlink(), 2);
    assert_eq!(fs::read(pair.here("soft")).unwrap(), b"content");
    assert!(pair.done("ls -l\n").lines().any(|line| line.starts_with('l') && line.contains("soft")));
    pair.refused("get broken\n");
    pair.done("rm soft\n");
    assert!(pair.there("file").exists(), "the link went, not the file");
    symlink(pair.there("loop"), pair.there("loop")).unwrap();
    pair.refused("get loop\n");
}

#[test]
fn names_are_bytes() {
    let pair = Pair::new();
    let name = std::ffi::OsStr::from_bytes(b"caf\xe9 \xff");
    let there = pair.toolbox.at("").join(name);
    fs::write(&there, "latin").unwrap();
    assert!(pair.sftp(b"get \"caf\xe9 \xff\" down\nrename \"caf\xe9 \xff\" \"n\xe9w\"\n").status.success());
    assert_eq!(fs::read(pair.here("down")).unwrap(), b"latin");
    assert!(!there.exists() && pair.toolbox.at("").join(std::ffi::OsStr::from_bytes(b"n\xe9w")).exists());
    for name in ["ümlaut ß", "日本語", "emoji 🙂", " leading", "quote'"] {
        fs::write(pair.there(name), name).unwrap();
        pair.done(&format!("get \"{name}\" down\n"));
        assert_eq!(fs::read(pair.here("down")).unwrap(), name.as_bytes());
    }
}

#[test]
fn what_is_no_file_is_not_waited_for() {
    let pair = Pair::new();
    let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
    rustix::fs::mkfifoat(rustix::fs::CWD, pair.there("fifo"), mode).unwrap();
    // The client itself takes regular files only; the server must not hang either way.
    let _ = pair.sftp(b"get fifo\n");
    fs::write(pair.here("up"), "x").unwrap();
    pair.refused("put up fifo\n");
}

#[test]
fn scp_copies_files_and_trees() {
    let pair = Pair::new();
    fs::create_dir_all(pair.here("tree/sub")).unwrap();
    fs::write(pair.here("tree/sub/file"), content(300_000)).unwrap();
    pair.scp(&["-pr", "tree", "sandbox:"]);
    pair.scp(&["-r", "sandbox:tree", "back"]);
    pair.scp(&["sandbox:tree/sub/*", "one"]);
    let home = pair.there("tree/sub/file");
    pair.scp(&[&format!("sandbox:{}", home.display()), "sandbox:copy"]);
    for place in [home, pair.here("back/sub/file"), pair.here("one"), pair.there("copy")] {
        assert!(fs::read(&place).unwrap() == content(300_000), "{}", place.display());
    }
    pair.scp(&["one", "sandbox:~/tilde"]);
    assert!(pair.there("tilde").exists());
}
