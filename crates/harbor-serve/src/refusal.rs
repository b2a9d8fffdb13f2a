//! Refusals that no handler makes, in the shape that clients read (contract, control-plane §3.1).

use std::time::Duration;

use http::StatusCode;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// How long a client that finds no slot may take to read why.
const FAREWELL: Duration = Duration::from_secs(1);

/// An answer that closes its connection, as bytes.
pub(crate) fn answer(status: StatusCode, message: &str) -> Vec<u8> {
    let reason = status.canonical_reason().unwrap_or("Error");
    let code = reason.to_ascii_uppercase().replace(' ', "_");
    let body = serde_json::json!({ "statusCode": status.as_u16(), "error": reason, "message": message, "code": code });
    let body = body.to_string();
    let length = body.len();
    format!(
        "HTTP/1.1 {} {reason}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}",
        status.as_u16()
    )
    .into_bytes()
}

/// The answer to a head that the HTTP library refuses with `bytes`, which have no body; none when they are no refusal.
pub(crate) fn of_head(bytes: &[u8]) -> Option<Vec<u8>> {
    let status = bytes.strip_prefix(b"HTTP/1.1 ").or_else(|| bytes.strip_prefix(b"HTTP/1.0 "))?.get(..3)?;
    let status = StatusCode::from_bytes(status).ok().filter(StatusCode::is_client_error)?;
    if !bytes.ends_with(b"\r\n\r\n") || bytes.windows(4).position(|four| four == b"\r\n\r\n")? + 4 != bytes.len() {
        return None;
    }
    let message = match status {
        StatusCode::URI_TOO_LONG => "the request's target is too long",
        StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => "the request's headers are too many or too long",
        _ => "the request's head cannot be read",
    };
    Some(answer(status, message))
}

/// Tells a client that there is no slot for its connection.
pub(crate) async fn turn_away(mut stream: TcpStream) {
    let message = "harbor holds as many connections as it may have open files for: try again in a moment";
    let farewell = async {
        stream.write_all(&answer(StatusCode::SERVICE_UNAVAILABLE, message)).await?;
        stream.shutdown().await?;
        // what the client has sent is read, so that the answer is not taken back
        let mut dropped = [0; 4096];
        for _ in 0..16 {
            if stream.read(&mut dropped).await? == 0 {
                break;
            }
        }
        std::io::Result::Ok(())
    };
    let _ = tokio::time::timeout(FAREWELL, farewell).await; // it may not wait for it
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(bytes: &str, expected: Option<&str>) {
        let found = of_head(bytes.as_bytes()).map(|answer| String::from_utf8(answer).unwrap());
        match (found, expected) {
            (Some(found), Some(expected)) => assert!(found.starts_with(expected), "{found}"),
            (found, expected) => assert_eq!(found.as_deref(), expected, "{bytes}"),
        }
    }

    #[test]
    fn only_a_refusal_without_a_body_gets_one() {
        let bare = "HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
        check(bare, Some("HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\n"));
        check(&bare.replace("400", "431"), Some("HTTP/1.1 431 Request Header Fields Too Large\r\n"));
        check(&format!("{bare}x"), None);
        check(&format!("{bare}{bare}"), None);
        check(&bare.replace("400", "200"), None);
        check("HTTP/1.1 100 Continue\r\n\r\n", None);
        check("", None);
    }
}
