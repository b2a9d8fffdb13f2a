//! Uploads: single, raw, many at once, and those that go wrong.

use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::client::{FORM, Toolbox, cut_off, eventually, finish, form};

#[test]
fn a_directory_takes_the_file_under_its_plain_name() {
    let toolbox = Toolbox::start();
    fs::create_dir(toolbox.at("d")).unwrap();
    let upload = |name: &str| {
        let form = form(&[("other", "", b"ignored"), ("file", name, b"content")]);
        toolbox.post_bytes("/files/upload?path=d", &[FORM], &form).status
    };
    assert_eq!(upload("x \u{e9}.txt"), 200);
    for name in ["../x", "a/b", "..", ""] {
        assert_eq!(upload(name), 400, "{name:?}");
    }
    assert_eq!(toolbox.names("d"), ["x \u{e9}.txt"]);
    assert_eq!(toolbox.names(""), ["d"]);
}

#[test]
fn the_newer_route_takes_raw_bodies_too() {
    let toolbox = Toolbox::start();
    let kind = [("content-type", "application/octet-stream")];
    let answer = toolbox.post_bytes("/files/upload-v2?path=p/q/raw", &kind, b"raw \0 bytes");
    assert_eq!(answer.json(), json!({"name": "raw", "path": "p/q/raw", "type": "file"}));
    assert_eq!(fs::read(toolbox.at("p/q/raw")).unwrap(), b"raw \0 bytes");
    assert_eq!(fs::metadata(toolbox.at("p")).unwrap().mode() & 0o777, 0o750);
    let answer = toolbox.post_bytes("/files/upload-v2?path=p", &[FORM], &form(&[("file", "f", b"1")]));
    assert_eq!(answer.json(), json!({"name": "f", "path": "p/f", "type": "file"}));
    assert_eq!(
        toolbox.post_bytes("/files/upload-v2?path=p", &kind, b"x").refusal(),
        (400, "INVALID_FILE_PATH".to_owned())
    );
    assert_eq!(toolbox.post_bytes("/files/upload-v2", &kind, b"x").refusal(), (400, "INVALID_FILE_PATH".to_owned()));
}

#[test]
fn what_is_no_upload_is_refused_and_nothing_made() {
    let toolbox = Toolbox::start();
    assert_eq!(toolbox.post_bytes("/files/upload?path=f", &[FORM], &form(&[("other", "x", b"1")])).status, 400);
    assert_eq!(toolbox.post_bytes("/files/upload?path=f", &[("content-type", "text/plain")], b"x").status, 400);
    assert_eq!(toolbox.post_bytes("/files/upload", &[FORM], &form(&[("file", "x", b"1")])).status, 400);
    assert_eq!(toolbox.names(""), [""; 0]);
}

#[test]
fn bulk_errors_stand_beside_what_worked() {
    let toolbox = Toolbox::start();
    fs::create_dir(toolbox.at("d")).unwrap();
    fs::write(toolbox.at("d/kept"), "").unwrap();
    fs::write(toolbox.at("file"), "").unwrap();
    let body = form(&[
        ("files[a].path", "", b" ok \n"),
        ("files[b].path", "", b"d"),
        ("files[c].path", "", b"file/sub"),
        ("files[d].path", "", b""),
        ("files[b].file", "x", b"1"),
        ("files[a].file", "a/ignored name", b"fine"),
        ("files[c].file", "x", b"1"),
        ("files[d].file", "x", b"1"),
        ("unknown", "", b"1"),
        ("files[e].path", "", b"nul\0"),
        ("files[e].file", "x", b"1"),
        ("files[f].path", "", b"new/ok2"),
        ("files[f].file", "x", b""),
    ]);
    let answer = toolbox.post_bytes("/files/bulk-upload", &[FORM], &body);
    assert_eq!((answer.status, answer.header("content-type")), (400, Some("application/json; charset=utf-8")));
    let answer = answer.json();
    let errors: Vec<_> = answer["errors"].as_array().unwrap().iter().map(|error| error.as_str().unwrap()).collect();
    let starts = [
        "path[d]: empty path",
        "d: create: is a directory",
        "file/sub: mkdir: not a directory",
        "file[d]: missing .path metadata",
        "nul\0: create: path contains a NUL byte",
    ];
    assert_eq!(errors.len(), starts.len(), "{errors:?}");
    assert!(errors.iter().zip(starts).all(|(error, start)| error.starts_with(start)), "{errors:?}");
    assert_eq!(answer["files"], json!([{"path": "ok", "bytes": 4}, {"path": "new/ok2", "bytes": 0}]));
    assert_eq!(fs::read(toolbox.at("ok")).unwrap(), b"fine");
    assert_eq!((toolbox.names("d"), toolbox.names("new")), (vec!["kept".to_owned()], vec!["ok2".to_owned()]));
}

