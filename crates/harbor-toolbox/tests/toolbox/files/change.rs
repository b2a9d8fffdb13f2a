//! Changing what is there: delete, move, permissions, replace.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};

use serde_json::json;

use crate::client::{Toolbox, encoded};

#[test]
fn deletion_is_recursive_only_when_asked() {
    let toolbox = Toolbox::start();
    for (spelling, deleted) in [("false", false), ("TRUE", false), ("true", true), ("True", true), ("1", true)] {
        fs::create_dir_all(toolbox.at("d/e")).unwrap();
        let answer = toolbox.request("DELETE", &format!("/files?path=d&recursive={spelling}"), &[], b"");
        assert_eq!(
            (answer.status, toolbox.at("d").exists()),
            (if deleted { 204 } else { 400 }, !deleted),
            "{spelling}"
        );
    }
    for path in [".", "/", "d/.."] {
        fs::create_dir_all(toolbox.at("d")).unwrap();
        let answer = toolbox.request("DELETE", &format!("/files?path={path}&recursive=true"), &[], b"");
        assert_eq!(answer.refusal(), (400, "INVALID_FILE_PATH".to_owned()), "{path}");
        assert!(toolbox.at("d").exists());
    }
}

fn relocate(toolbox: &Toolbox, source: &str, destination: &str) -> u16 {
    let query = format!("source={}&destination={}", encoded(source), encoded(destination));
    toolbox.post_bytes(&format!("/files/move?{query}"), &[], b"").status
}

#[test]
fn a_move_never_replaces_and_never_loses() {
    let toolbox = Toolbox::start();
    fs::create_dir_all(toolbox.at("d/in")).unwrap();
    fs::write(toolbox.at("a"), "a").unwrap();
    symlink("nowhere", toolbox.at("dangling")).unwrap();
    assert_eq!(relocate(&toolbox, "a", "d"), 409);
    assert_eq!(relocate(&toolbox, "a", "dangling"), 409);
    assert_eq!(relocate(&toolbox, "a", "none/a"), 404);
    assert_eq!(relocate(&toolbox, "none", "b"), 404);
    assert_eq!(relocate(&toolbox, "d", "d/in/side"), 400);
    assert_eq!(relocate(&toolbox, "d", "a/b"), 400);
    assert_eq!(toolbox.names(""), ["a", "d", "dangling"]);
    assert_eq!(toolbox.names("d"), ["in"]);
    assert_eq!(relocate(&toolbox, "dangling", "d/moved"), 200);
    assert_eq!(toolbox.names("d"), ["in", "moved"]);
}

#[test]
fn a_move_to_another_file_system_takes_the_whole_tree() {
    let toolbox = Toolbox::start();
    let elsewhere = tempfile::tempdir_in("/dev/shm").unwrap();
    assert_ne!(fs::metadata(elsewhere.path()).unwrap().dev(), fs::metadata(toolbox.at("")).unwrap().dev());
    fs::create_dir_all(toolbox.at("tree/d")).unwrap();
    fs::write(toolbox.at("tree/d/f"), "content").unwrap();
    fs::set_permissions(toolbox.at("tree/d/f"), fs::Permissions::from_mode(0o751)).unwrap();
    symlink("d/f", toolbox.at("tree/l")).unwrap();
    let there = elsewhere.path().join("tree");
    assert_eq!(relocate(&toolbox, "tree", there.to_str().unwrap()), 200);
    assert!(!toolbox.at("tree").exists());
    assert_eq!(fs::read(there.join("l")).unwrap(), b"content");
    assert_eq!(fs::metadata(there.join("d/f")).unwrap().mode() & 0o777, 0o751);
    assert!(fs::symlink_metadata(there.join("l")).unwrap().is_symlink());
}

#[test]
fn permissions_go_by_number_and_name() {
    let toolbox = Toolbox::start();
    fs::write(toolbox.at("f"), "").unwrap();
    let uid = fs::metadata(toolbox.at("f")).unwrap().uid();
    let gid = fs::metadata(toolbox.at("f")).unwrap().gid();
    let set = |query: &str| toolbox.post_bytes(&format!("/files/permissions?{query}"), &[], b"").status;
    assert_eq!(set(&format!("path=f&mode=4751&owner={uid}&group={gid}")), 200);
    assert_eq!(fs::metadata(toolbox.at("f")).unwrap().mode() & 0o7777, 0o751);
    assert_eq!(set("path=f"), 200);
    assert_eq!(set("path=f&mode=600&owner=no-such-user"), 400);
    assert_eq!(fs::metadata(toolbox.at("f")).unwrap().mode() & 0o7777, 0o600);
    assert_eq!(set("path=f&mode=8"), 400);
    assert_eq!(set("path=f&owner=4294967295"), 400);
    assert_eq!(set("path=none&mode=600"), 404);
    assert_eq!(set("mode=600"), 400);
}

#[test]
fn a_replacement_reports_every_file() {
    let toolbox = Toolbox::start();
    fs::write(toolbox.at("a"), "x.y x.y xzy").unwrap();
    fs::write(toolbox.at("b"), "none").unwrap();
    fs::create_dir(toolbox.at("d")).unwrap();
    let order = json!({"files": ["a", "d", "none", "b", ""], "pattern": "x.y", "newValue": ""});
    let answer = toolbox.post_bytes("/files/replace", &[], order.to_string().as_bytes());
    assert_eq!(answer.status, 200);
    let outcomes = answer.json();
    let success: Vec<_> = outcomes
        .as_array()
        .unwrap()
        .iter()
        .map(|outcome| (outcome["success"] == true, outcome["error"].is_string()))
        .collect();
    assert_eq!(success, [(true, false), (false, true), (false, true), (true, false), (false, true)]);
    assert_eq!(fs::read(toolbox.at("a")).unwrap(), b"  xzy");
    for order in
        [json!({"files": ["a"], "pattern": "x"}), json!({"files": ["a"], "pattern": "", "newValue": "y"}), json!({})]
    {
        let answer = toolbox.post_bytes("/files/replace", &[], order.to_string().as_bytes());
        assert_eq!(answer.refusal(), (400, "INVALID_REQUEST_BODY".to_owned()), "{order}");
    }
}
