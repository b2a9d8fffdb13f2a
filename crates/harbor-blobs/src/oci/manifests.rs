//! Manifests: read, pushed and removed.

use std::time::Duration;

use axum::body::Body;
use axum::response::{IntoResponse as _, Response};
use futures_util::StreamExt as _;
use harbor_model::Timestamp;
use harbor_model::repositories::{Digest, Manifest, ManifestKey, ManifestPush, NewManifest, Removal, RepositoryName};
use http::header::{ALLOW, CONTENT_TYPE, ETAG, LOCATION};
use http::{HeaderMap, HeaderName, StatusCode};
use sha2::{Digest as _, Sha256};
use tokio::time::timeout;

use super::document::{Contents, Document};
use super::errors::{Code, Refusal};
use super::{CONTENT_DIGEST, MOST_COMING, Registry, etag, headers};
use crate::blobs::BlobError;

/// The largest manifest, in bytes (OCI distribution specification, "Pushing manifests").
const LARGEST: usize = 4 << 20;

/// How long a manifest may wait for a place, and then how long it may take to come.
const PATIENCE: Duration = Duration::from_secs(30);

/// Tells a client that its manifest is found by what it is about.
const SUBJECT: HeaderName = HeaderName::from_static("oci-subject");

impl Registry {
    pub(super) async fn manifest(&self, repository: &RepositoryName, key: &ManifestKey) -> Result<Response, Refusal> {
        let found = self.repositories.manifest(repository, key).await?;
        let Manifest { digest, media_type, content, .. } = found.ok_or_else(no_manifest)?;
        let about = headers([(CONTENT_TYPE, &media_type), (CONTENT_DIGEST, digest.as_str()), (ETAG, &etag(&digest))]);
        // the server leaves the body out of an answer to HEAD, and its length in
        Ok((about, content).into_response())
    }

    pub(super) async fn push_manifest(
        &self,
        repository: &RepositoryName,
        key: ManifestKey,
        asked: &HeaderMap,
        body: Body,
    ) -> Result<Response, Refusal> {
        let _place = timeout(PATIENCE, self.coming.acquire()).await.map_err(|_| too_many())?;
        self.blobs.check_space()?;
        let content = timeout(PATIENCE, receive(body)).await.map_err(|_| too_slow())??;
        let digest = Digest::of_sha256(Sha256::digest(&content).into());
        let tag = match key {
            ManifestKey::Digest(said) if said != digest => {
                return Err(Refusal::invalid(
                    Code::DigestInvalid,
                    format!("the manifest that came is {digest}, and was to be {said}: push it again"),
                ));
            }
            ManifestKey::Digest(_) => None,
            ManifestKey::Tag(tag) => Some(tag),
        };
        let said = asked.get(CONTENT_TYPE).and_then(|said| said.to_str().ok());
        let said = said.and_then(|said| said.split(';').next()).map(str::trim).filter(|said| !said.is_empty());
        let Contents { media_type, artifact_type, subject, annotations, named } =
            Document::read(&content)?.contents(said)?;
        let about_subject = subject.as_ref().map(|subject| headers([(SUBJECT, subject.as_str())])).unwrap_or_default();
        let reference = tag.as_ref().map_or_else(|| digest.to_string(), ToString::to_string);
        let manifest = Manifest {
            digest: digest.clone(),
            media_type,
            content,
            subject,
            artifact_type,
            annotations,
            pushed_at: Timestamp::now_utc(),
        };
        let new = NewManifest { manifest, named, tag };
        match self.repositories.push_manifest(repository, new).await? {
            ManifestPush::Done => {}
            ManifestPush::Missing(part) => {
                return Err(Refusal::invalid(
                    Code::ManifestBlobUnknown,
                    format!("the manifest names {part}, which this repository does not have: push that first"),
                ));
            }
            ManifestPush::OtherSize(part) => {
                return Err(Refusal::invalid(
                    Code::SizeInvalid,
                    format!("the manifest says another size of {part} than that has: make the manifest anew"),
                ));
            }
        }
        let about = headers([
            (LOCATION, &format!("/v2/{repository}/manifests/{reference}")),
            (CONTENT_DIGEST, digest.as_str()),
        ]);
        Ok((StatusCode::CREATED, about, about_subject).into_response())
    }

    pub(super) async fn remove_manifest(
        &self,
        repository: &RepositoryName,
        key: ManifestKey,
    ) -> Result<Response, Refusal> {
        match key {
            ManifestKey::Digest(digest) => match self.repositories.remove_manifest(repository, &digest).await? {
                Removal::Removed => {}
                Removal::Missing => return Err(no_manifest()),
                Removal::Needed => {
                    let told = "another manifest of this repository lists it: remove that first";
                    return Err(Refusal::new(StatusCode::METHOD_NOT_ALLOWED, Code::Denied, told)
                        .with(headers([(ALLOW, "GET, HEAD, PUT")])));
                }
            },
            ManifestKey::Tag(tag) if self.repositories.remove_tag(repository, &tag).await? => {}
            ManifestKey::Tag(_) => return Err(no_manifest()),
        }
        Ok(StatusCode::ACCEPTED.into_response())
    }
}

/// A body of a manifest.
async fn receive(body: Body) -> Result<Vec<u8>, Refusal> {
    let mut content = Vec::new();
    let mut stream = body.into_data_stream();
    while let Some(bytes) = stream.next().await {
        let bytes = bytes.map_err(|error| BlobError::Source(error.into()))?;
        if content.len() + bytes.len() > LARGEST {
            let told = format!("a manifest has at most {LARGEST} bytes");
            return Err(Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, Code::ManifestInvalid, told));
        }
        content.extend_from_slice(&bytes);
    }
    Ok(content)
}

fn too_many() -> Refusal {
    let told = format!(
        "{MOST_COMING} manifests are being pushed, and no place became free within {} seconds: push it again",
        PATIENCE.as_secs()
    );
    Refusal::new(StatusCode::TOO_MANY_REQUESTS, Code::TooManyRequests, told)
}

fn too_slow() -> Refusal {
    let told = format!("the manifest did not come within {} seconds: push it again", PATIENCE.as_secs());
    Refusal::new(StatusCode::REQUEST_TIMEOUT, Code::ManifestInvalid, told)
}

fn no_manifest() -> Refusal {
    Refusal::not_found(Code::ManifestUnknown, "this repository has no such manifest")
}
