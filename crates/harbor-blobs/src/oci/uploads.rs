//! Pushes of blobs: at once, in one stream, or in chunks that go on where they stopped.

use axum::body::{Body, HttpBody as _};
use axum::response::{IntoResponse as _, Response};
use futures_util::StreamExt as _;
use harbor_model::Timestamp;
use harbor_model::repositories::{Addition, BlobUpload, Digest, RepositoryName};
use http::header::{CONTENT_LENGTH, CONTENT_RANGE, LOCATION, RANGE};
use http::request::Parts;
use http::{HeaderMap, HeaderName, StatusCode};
use sha2::{Digest as _, Sha256};
use url::form_urlencoded;
use uuid::Uuid;

use super::errors::{Code, Refusal};
use super::{CONTENT_DIGEST, Registry, RepositoryAccess, headers, number};
use crate::blobs::BlobError;

/// Names a push.
const UPLOAD_ID: HeaderName = HeaderName::from_static("docker-upload-uuid");

/// The most chunks of a blob: where each lies is kept in its row.
const MOST_CHUNKS: usize = 4000;

/// The most blobs that are being pushed.
const MOST_UPLOADS: u32 = 4096;

impl Registry {
    /// Begins a push, takes the blob if it comes along, or takes it from another repository.
    pub(super) async fn begin_upload(
        &self,
        access: &RepositoryAccess,
        repository: &RepositoryName,
        head: &Parts,
        body: Body,
    ) -> Result<Response, Refusal> {
        let query = Query::of(head)?;
        if let (Some(digest), Some(from)) = (&query.mount, &query.from)
            && access.may_pull(from)
            && self.repositories.mount_blob(repository, from, digest).await?
        {
            return Ok(created(repository, digest));
        }
        let upload = BlobUpload {
            id: Uuid::new_v4().simple().to_string(),
            repository: repository.clone(),
            size: 0,
            pieces: Vec::new(),
            touched_at: Timestamp::now_utc(),
        };
        let id = upload.id.clone();
        self.blobs.check_space()?;
        if !self.repositories.begin_upload(upload, MOST_UPLOADS).await? {
            let told = format!("{MOST_UPLOADS} blobs are being pushed: end some, or wait");
            return Err(Refusal::new(StatusCode::TOO_MANY_REQUESTS, Code::TooManyRequests, told));
        }
        let Some(digest) = query.digest else {
            return Ok((StatusCode::ACCEPTED, about(repository, &id, 0)).into_response());
        };
        let taken = self.take(repository, &id, &digest, &HeaderMap::new(), body).await;
        if taken.is_err() {
            self.end(repository, &id).await?;
        }
        taken
    }

    pub(super) async fn upload_status(&self, repository: &RepositoryName, id: &str) -> Result<Response, Refusal> {
        let upload = self.known_upload(repository, id).await?;
        Ok((StatusCode::NO_CONTENT, about(repository, id, upload.size)).into_response())
    }

    pub(super) async fn continue_upload(
        &self,
        repository: &RepositoryName,
        id: &str,
        asked: &HeaderMap,
        body: Body,
    ) -> Result<Response, Refusal> {
        let size = self.add(repository, id, asked, body).await?;
        Ok((StatusCode::ACCEPTED, about(repository, id, size)).into_response())
    }

    pub(super) async fn complete_upload(
        &self,
        repository: &RepositoryName,
        id: &str,
        head: &Parts,
        body: Body,
    ) -> Result<Response, Refusal> {
        let digest = Query::of(head)?.digest;
        let digest =
            digest.ok_or_else(|| Refusal::invalid(Code::DigestInvalid, "a push ends with ?digest=sha256:…"))?;
        self.take(repository, id, &digest, &head.headers, body).await
    }

    pub(super) async fn abort_upload(&self, repository: &RepositoryName, id: &str) -> Result<Response, Refusal> {
        if self.end(repository, id).await? { Ok(StatusCode::NO_CONTENT.into_response()) } else { Err(no_upload()) }
    }

    async fn end(&self, repository: &RepositoryName, id: &str) -> Result<bool, Refusal> {
        self.hashes.forget(id);
        Ok(self.repositories.abort_upload(repository, id).await?)
    }

    /// Adds the last chunk, if one comes, and makes the whole a blob, which it is if it has the digest.
    async fn take(
        &self,
        repository: &RepositoryName,
        id: &str,
        digest: &Digest,
        asked: &HeaderMap,
        body: Body,
    ) -> Result<Response, Refusal> {
        let _coming = self.blobs.coming(id);
        if !body.is_end_stream() {
            self.add(repository, id, asked, body).await?;
        }
        let upload = self.known_upload(repository, id).await?;
        let hash = match self.hashes.take(id, upload.size) {
            Some(hash) => hash,
            None => self.hash(&upload).await?,
        };
        let found = Digest::of_sha256(hash.finalize().into());
        if found != *digest {
            self.end(repository, id).await?;
            let told =
                format!("the blob that came is {found}, and was to be {digest}: push it again from the beginning");
            return Err(Refusal::invalid(Code::DigestInvalid, told));
        }
        if !self.repositories.complete_upload(repository, id, upload.size, digest).await? {
            return Err(no_upload());
        }
        Ok(created(repository, digest))
    }

