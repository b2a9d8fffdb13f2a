//! Blobs of repositories: read whole or in part, and removed.

use std::ops::Range;
use std::time::Duration;

use axum::body::Body;
use axum::response::{IntoResponse as _, Response};
use harbor_model::Timestamp;
use harbor_model::repositories::{Digest, Removal, RepositoryBlob, RepositoryName};
use http::header::{ACCEPT_RANGES, ALLOW, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, IF_RANGE, RANGE};
use http::{HeaderMap, StatusCode};

use super::errors::{Code, Refusal};
use super::{CONTENT_DIGEST, Registry, etag, headers, number};

/// After how long a blob that no manifest names is kept as long again when somebody asks for it.
const RENEWED_AFTER: Duration = Duration::from_mins(5);

impl Registry {
    pub(super) async fn blob_head(&self, repository: &RepositoryName, digest: &Digest) -> Result<Response, Refusal> {
        let blob = self.known_blob(repository, digest).await?;
        // who asks whether it is there does not push it, and counts on it
        if blob.unneeded_since.is_some_and(|since| Timestamp::now_utc() - since > RENEWED_AFTER) {
            self.repositories.renew_blob(repository, digest).await?;
        }
        Ok((about(digest, blob.size), Body::empty()).into_response())
    }

    pub(super) async fn blob(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
        asked: &HeaderMap,
    ) -> Result<Response, Refusal> {
        let blob = self.known_blob(repository, digest).await?;
        let range = asked.get(RANGE).and_then(|range| range.to_str().ok());
        // a part of what the client has begun to read, if this is that
        let is_that = asked.get(IF_RANGE).is_none_or(|that| that.as_bytes() == etag(digest).as_bytes());
        let range = range.filter(|_| is_that).map(|range| wanted(range, blob.size));
        let (status, range) = match range {
            None | Some(Wanted::All) => (StatusCode::OK, 0..blob.size),
            Some(Wanted::Part(range)) => (StatusCode::PARTIAL_CONTENT, range),
            Some(Wanted::Nothing) => {
                let size = format!("bytes */{}", blob.size);
                let told = format!("the blob has {} bytes", blob.size);
                return Err(Refusal::new(StatusCode::RANGE_NOT_SATISFIABLE, Code::SizeInvalid, told)
                    .with(headers([(CONTENT_RANGE, &size)])));
            }
        };
        let mut about = about(digest, range.end - range.start);
        if status == StatusCode::PARTIAL_CONTENT {
            let told = format!("bytes {}-{}/{}", range.start, range.end - 1, blob.size);
            about.extend(headers([(CONTENT_RANGE, &told)]));
        }
        let stream = self.blobs.read(&blob.pieces, range).await?;
        Ok((status, about, Body::from_stream(stream)).into_response())
    }

    pub(super) async fn remove_blob(&self, repository: &RepositoryName, digest: &Digest) -> Result<Response, Refusal> {
        match self.repositories.remove_blob(repository, digest).await? {
            Removal::Removed => Ok(StatusCode::ACCEPTED.into_response()),
            Removal::Missing => Err(Refusal::no_blob(digest)),
            Removal::Needed => {
                let told = "a manifest of this repository names the blob: remove that first";
                Err(Refusal::new(StatusCode::METHOD_NOT_ALLOWED, Code::Denied, told)
                    .with(headers([(ALLOW, "GET, HEAD")])))
            }
        }
    }

    async fn known_blob(&self, repository: &RepositoryName, digest: &Digest) -> Result<RepositoryBlob, Refusal> {
        self.repositories.blob(repository, digest).await?.ok_or_else(|| Refusal::no_blob(digest))
    }
}

fn about(digest: &Digest, length: u64) -> HeaderMap {
    headers([
        (ACCEPT_RANGES, "bytes"),
        (CONTENT_LENGTH, &length.to_string()),
        (CONTENT_TYPE, "application/octet-stream"),
        (CONTENT_DIGEST, digest.as_str()),
        (ETAG, &etag(digest)),
    ])
}

/// What a `Range` asks for.
#[derive(Debug, PartialEq, Eq)]
enum Wanted {
    /// Everything: it asks for several parts, or for none that can be read.
    All,
    /// A part that is not empty.
    Part(Range<u64>),
    /// A part that there is not.
    Nothing,
}

fn wanted(range: &str, size: u64) -> Wanted {
    let Some((from, to)) = range.strip_prefix("bytes=").and_then(|range| range.trim().split_once('-')) else {
        return Wanted::All;
    };
    let (start, end) = match (number(from), number(to)) {
        (Some(from), Some(to)) if from <= to => (from, to.saturating_add(1).min(size)),
        (Some(from), None) if to.is_empty() => (from, size),
        (None, Some(last)) if from.is_empty() => (size.saturating_sub(last), size),
        _ => return Wanted::All,
    };
    if start < end { Wanted::Part(start..end) } else { Wanted::Nothing }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_part_is_read_at_a_time() {
        for (range, expected) in [
            ("bytes=0-0", Wanted::Part(0..1)),
            ("bytes=2-5", Wanted::Part(2..6)),
            ("bytes=2-", Wanted::Part(2..10)),
            ("bytes=-3", Wanted::Part(7..10)),
            ("bytes=-30", Wanted::Part(0..10)),
            ("bytes=5-18446744073709551615", Wanted::Part(5..10)),
            ("bytes=10-", Wanted::Nothing),
            ("bytes=-0", Wanted::Nothing),
            ("bytes=5-2", Wanted::All),
            ("bytes=0-1,3-4", Wanted::All),
            ("bytes=a-b", Wanted::All),
            ("bytes=+1-+2", Wanted::All),
            ("lines=0-1", Wanted::All),
            ("", Wanted::All),
        ] {
            assert_eq!(wanted(range, 10), expected, "{range}");
        }
        assert_eq!(wanted("bytes=0-", 0), Wanted::Nothing);
    }
}