#[test]
fn a_form_without_pairs_is_fine_and_no_form_is_not() {
    let toolbox = Toolbox::start();
    assert_eq!(toolbox.post_bytes("/files/bulk-upload", &[FORM], &form(&[])).json(), json!({"files": []}));
    let mixed = [("content-type", "multipart/mixed; boundary=\"FORM\"")];
    let pair = form(&[("files[0].path", "", b"f"), ("files[0].file", "x", b"1")]);
    assert_eq!(
        toolbox.post_bytes("/files/bulk-upload", &mixed, &pair).json(),
        json!({"files": [{"path": "f", "bytes": 1}]})
    );
    let answer = toolbox.post_bytes("/files/bulk-upload", &[("content-type", "text/plain")], &vec![b'x'; 5 << 20]);
    assert_eq!((answer.status, answer.json().get("files").is_none()), (400, true));
    assert_eq!(answer.json()["errors"], json!(["invalid multipart form"]));
}

#[test]
fn what_a_form_may_hold_and_be_answered_is_bounded() {
    let toolbox = Toolbox::start();
    let ignored = "too many parts: the rest is ignored; use several requests";
    // Each path alone is fine, and so is each failure.
    let part = |name: &str| format!("--FORM\r\ncontent-disposition: form-data; name=\"files[{name}\"\r\n\r\nx\r\n");
    let many = part("k].path").repeat(200_001) + "--FORM--\r\n";
    let answer = toolbox.post_bytes("/files/bulk-upload", &[FORM], many.as_bytes());
    assert_eq!((answer.status, answer.json()["errors"].clone()), (400, json!([ignored])));

    let long = part(&format!("{}].file", "k".repeat(100_000))).repeat(300) + "--FORM--\r\n";
    let answer = toolbox.post_bytes("/files/bulk-upload", &[FORM], long.as_bytes());
    let answer = answer.json();
    let errors = answer["errors"].as_array().unwrap();
    assert!((160..200).contains(&errors.len()), "{}", errors.len());
    assert_eq!(errors.last().unwrap(), ignored);
}

#[test]
fn files_are_written_in_place_and_through_links() {
    let toolbox = Toolbox::start();
    fs::write(toolbox.at("old"), "much older content").unwrap();
    fs::set_permissions(toolbox.at("old"), fs::Permissions::from_mode(0o600)).unwrap();
    symlink("old", toolbox.at("link")).unwrap();
    symlink("made", toolbox.at("dangling")).unwrap();
    let body = form(&[
        ("files[0].path", "", b"link"),
        ("files[0].file", "x", b"new"),
        ("files[1].path", "", b"dangling"),
        ("files[1].file", "x", b"made"),
    ]);
    assert_eq!(toolbox.post_bytes("/files/bulk-upload", &[FORM], &body).status, 200);
    assert_eq!(fs::read(toolbox.at("old")).unwrap(), b"new");
    assert_eq!(fs::metadata(toolbox.at("old")).unwrap().mode() & 0o777, 0o600);
    assert_eq!(fs::read(toolbox.at("made")).unwrap(), b"made");
    assert_eq!(toolbox.names(""), ["dangling", "link", "made", "old"]);
}

