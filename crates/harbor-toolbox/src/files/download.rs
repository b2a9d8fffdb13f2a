//! `GET /files/download`: one file, whole or in parts (contract, toolbox §11.14).

use std::ops::Range;

use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use uuid::Uuid;

use super::conditions::{Verdict, Version};
use super::content::{Segment, Segments};
use super::open::{self, Opened};
use super::query::Query;
use super::stream::{self, blocking};
use super::{disposition, failure, paths};
use crate::context::Context;
use crate::http::error::Error;

/// Content type of every file.
const OCTETS: &str = "application/octet-stream";

/// Headers that every answer with content has.
const FIXED: [(HeaderName, HeaderValue); 6] = [
    (HeaderName::from_static("content-description"), HeaderValue::from_static("File Transfer")),
    (HeaderName::from_static("content-transfer-encoding"), HeaderValue::from_static("binary")),
    (header::EXPIRES, HeaderValue::from_static("0")),
    (header::CACHE_CONTROL, HeaderValue::from_static("must-revalidate")),
    (header::PRAGMA, HeaderValue::from_static("public")),
    (header::ACCEPT_RANGES, HeaderValue::from_static("bytes")),
];

/// Streams one file.
pub(super) async fn download(
    State(context): State<Context>,
    query: Query,
    headers: HeaderMap,
) -> Result<Response, Error> {
    let target = query.target(&context, "path")?;
    let name = paths::text(paths::base(&target.given));
    let opened =
        blocking(move || open::regular_file(&target.full).map_err(|error| failure::with_path(&target.given, &error)))
            .await?;
    let version = Version::new(opened.size, opened.modified, opened.inode);
    let mut response = match version.decide(&headers) {
        Verdict::Whole => whole(opened),
        Verdict::Parts(parts) => some(opened, &parts),
        Verdict::NotModified => StatusCode::NOT_MODIFIED.into_response(),
        Verdict::PreconditionFailed => StatusCode::PRECONDITION_FAILED.into_response(),
        Verdict::Unsatisfiable => {
            let range = [(header::CONTENT_RANGE, format!("bytes */{}", version.size))];
            return Ok((StatusCode::RANGE_NOT_SATISFIABLE, range, "invalid range").into_response());
        }
    };
    let with_content = response.status().is_success();
    let headers = response.headers_mut();
    headers.extend(FIXED);
    if with_content && let Ok(disposition) = HeaderValue::from_bytes(&disposition::attachment(&name)) {
        headers.insert(header::CONTENT_DISPOSITION, disposition);
    }
    let validators = [(header::LAST_MODIFIED, httpdate::fmt_http_date(version.modified)), (header::ETAG, version.tag)];
    for (name, value) in validators {
        headers.extend(HeaderValue::from_str(&value).ok().map(|value| (name, value)));
    }
    Ok(response)
}

fn whole(opened: Opened) -> Response {
    let segment = stretch(&opened, 0..opened.size);
    answer(StatusCode::OK, OCTETS, opened, vec![segment])
}

fn some(opened: Opened, parts: &[Range<u64>]) -> Response {
    let total = opened.size;
    let content_range = |part: &Range<u64>| format!("bytes {}-{}/{total}", part.start, part.end - 1);
    if let [part] = parts {
        let segment = stretch(&opened, part.clone());
        let response = answer(StatusCode::PARTIAL_CONTENT, OCTETS, opened, vec![segment]);
        return ([(header::CONTENT_RANGE, content_range(part))], response).into_response();
    }
    let boundary = Uuid::new_v4().simple();
    let mut segments = Vec::new();
    for part in parts {
        let range = content_range(part);
        let head = format!("\r\n--{boundary}\r\nContent-Type: {OCTETS}\r\nContent-Range: {range}\r\n\r\n");
        segments.extend([Segment::Bytes(head.into()), stretch(&opened, part.clone())]);
    }
    segments.push(Segment::Bytes(format!("\r\n--{boundary}--\r\n").into()));
    let kind = format!("multipart/byteranges; boundary={boundary}");
    answer(StatusCode::PARTIAL_CONTENT, &kind, opened, segments)
}

/// A range of the file, or of the content that was read when it was opened.
fn stretch(opened: &Opened, range: Range<u64>) -> Segment {
    let bytes = |content: &Bytes| {
        let (start, end) = (usize::try_from(range.start).ok()?, usize::try_from(range.end).ok()?);
        (end <= content.len()).then(|| content.slice(start..end))
    };
    match opened.content.as_ref().and_then(bytes) {
        Some(bytes) => Segment::Bytes(bytes),
        None => Segment::Stretch(range),
    }
}

fn answer(status: StatusCode, kind: &str, opened: Opened, segments: Vec<Segment>) -> Response {
    let length: u64 = segments.iter().map(Segment::len).sum();
    let body = if length == 0 { Body::empty() } else { stream::body(Segments::new(opened.file, segments)) };
    let headers = [(header::CONTENT_TYPE, kind.to_owned()), (header::CONTENT_LENGTH, length.to_string())];
    (status, headers, body).into_response()
}
