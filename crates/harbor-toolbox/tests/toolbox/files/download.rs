//! Downloads: one file, parts of it, and many at once.

use std::fs::{self, File};
use std::io::Read as _;
use std::os::unix::fs::FileExt as _;

use serde_json::{Value, json};

use crate::client::{Answer, Toolbox, encoded};

fn download(toolbox: &Toolbox, headers: &[(&str, &str)]) -> Answer {
    toolbox.request("GET", "/files/download?path=f", headers, b"")
}

#[test]
fn parts_of_a_file_are_served() {
    let toolbox = Toolbox::start();
    fs::write(toolbox.at("f"), "0123456789").unwrap();
    let answer = download(&toolbox, &[("range", "bytes=2-5")]);
    assert_eq!((answer.status, answer.header("content-range")), (206, Some("bytes 2-5/10")));
    assert_eq!(answer.body, b"2345");
    let answer = download(&toolbox, &[("range", "bytes=10-")]);
    assert_eq!((answer.status, answer.header("content-range")), (416, Some("bytes */10")));
    let answer = download(&toolbox, &[("range", "bytes=0-1,-2")]);
    let kind = answer.header("content-type").unwrap();
    let boundary = kind.strip_prefix("multipart/byteranges; boundary=").unwrap();
    let part = |range: &str, content: &str| {
        format!("\r\n--{boundary}\r\nContent-Type: application/octet-stream\r\nContent-Range: {range}\r\n\r\n{content}")
    };
    let expected = part("bytes 0-1/10", "01") + &part("bytes 8-9/10", "89") + &format!("\r\n--{boundary}--\r\n");
    assert_eq!((answer.status, answer.complete), (206, true));
    assert_eq!(String::from_utf8(answer.body).unwrap(), expected);
}

#[test]
fn an_unchanged_file_is_not_sent_again() {
    let toolbox = Toolbox::start();
    fs::write(toolbox.at("f"), "0123456789").unwrap();
    let first = download(&toolbox, &[]);
    let (tag, date) = (first.header("etag").unwrap(), first.header("last-modified").unwrap());
    for header in [("if-none-match", tag), ("if-modified-since", date)] {
        let answer = download(&toolbox, &[header]);
        assert_eq!((answer.status, answer.body.len()), (304, 0), "{header:?}");
    }
    assert_eq!(download(&toolbox, &[("range", "bytes=0-0"), ("if-range", tag)]).status, 206);
    fs::write(toolbox.at("f"), "another content").unwrap();
    assert_eq!(download(&toolbox, &[("if-none-match", tag)]).status, 200);
    assert_eq!(download(&toolbox, &[("range", "bytes=0-0"), ("if-range", tag)]).body, b"another content");
    assert_eq!(download(&toolbox, &[("if-match", tag)]).status, 412);
}

#[test]
fn names_travel_in_the_header() {
    let toolbox = Toolbox::start();
    fs::write(toolbox.at("\u{fc} \u{65e5}\".txt"), "x").unwrap();
    let answer = toolbox.get(&format!("/files/download?path={}", encoded("\u{fc} \u{65e5}\".txt")));
    let expected = b"attachment; filename=\"\xfc _\\\".txt\"; filename*=utf-8''%C3%BC%20%E6%97%A5%22.txt";
    assert_eq!(answer.headers["content-disposition"], expected);
}

#[test]
fn files_that_hide_their_size_are_served() {
    let toolbox = Toolbox::start();
    let version = fs::read("/proc/version").unwrap();
    assert_eq!(toolbox.get("/files/download?path=/proc/version").body, version);
    let answer = bulk(&toolbox, &["/proc/version"]);
    assert_eq!(parts(&answer.body), [("file".to_owned(), "/proc/version".to_owned(), version)]);
}

fn bulk(toolbox: &Toolbox, paths: &[&str]) -> Answer {
    toolbox.post_bytes("/files/bulk-download", &[], json!({ "paths": paths }).to_string().as_bytes())
}

/// Name, file name and content of the parts of a form that must be complete.
#[track_caller]
fn parts(body: &[u8]) -> Vec<(String, String, Vec<u8>)> {
    let body = body.strip_suffix(b"--DAYTONA-FILE-BOUNDARY--\r\n").expect("a closing boundary");
    let boundary = b"--DAYTONA-FILE-BOUNDARY\r\n";
    let starts: Vec<_> = (0..body.len()).filter(|&at| body[at..].starts_with(boundary)).collect();
    let ends = starts.iter().skip(1).copied().chain([body.len()]);
    let parts = starts.iter().zip(ends).map(|(start, end)| {
        let part = &body[start + boundary.len()..end];
        let blank = part.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
        let head = std::str::from_utf8(&part[..blank]).unwrap();
        let content = part[blank + 4..].strip_suffix(b"\r\n").unwrap().to_vec();
        let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: "));
        let name = head.split("name=\"").nth(1).unwrap().split('"').next().unwrap();
        assert_eq!(length, (name == "file").then(|| content.len().to_string()).as_deref());
        let file_name = head.split("filename=\"").nth(1).unwrap().split("\"; ").next().unwrap();
        (name.to_owned(), file_name.to_owned(), content)
    });
    parts.collect()
}