#[test]
fn a_truncated_upload_is_refused_at_once_and_leaves_nothing() {
    let toolbox = Toolbox::start();
    symlink("target", toolbox.at("link")).unwrap();
    let content = vec![b'x'; 3 << 20];
    for (path, body) in [
        ("/files/upload?path=f", form(&[("file", "x", &content)])),
        ("/files/upload?path=link", form(&[("file", "x", &content)])),
        ("/files/bulk-upload", form(&[("files[0].path", "", b"f"), ("files[0].file", "x", &content)])),
    ] {
        let started = Instant::now();
        let mut stream = toolbox.begin("POST", path, &[FORM], body.len());
        stream.write_all(&body[..body.len() - 1000]).unwrap();
        assert_eq!(cut_off(stream).status, 400, "{path}");
        assert!(started.elapsed() < Duration::from_secs(5));
        assert_eq!(toolbox.names(""), ["link"], "{path}");
        // A complete body whose form is not complete.
        assert_eq!(toolbox.post_bytes(path, &[FORM], &body[..body.len() - 10]).status, 400, "{path}");
        assert_eq!(toolbox.names(""), ["link"], "{path}");
        // A client that goes away.
        let mut stream = toolbox.begin("POST", path, &[FORM], body.len());
        stream.write_all(&body[..2 << 20]).unwrap();
        let file = if path.ends_with("link") { "target" } else { "f" };
        eventually("the upload has begun", || toolbox.at(file).exists());
        drop(stream);
        eventually("nothing is left", || toolbox.names("") == ["link"]);
    }
}

#[test]
fn a_form_hidden_in_endless_headers_is_refused() {
    let toolbox = Toolbox::start();
    let before = toolbox.peak_memory();
    let junk = vec![b'x'; 1 << 20];
    let mut stream = toolbox.begin("POST", "/files/bulk-upload", &[FORM], 200 << 20);
    stream.write_all(b"--FORM\r\nX: ").unwrap();
    for _ in 0..199 {
        stream.write_all(&junk).unwrap();
    }
    stream.write_all(&vec![b'x'; (1 << 20) - 11]).unwrap();
    assert_eq!(finish(stream).status, 400);
    let growth = toolbox.peak_memory() - before;
    assert!(growth < 64 << 20, "{growth}");
}

#[test]
fn large_uploads_pass_in_little_memory() {
    let toolbox = Toolbox::start();
    let piece: Vec<u8> = (0..1 << 20).map(|index: u32| index.to_le_bytes()[0] ^ index.to_le_bytes()[1]).collect();
    let before = toolbox.peak_memory();
    let (start, end) = {
        let mut start = form(&[("file", "x", b"")]);
        let end = start.split_off(start.len() - b"\r\n--FORM--\r\n".len());
        (start, end)
    };
    let length = start.len() + 256 * piece.len() + end.len();
    let mut stream = toolbox.begin("POST", "/files/upload?path=f", &[FORM], length);
    stream.write_all(&start).unwrap();
    for _ in 0..256 {
        stream.write_all(&piece).unwrap();
    }
    stream.write_all(&end).unwrap();
    assert_eq!(finish(stream).status, 200);
    let growth = toolbox.peak_memory() - before;
    assert!(growth < 8 << 20, "{growth}");
    let mut stored = std::io::BufReader::new(File::open(toolbox.at("f")).unwrap());
    let mut buffer = vec![0; piece.len()];
    for _ in 0..256 {
        std::io::Read::read_exact(&mut stored, &mut buffer).unwrap();
        assert!(buffer == piece);
    }
    assert_eq!(fs::metadata(toolbox.at("f")).unwrap().len(), 256 * piece.len() as u64);
}

