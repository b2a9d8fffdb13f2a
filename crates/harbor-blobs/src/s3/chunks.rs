//! Bodies that come in chunks of S3's own kind, which the library holds in memory one by one. Chunks without a signature are
//! cut into small ones; those with one, which is of all of it, may not be large.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http::Request;
use http_body::Frame;

/// The largest chunk with a signature, in bytes. Clients sign 64 KiB or 128 KiB at a time.
const LARGEST_SIGNED: u64 = 16 << 20;

/// The longest line before a chunk, in bytes.
const LONGEST_HEAD: usize = 1 << 10;

/// The request, whose chunks the library can hold.
pub(super) fn bounded(request: Request<Body>) -> Request<Body> {
    let kind = request.headers().get("x-amz-content-sha256").map(|kind| kind.as_bytes().to_owned()).unwrap_or_default();
    if !kind.starts_with(b"STREAMING-") {
        return request;
    }
    let cut = kind.starts_with(b"STREAMING-UNSIGNED-");
    request.map(|body| Body::new(Chunked { body, chunks: Chunks { at: At::Head(BytesMut::new()), cut } }))
}

struct Chunked {
    body: Body,
    chunks: Chunks,
}

/// Where in the body it is.
enum At {
    /// In the line before a chunk.
    Head(BytesMut),
    /// In a chunk of which this many bytes are still to come.
    Data(u64),
    /// In the line end after a chunk, of which this many bytes are still to come.
    End(usize),
    /// Behind the last chunk.
    Trailers,
}

struct Chunks {
    at: At,
    /// Whether chunks are cut.
    cut: bool,
}

impl Chunks {
    /// What goes on of the next bytes. The error says what is wrong with them.
    fn pass(&mut self, mut bytes: Bytes) -> Result<Bytes, &'static str> {
        let mut out = BytesMut::with_capacity(bytes.len() + 32);
        while !bytes.is_empty() {
            match &mut self.at {
                At::Head(head) => {
                    let line_end = bytes.iter().position(|byte| *byte == b'\n').map(|at| at + 1);
                    head.extend_from_slice(&bytes.split_to(line_end.unwrap_or(bytes.len())));
                    if head.len() > LONGEST_HEAD {
                        return Err("the line before a chunk is too long");
                    }
                    if line_end.is_none() {
                        continue;
                    }
                    let size = size(head).ok_or("the line before a chunk holds no size")?;
                    if !self.cut && size > LARGEST_SIGNED {
                        return Err("a signed chunk has at most 16 MiB");
                    }
                    if !self.cut || size == 0 {
                        out.extend_from_slice(head);
                    }
                    self.at = if size == 0 { At::Trailers } else { At::Data(size) };
                }
                At::Data(left) => {
                    let length = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
                    let piece = bytes.split_to(length);
                    if self.cut {
                        out.extend_from_slice(format!("{length:x}\r\n").as_bytes());
                    }
                    out.extend_from_slice(&piece);
                    if self.cut {
                        out.extend_from_slice(b"\r\n");
                    }
                    *left -= length as u64;
                    if *left == 0 {
                        self.at = At::End(2);
                    }
                }
                At::End(left) => {
                    let end = bytes.split_to((*left).min(bytes.len()));
                    if !b"\r\n".ends_with(&end) && !b"\r\n".starts_with(&end) {
                        return Err("a chunk is not as long as was said");
                    }
                    if !self.cut {
                        out.extend_from_slice(&end);
                    }
                    *left -= end.len();
                    if *left == 0 {
                        self.at = At::Head(BytesMut::new());
                    }
                }
                At::Trailers => out.extend_from_slice(&std::mem::take(&mut bytes)),
            }
        }
        Ok(out.freeze())
    }
}

/// The size that the line before a chunk tells.
fn size(head: &[u8]) -> Option<u64> {
    let line = std::str::from_utf8(head).ok()?.trim_end();
    u64::from_str_radix(line.split(';').next()?, 16).ok()
}

impl http_body::Body for Chunked {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        loop {
            let Some(frame) = ready!(Pin::new(&mut self.body).poll_frame(context)) else { return Poll::Ready(None) };
            let Ok(bytes) = frame?.into_data() else { continue };
            match self.chunks.pass(bytes) {
                Ok(bytes) if bytes.is_empty() => {}
                Ok(bytes) => return Poll::Ready(Some(Ok(Frame::data(bytes)))),
                Err(wrong) => return Poll::Ready(Some(Err(axum::Error::new(std::io::Error::other(wrong))))),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What comes of a body that comes in pieces of this length.
    fn passed(cut: bool, body: &[u8], length: usize) -> Result<Vec<u8>, &'static str> {
        let mut chunks = Chunks { at: At::Head(BytesMut::new()), cut };
        let mut out = Vec::new();
        for piece in body.chunks(length) {
            out.extend_from_slice(&chunks.pass(Bytes::copy_from_slice(piece))?);
        }
        Ok(out)
    }

    #[test]
    fn unsigned_chunks_are_cut_as_they_come() {
        let body = b"5\r\nhello\r\n1\r\n!\r\n0\r\nx-amz-checksum-crc32:a\r\n\r\n";
        assert_eq!(passed(true, body, 1000).unwrap(), body);
        let cut = b"2\r\nhe\r\n3\r\nllo\r\n1\r\n!\r\n0\r\nx-amz-checksum-crc32:a\r\n\r\n";
        assert_eq!(passed(true, body, 5).unwrap(), cut);
        for length in 1..20 {
            let out = passed(true, body, length).unwrap();
            assert_eq!(passed(true, &out, 1000).unwrap(), out, "it is as well formed, {length} at a time");
        }
    }

    #[test]
    fn signed_ones_stay_as_they_are_and_small() {
        let body = b"5;chunk-signature=ab\r\nhello\r\n0;chunk-signature=cd\r\n\r\n";
        for length in 1..20 {
            assert_eq!(passed(false, body, length).unwrap(), body);
        }
        assert!(passed(false, b"1000001;chunk-signature=ab\r\n", 100).is_err());
        assert!(passed(true, b"ffffffffffffffffff\r\n", 100).is_err());
        assert!(passed(true, b"xyz\r\n", 100).is_err());
        assert!(passed(true, b"2\r\nabcd", 100).is_err());
        assert!(passed(true, &[b'1'; 5000], 100).is_err());
    }
}