#[test]
fn many_files_come_in_order_with_the_failures_among_them() {
    let toolbox = Toolbox::start();
    fs::create_dir(toolbox.at("d")).unwrap();
    fs::write(toolbox.at("d/\u{e9}"), "accent").unwrap();
    fs::write(toolbox.at("empty"), "").unwrap();
    let answer = bulk(&toolbox, &["d/\u{e9}", "none", "empty", "d", "", "a\0b"]);
    assert_eq!(answer.header("content-type"), Some("multipart/form-data; boundary=DAYTONA-FILE-BOUNDARY"));
    let parts = parts(&answer.body);
    let names: Vec<_> = parts.iter().map(|(name, file_name, _)| (name.as_str(), file_name.as_str())).collect();
    // The UTF-8 bytes of the name, each encoded once more.
    let twice = "d/\u{c3}\u{a9}";
    assert_eq!(
        names,
        [("file", twice), ("error", "none"), ("file", "empty"), ("error", "d"), ("error", ""), ("error", "ab")]
    );
    assert_eq!((parts[0].2.as_slice(), parts[2].2.as_slice()), (&b"accent"[..], &b""[..]));
    for (part, status, code, path) in [
        (1, 404, "FILE_NOT_FOUND", "none"),
        (3, 400, "INVALID_FILE_PATH", "d"),
        (4, 400, "INVALID_FILE_PATH", ""),
        (5, 400, "INVALID_FILE_PATH", "a\0b"),
    ] {
        let error: Value = serde_json::from_slice(&parts[part].2).unwrap();
        assert_eq!(
            (&error["statusCode"], &error["code"], &error["path"]),
            (&json!(status), &json!(code), &json!(path))
        );
        assert_eq!((&error["method"], &error["source"]), (&json!("POST"), &json!("DAYTONA_DAEMON")));
    }
    for body in [&b"{}"[..], b"{\"paths\":[]}", b"{\"paths\":1}", b"", b"x"] {
        let answer = toolbox.post_bytes("/files/bulk-download", &[], body);
        assert_eq!((answer.status, answer.json()["error"].is_string()), (400, true), "{}", body.escape_ascii());
    }
}

#[test]
fn a_file_that_shrinks_ends_the_form_without_its_boundary() {
    let toolbox = Toolbox::start();
    let file = File::create(toolbox.at("f")).unwrap();
    file.set_len(64 << 20).unwrap();
    let body = json!({"paths": ["f", "f"]}).to_string();
    let mut stream = toolbox.begin("POST", "/files/bulk-download", &[], body.len());
    std::io::Write::write_all(&mut stream, body.as_bytes()).unwrap();
    let mut start = [0; 4096];
    stream.read_exact(&mut start).unwrap();
    file.set_len(1 << 20).unwrap();
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).unwrap();
    assert!(rest.ends_with(b"\r\n0\r\n\r\n"), "the answer itself is whole");
    assert!(!rest.windows(27).any(|window| window == b"--DAYTONA-FILE-BOUNDARY--\r\n"));
}

#[test]
fn large_files_pass_in_little_memory() {
    let toolbox = Toolbox::start();
    let size = 512 << 20;
    let file = File::create(toolbox.at("f")).unwrap();
    file.set_len(size).unwrap();
    file.write_all_at(b"the end", size - 7).unwrap();
    let before = toolbox.peak_memory();
    for (method, path, body) in
        [("GET", "/files/download?path=f", ""), ("POST", "/files/bulk-download", r#"{"paths":["f"]}"#)]
    {
        let mut stream = toolbox.begin(method, path, &[], body.len());
        std::io::Write::write_all(&mut stream, body.as_bytes()).unwrap();
        let (mut buffer, mut received, mut last) = (vec![0; 1 << 20], 0_u64, Vec::new());
        loop {
            let count = stream.read(&mut buffer).unwrap();
            if count == 0 {
                break;
            }
            received += count as u64;
            last.extend_from_slice(&buffer[..count]);
            last.drain(..last.len().saturating_sub(200));
        }
        assert!(received > size && last.windows(7).any(|window| window == b"the end"), "{path}: {received}");
    }
    let growth = toolbox.peak_memory() - before;
    assert!(growth < 8 << 20, "{growth}");
}