#[test]
fn a_full_disk_is_reported_and_nothing_new_is_left() {
    // A home of one megabyte, in name spaces that end with the toolbox.
    let script = "mkdir disk && mount -t tmpfs -o size=1m none disk && cd disk && printf before > old && exec \"$@\"";
    let toolbox = Toolbox::start_by(&["unshare", "--map-root-user", "--mount", "sh", "-c", script, "sh"]);
    let content = vec![b'x'; 3 << 20];
    let answer = toolbox.post_bytes("/files/upload?path=new", &[FORM], &form(&[("file", "x", &content)]));
    assert_eq!(answer.refusal(), (500, "FILE_READ_FAILED".to_owned()));
    let message = answer.json()["message"].as_str().unwrap().to_owned();
    assert!(message.ends_with("new: no space left on device"), "{message}");
    let body = form(&[("files[0].path", "", b"new"), ("files[0].file", "x", &content)]);
    let answer = toolbox.post_bytes("/files/bulk-upload", &[FORM], &body);
    assert_eq!(answer.json()["errors"], json!(["new: write: no space left on device"]));
    let order = json!({"files": ["old"], "pattern": "before", "newValue": "x".repeat(3 << 20)}).to_string();
    assert_eq!(toolbox.post_bytes("/files/replace", &[], order.as_bytes()).json()[0]["success"], false);
    assert_eq!(toolbox.get("/files/download?path=old").body, b"before");
    let left = toolbox.get("/files/search?path=.&pattern=*").json();
    assert_eq!(left, json!({"files": [".", "old"]}));
}

#[test]
fn an_upload_that_breaks_off_leaves_the_old_file_whole() {
    let toolbox = Toolbox::start();
    fs::write(toolbox.at("f"), "precious").unwrap();
    fs::set_permissions(toolbox.at("f"), fs::Permissions::from_mode(0o640)).unwrap();
    symlink("f", toolbox.at("link")).unwrap();
    let content = vec![b'x'; 3 << 20];
    for path in ["f", "link"] {
        let body = form(&[("file", "x", &content)]);
        let mut stream = toolbox.begin("POST", &format!("/files/upload?path={path}"), &[FORM], body.len());
        stream.write_all(&body[..body.len() - 1000]).unwrap();
        assert_eq!(fs::read(toolbox.at("f")).unwrap(), b"precious", "while it comes");
        assert_eq!(cut_off(stream).status, 400, "{path}");
        assert_eq!(fs::read(toolbox.at("f")).unwrap(), b"precious");
        // A client that goes away.
        let mut stream = toolbox.begin("POST", &format!("/files/upload?path={path}"), &[FORM], body.len());
        stream.write_all(&body[..body.len() / 2]).unwrap();
        drop(stream);
        eventually("nothing is left of it", || toolbox.names("") == ["f", "link"]);
        assert_eq!(fs::read(toolbox.at("f")).unwrap(), b"precious");
    }
    let before = fs::metadata(toolbox.at("f")).unwrap();
    assert_eq!(toolbox.post_bytes("/files/upload?path=link", &[FORM], &form(&[("file", "x", b"new")])).status, 200);
    let after = fs::metadata(toolbox.at("f")).unwrap();
    assert_eq!(fs::read(toolbox.at("f")).unwrap(), b"new");
    assert_eq!((after.mode(), after.uid(), after.gid()), (before.mode(), before.uid(), before.gid()));
    eventually("nothing else is left", || toolbox.names("") == ["f", "link"]);
}

/// A file that others know by another name stays the same file.
#[test]
fn a_file_with_two_names_is_overwritten() {
    let toolbox = Toolbox::start();
    fs::write(toolbox.at("f"), "old").unwrap();
    fs::hard_link(toolbox.at("f"), toolbox.at("g")).unwrap();
    assert_eq!(toolbox.post_bytes("/files/upload?path=f", &[FORM], &form(&[("file", "x", b"new")])).status, 200);
    assert_eq!(fs::read(toolbox.at("g")).unwrap(), b"new");
}
