//! Fuzzing of what clients send with files.

#![expect(clippy::missing_panics_doc, reason = "a panic is what fuzzing looks for")]

use axum::body::Body;
use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use http::{HeaderMap, HeaderValue, header};

use super::disposition;
use super::form::{self, MultipartForm};
use super::glob::Glob;

/// Name, file name and content of every part, up to the first error.
type Parts = (Vec<(String, Option<String>, Vec<u8>)>, bool);

/// A form of arbitrary bytes: what comes out does not depend on how the body was cut.
pub fn multipart(data: &[u8]) {
    let Some((&size, body)) = data.split_first() else { return };
    let whole = parts(body, body.len().max(1));
    let pieces = parts(body, usize::from(size).max(1));
    if whole.1 && pieces.1 {
        assert_eq!(whole.0, pieces.0);
    }
    // a boundary of the client's making
    let kind = body.split(|&byte| byte == b'\n').next().unwrap_or_default();
    if let Ok(kind) = HeaderValue::from_bytes(kind) {
        let runtime = runtime();
        let _inside = runtime.enter();
        let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, kind)]);
        assert!(form::is_form(&headers) || MultipartForm::new(&headers, Body::empty()).is_err());
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime")
}

fn parts(body: &[u8], size: usize) -> Parts {
    let pieces: Vec<_> = body.chunks(size).map(Bytes::copy_from_slice).map(Ok::<_, std::io::Error>).collect();
    let kind = HeaderValue::from_static("multipart/form-data; boundary=b");
    let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, kind)]);
    runtime().block_on(async {
        let mut read = Vec::new();
        let Ok(mut form) = MultipartForm::new(&headers, Body::from_stream(stream::iter(pieces))) else {
            return (read, false);
        };
        loop {
            let mut part = match form.next().await {
                Ok(Some(part)) => part,
                outcome => return (read, outcome.is_ok()),
            };
            let (name, file_name) = (part.name().to_owned(), part.file_name().map(str::to_owned));
            let mut content = Vec::new();
            while let Some(piece) = part.next().await {
                let Ok(piece) = piece else { return (read, false) };
                content.extend_from_slice(&piece);
            }
            read.push((name, file_name, content));
        }
    })
}

/// Patterns and file names: a pattern without special letters takes itself alone, and headers hold no control letters.
pub fn names(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let (pattern, name) = text.split_once('\n').unwrap_or((&text, ""));
    if let Some(glob) = Glob::parse(pattern) {
        let matched = glob.matches(name);
        if !pattern.contains(['*', '?', '[', '\\']) {
            assert_eq!(matched, pattern == name);
        }
    }
    assert!(HeaderValue::from_bytes(&disposition::attachment(&text)).is_ok());
    assert!(!disposition::form_data("file", &text).contains(['\r', '\n']));
}
