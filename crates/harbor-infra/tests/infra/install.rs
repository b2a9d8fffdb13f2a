//! Switching the volume of the binaries.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

fn install(directory: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_harbor-infra")).arg("--install").arg(directory).output().unwrap()
}

/// A directory of the volume with one file that holds the directory's name.
fn fill(volume: &Path, name: &str) {
    fs::create_dir(volume.join(name)).unwrap();
    fs::write(volume.join(name).join("harbor-infra"), name).unwrap();
}

#[test]
fn the_link_is_relative_so_that_it_holds_wherever_the_volume_is_mounted() {
    let volume = tempfile::tempdir().unwrap();
    fill(volume.path(), "a1");
    assert!(install(&volume.path().join("a1")).status.success());
    assert_eq!(fs::read_link(volume.path().join("current")).unwrap(), Path::new("a1"));
}

#[test]
fn a_reader_never_misses_the_link() {
    let volume = tempfile::tempdir().unwrap();
    fill(volume.path(), "a1");
    fill(volume.path(), "b2");
    assert!(install(&volume.path().join("a1")).status.success());
    let stop = Arc::new(AtomicBool::new(false));
    let reader = std::thread::spawn({
        let (stop, file) = (Arc::clone(&stop), volume.path().join("current/harbor-infra"));
        move || {
            let mut seen = [0, 0];
            while !stop.load(Ordering::Relaxed) {
                match fs::read_to_string(&file).unwrap().as_str() {
                    "a1" => seen[0] += 1,
                    "b2" => seen[1] += 1,
                    other => panic!("{other}"),
                }
            }
            seen
        }
    });
    for _ in 0..50 {
        for name in ["b2", "a1"] {
            assert!(install(&volume.path().join(name)).status.success());
        }
    }
    stop.store(true, Ordering::Relaxed);
    let seen = reader.join().unwrap();
    assert!(seen.iter().all(|&times| times > 0), "{seen:?}");
}

#[test]
fn what_an_interrupted_one_left_is_no_obstacle() {
    let volume = tempfile::tempdir().unwrap();
    fill(volume.path(), "a1");
    std::os::unix::fs::symlink("gone", volume.path().join(".current.next")).unwrap();
    assert!(install(&volume.path().join("a1")).status.success());
    assert_eq!(fs::read_dir(volume.path()).unwrap().count(), 2);
}

#[test]
fn a_missing_directory_leaves_the_link_alone() {
    let volume = tempfile::tempdir().unwrap();
    fill(volume.path(), "a1");
    assert!(install(&volume.path().join("a1")).status.success());
    let output = install(&volume.path().join("b2"));
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8(output.stderr).unwrap().contains("cannot install"));
    assert_eq!(fs::read_link(volume.path().join("current")).unwrap(), Path::new("a1"));
}
