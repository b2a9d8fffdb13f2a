//! What a command answered. Much output is written as it is sent, so that an answer takes little more memory than what
//! it is made of.

use axum::body::Body;
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use futures_util::stream;
use http::header;
use http_body_util::BodyExt as _;
use serde::Serialize;

use crate::characters::complete;
use crate::http::json::{self, Json};
use crate::process::{KeptOutput, OutputShare};

/// Most output that is answered in one piece, in bytes.
const ONE_PIECE: usize = 1 << 20;

/// How much output becomes one chunk, in bytes.
const PIECE: usize = 64 << 10;

#[derive(Serialize)]
struct Answer {
    #[serde(rename = "exitCode")]
    exit_code: i32,
    result: String,
}

/// Output as JSON can carry it: bytes that are no text become replacement characters. Text is not copied.
pub(super) fn text_of(output: Vec<u8>) -> String {
    String::from_utf8(output).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

/// The answer to a command that has ended.
pub(super) fn answer(exit_code: i32, output: KeptOutput) -> Response {
    let (output, share) = output.into_parts();
    holding(share, written(exit_code, output))
}

/// The answer, which takes its share of the budget until it has been sent.
pub(super) fn holding(share: OutputShare, answer: Response) -> Response {
    answer.map(|body| {
        Body::new(body.map_err(move |error| {
            let _until_sent = &share;
            error
        }))
    })
}

fn written(exit_code: i32, output: Vec<u8>) -> Response {
    if output.len() <= ONE_PIECE {
        return Json(Answer { exit_code, result: text_of(output) }).into_response();
    }
    let head = format!("{{\"exitCode\":{exit_code},\"result\":\"");
    let chunks = [Ok(head.into())].into_iter().chain(Pieces { output, at: 0 }).chain([Ok("\"}".into())]);
    ([(header::CONTENT_TYPE, json::KIND)], Body::from_stream(stream::iter(chunks))).into_response()
}

/// Output, piece by piece, as the inside of a JSON string.
struct Pieces {
    output: Vec<u8>,
    at: usize,
}

impl Iterator for Pieces {
    type Item = serde_json::Result<Bytes>;

    fn next(&mut self) -> Option<Self::Item> {
        let rest = self.output.get(self.at..).filter(|rest| !rest.is_empty())?;
        let end = if rest.len() > PIECE { complete(&rest[..PIECE]) } else { rest.len() };
        let piece = &rest[..end];
        let text = json::escaped(&String::from_utf8_lossy(piece));
        self.at += piece.len();
        Some(text.map(Bytes::from))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether what is answered piece by piece is what it would be in one.
    async fn check(output: Vec<u8>) {
        let expected = String::from_utf8_lossy(&output).into_owned();
        assert!(output.len() > ONE_PIECE);
        let response = written(7, output);
        assert_eq!(response.headers()[header::CONTENT_TYPE], json::KIND);
        let body = response.into_body().collect().await.unwrap().to_bytes();
        let found: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert!(found == serde_json::json!({"exitCode": 7, "result": expected}), "of {} bytes", expected.len());
    }

    #[tokio::test]
    async fn much_output_is_the_same_in_pieces() {
        for unit in ["a\"\n\0", "é", "€x", "𝄞", "x€"] {
            check(unit.repeat(ONE_PIECE / unit.len() + 2).into_bytes()).await;
        }
        // no text: characters cut short, and more bytes that follow than any character has
        for unit in [&b"\xe2\x82A"[..], b"\xf0\x90\x80", b"\x80", b"\xff\x80\x80\x80\x80\x80z"] {
            check(unit.repeat(ONE_PIECE / unit.len() + 2)).await;
        }
    }
}