    /// Adds a chunk; answers how much has come by then. Nothing stays of one that is cut off.
    async fn add(&self, repository: &RepositoryName, id: &str, asked: &HeaderMap, body: Body) -> Result<u64, Refusal> {
        let range = range(asked)?;
        let length = asked.get(CONTENT_LENGTH).and_then(|length| number(length.to_str().ok()?));
        if let (Some((start, end)), Some(length)) = (range, length)
            && end - start != length
        {
            return Err(other_length(length));
        }
        let upload = self.known_upload(repository, id).await?;
        if range.is_some_and(|(start, _)| start != upload.size) {
            return Err(elsewhere(repository, &upload));
        }
        if upload.pieces.len() >= MOST_CHUNKS {
            let told = format!("a blob comes in at most {MOST_CHUNKS} chunks: send larger ones");
            return Err(Refusal::invalid(Code::BlobUploadInvalid, told));
        }
        let _coming = self.blobs.coming(id);
        let mut hash = self.hashes.take(id, upload.size);
        let seen = |bytes: &[u8]| {
            if let Some(hash) = &mut hash {
                hash.update(bytes);
            }
        };
        let fresh = self.blobs.write(body.into_data_stream(), seen).await?;
        let came = fresh.piece.size;
        if range.is_some_and(|(start, end)| end - start != came) {
            return Err(other_length(came));
        }
        if came == 0 {
            return Ok(upload.size);
        }
        match self.repositories.add_to_upload(repository, id, upload.size, fresh.piece.clone()).await? {
            Addition::Done => fresh.keep(),
            Addition::Overtaken => return Err(elsewhere(repository, &self.known_upload(repository, id).await?)),
            Addition::Missing => return Err(no_upload()),
        }
        let size = upload.size + came;
        if let Some(hash) = hash {
            self.hashes.keep(id, size, hash);
        }
        Ok(size)
    }

    /// The hash of what has come, read again.
    async fn hash(&self, upload: &BlobUpload) -> Result<Sha256, Refusal> {
        let mut stream = self.blobs.read(&upload.pieces, 0..upload.size).await?;
        let mut hash = Sha256::default();
        while let Some(bytes) = stream.next().await {
            hash.update(bytes.map_err(BlobError::of_io)?);
        }
        Ok(hash)
    }

    async fn known_upload(&self, repository: &RepositoryName, id: &str) -> Result<BlobUpload, Refusal> {
        self.repositories.upload(repository, id).await?.ok_or_else(no_upload)
    }
}

/// What a push asks for behind its path.
#[derive(Default)]
struct Query {
    digest: Option<Digest>,
    mount: Option<Digest>,
    from: Option<RepositoryName>,
}

impl Query {
    fn of(head: &Parts) -> Result<Self, Refusal> {
        let mut query = Self::default();
        for (name, value) in form_urlencoded::parse(head.uri.query().unwrap_or_default().as_bytes()) {
            match &*name {
                "digest" => query.digest = Some(value.parse().map_err(Refusal::digest)?),
                "mount" => query.mount = Some(value.parse().map_err(Refusal::digest)?),
                // one that cannot be has no blob to take
                "from" => query.from = value.parse().ok(),
                _ => {}
            }
        }
        Ok(query)
    }
}

/// The first byte of a chunk and the one after its last.
fn range(asked: &HeaderMap) -> Result<Option<(u64, u64)>, Refusal> {
    let Some(text) = asked.get(CONTENT_RANGE) else { return Ok(None) };
    let pair = text.to_str().ok().map(|text| text.strip_prefix("bytes ").unwrap_or(text));
    let pair = pair.and_then(|text| text.split('/').next()?.split_once('-'));
    let numbers = pair.and_then(|(start, end)| Some((number(start)?, number(end)?.checked_add(1)?)));
    match numbers {
        Some((start, end)) if start < end => Ok(Some((start, end))),
        _ => {
            Err(Refusal::invalid(Code::SizeInvalid, "Content-Range is the first and the last byte of a chunk: 0-1023"))
        }
    }
}

fn other_length(length: u64) -> Refusal {
    Refusal::invalid(Code::SizeInvalid, format!("{length} bytes come, and Content-Range says something else"))
}

fn no_upload() -> Refusal {
    Refusal::not_found(Code::BlobUploadUnknown, "there is no such push: begin it again")
}

/// Where a push stands is not where a chunk begins.
fn elsewhere(repository: &RepositoryName, upload: &BlobUpload) -> Refusal {
    let told = format!("{} bytes have come: go on there", upload.size);
    Refusal::new(StatusCode::RANGE_NOT_SATISFIABLE, Code::BlobUploadInvalid, told).with(about(
        repository,
        &upload.id,
        upload.size,
    ))
}

fn about(repository: &RepositoryName, id: &str, size: u64) -> HeaderMap {
    headers([
        (LOCATION, &format!("/v2/{repository}/blobs/uploads/{id}")),
        (RANGE, &format!("0-{}", size.saturating_sub(1))),
        (UPLOAD_ID, id),
    ])
}

fn created(repository: &RepositoryName, digest: &Digest) -> Response {
    let about = headers([(LOCATION, &format!("/v2/{repository}/blobs/{digest}")), (CONTENT_DIGEST, digest.as_str())]);
    (StatusCode::CREATED, about).into_response()
}
