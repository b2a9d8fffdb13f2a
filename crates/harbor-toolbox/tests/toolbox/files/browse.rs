//! Looking around: list, info, find, search.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::symlink;
use std::time::{Duration, Instant};

use rustix::fs::{CWD, Mode, mkfifoat};
use serde_json::{Value, json};

use crate::client::Toolbox;

/// Names and paths of a listing.
fn listed(toolbox: &Toolbox, query: &str) -> Vec<String> {
    let answer = toolbox.get(&format!("/files?{query}"));
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json().as_array().unwrap().iter().map(|entry| entry["name"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_listing_descends_as_deep_as_asked_and_follows_no_link() {
    let toolbox = Toolbox::start();
    fs::create_dir_all(toolbox.at("d/e/f")).unwrap();
    fs::write(toolbox.at("d/x"), "").unwrap();
    fs::write(toolbox.at("a"), "").unwrap();
    symlink("d", toolbox.at("link")).unwrap();
    symlink("nowhere", toolbox.at("dangling")).unwrap();
    assert_eq!(listed(&toolbox, ""), ["a", "d", "link"]);
    assert_eq!(listed(&toolbox, "path=.&depth=2"), ["a", "d", "e", "x", "link"]);
    assert_eq!(listed(&toolbox, "depth=10"), ["a", "d", "e", "f", "x", "link"]);
    assert_eq!(listed(&toolbox, "path=link"), ["e", "x"]);
    for depth in ["0", "-1", "x", "1.0"] {
        assert_eq!(toolbox.get(&format!("/files?depth={depth}")).status, 400, "{depth}");
    }
    let entry = &toolbox.get("/files?path=d&depth=2").json()[1];
    assert_eq!((entry["name"].as_str(), entry["path"].as_str()), (Some("f"), toolbox.at("d/e/f").to_str()));
}

#[test]
fn names_need_not_be_text() {
    let toolbox = Toolbox::start();
    fs::write(toolbox.at("").join(OsStr::from_bytes(b"n\xff")), "needle").unwrap();
    assert_eq!(listed(&toolbox, ""), ["n\u{fffd}"]);
    assert_eq!(toolbox.get("/files/info?path=n%FF").json()["size"], 6);
    assert_eq!(toolbox.get("/files/download?path=n%FF").body, b"needle");
    assert_eq!(toolbox.get("/files/find?path=.&pattern=needle").json()[0]["file"], "n\u{fffd}");
    assert_eq!(toolbox.get("/files/search?path=.&pattern=n%3F").json(), json!({"files": ["n\u{fffd}"]}));
}

#[test]
fn a_path_with_a_nul_is_no_path() {
    let toolbox = Toolbox::start();
    for request in ["GET /files", "GET /files/info", "GET /files/download", "DELETE /files", "POST /files/folder"] {
        let (method, path) = request.split_once(' ').unwrap();
        let answer = toolbox.request(method, &format!("{path}?path=a%00b"), &[], b"");
        assert_eq!(answer.refusal(), (400, "INVALID_FILE_PATH".to_owned()), "{request}");
    }
}

#[test]
fn nobody_waits_for_a_fifo() {
    let toolbox = Toolbox::start();
    mkfifoat(CWD, toolbox.at("fifo"), Mode::RUSR | Mode::WUSR).unwrap();
    fs::write(toolbox.at("text"), "needle\n").unwrap();
    let started = Instant::now();
    let found = toolbox.get("/files/find?path=.&pattern=needle").json();
    assert_eq!(found, json!([{"file": "text", "line": 1, "content": "needle"}]));
    for path in ["fifo", "/dev/zero"] {
        let answer = toolbox.get(&format!("/files/download?path={path}"));
        assert_eq!(answer.refusal(), (400, "INVALID_FILE_PATH".to_owned()), "{path}");
    }
    assert_eq!(listed(&toolbox, ""), ["fifo", "text"]);
    assert!(started.elapsed() < Duration::from_secs(5));
}

#[test]
fn large_answers_are_whole() {
    let toolbox = Toolbox::start();
    let lines: Vec<_> = (0..50_000).map(|line| format!("line {line} of \"many\"")).collect();
    fs::write(toolbox.at("f"), lines.join("\n")).unwrap();
    let found = toolbox.get("/files/find?path=f&pattern=many").json();
    let found = found.as_array().unwrap();
    assert_eq!(found.len(), 50_000);
    assert_eq!(found[49_999], json!({"file": "f", "line": 50_000, "content": "line 49999 of \"many\""}));
}

#[test]
fn a_long_walk_delays_nobody_and_ends_with_its_reader() {
    let toolbox = Toolbox::start();
    for directory in 0..20 {
        fs::create_dir(toolbox.at(&format!("{directory}"))).unwrap();
        for file in 0..500 {
            fs::write(toolbox.at(&format!("{directory}/{file}")), format!("content {file}\n").repeat(20)).unwrap();
        }
    }
    let walks: Vec<_> = (0..4).map(|_| toolbox.begin("GET", "/files/find?path=.&pattern=content", &[], 0)).collect();
    let slowest = (0..50)
        .map(|_| {
            let started = Instant::now();
            assert_eq!(toolbox.get("/files/info?path=.").status, 200);
            started.elapsed()
        })
        .max()
        .unwrap();
    drop(walks); // none of the answers has been read
    assert!(slowest < Duration::from_secs(5), "{slowest:?}");
    let answer = toolbox.get("/files/search?path=.&pattern=499");
    assert_eq!(answer.json()["files"].as_array().map(Vec::len), Some(20));
}

#[test]
fn missing_files_and_parameters_are_told_apart() {
    let toolbox = Toolbox::start();
    fs::write(toolbox.at("f"), "").unwrap();
    let cases = [
        ("/files?path=none", 404, "FILE_NOT_FOUND"),
        ("/files?path=f", 400, "INVALID_FILE_PATH"),
        ("/files/info?path=", 400, "INVALID_FILE_PATH"),
        ("/files/info?path=f/x", 400, "INVALID_FILE_PATH"),
        ("/files/download?path=.", 400, "INVALID_FILE_PATH"),
        ("/files/download?path=none", 404, "FILE_NOT_FOUND"),
        ("/files/find?path=.", 400, "BAD_REQUEST"),
        ("/files/search?pattern=x", 400, "INVALID_FILE_PATH"),
    ];
    for (path, status, code) in cases {
        let answer = toolbox.get(path);
        assert_eq!(answer.refusal(), (status, code.to_owned()), "{path}");
        let body = answer.json();
        assert_eq!((&body["source"], &body["message"]), (&Value::from("DAYTONA_DAEMON"), &body["error"]), "{path}");
    }
}
