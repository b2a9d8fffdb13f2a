//! Manifests: read, pushed and removed.

use axum::body::Body;
use axum::response::{IntoResponse as _, Response};
use harbor_model::Timestamp;
use harbor_model::repositories::{Digest, Manifest, ManifestKey, ManifestPush, NewManifest, RepositoryName};
use http::header::{CONTENT_TYPE, ETAG, LOCATION};
use http::{HeaderMap, HeaderName, StatusCode};
use sha2::{Digest as _, Sha256};

use super::document::{Contents, Document};
use super::errors::{Code, Refusal};
use super::{CONTENT_DIGEST, Registry, headers};

/// The largest manifest, in bytes (OCI distribution specification, "Pushing manifests").
const LARGEST: usize = 4 << 20;

/// Tells a client that its manifest is found by what it is about.
const SUBJECT: HeaderName = HeaderName::from_static("oci-subject");

impl Registry {
    pub(super) async fn manifest(&self, repository: &RepositoryName, key: &ManifestKey) -> Result<Response, Refusal> {
        let found = self.repositories.manifest(repository, key).await?;
        let Manifest { digest, media_type, content, .. } = found.ok_or_else(no_manifest)?;
        let about =
            headers([(CONTENT_TYPE, &media_type), (CONTENT_DIGEST, digest.as_str()), (ETAG, &format!("\"{digest}\""))]);
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
        let content = axum::body::to_bytes(body, LARGEST).await.map_err(|_| {
            let told = format!("it did not come whole, or has more than {LARGEST} bytes");
            Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, Code::ManifestInvalid, told)
        })?;
        let digest = Digest::of_sha256(Sha256::digest(&content).into());
        let tag = match key {
            ManifestKey::Digest(said) if said != digest => {
                return Err(Refusal::invalid(Code::DigestInvalid, format!("what came is {digest}")));
            }
            ManifestKey::Digest(_) => None,
            ManifestKey::Tag(tag) => Some(tag),
        };
        let said = asked.get(CONTENT_TYPE).and_then(|said| said.to_str().ok());
        let said = said.and_then(|said| said.split(';').next()).map(str::trim).filter(|said| !said.is_empty());
        let Contents { media_type, artifact_type, subject, blobs, manifests } =
            Document::read(&content)?.contents(said)?;
        let about_subject = subject.as_ref().map(|subject| headers([(SUBJECT, subject.as_str())])).unwrap_or_default();
        let reference = tag.as_ref().map_or_else(|| digest.to_string(), ToString::to_string);
        let pushed_at = Timestamp::now_utc();
        let content = content.to_vec();
        let manifest = Manifest { digest: digest.clone(), media_type, content, subject, artifact_type, pushed_at };
        let new = NewManifest { manifest, blobs, manifests, tag };
        match self.repositories.push_manifest(repository, new).await? {
            ManifestPush::Done => {}
            ManifestPush::NoBlob(blob) => {
                return Err(Refusal::invalid(Code::ManifestBlobUnknown, format!("it names {blob}: push that first")));
            }
            ManifestPush::OtherSize(blob) => {
                return Err(Refusal::invalid(Code::SizeInvalid, format!("{blob} has another size than it says")));
            }
            ManifestPush::NoManifest(listed) => {
                let told = format!("it lists {listed}: push that first");
                return Err(Refusal::invalid(Code::ManifestBlobUnknown, told));
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
        let removed = match key {
            ManifestKey::Digest(digest) => self.repositories.remove_manifest(repository, &digest).await?,
            ManifestKey::Tag(tag) => self.repositories.remove_tag(repository, &tag).await?,
        };
        if removed { Ok(StatusCode::ACCEPTED.into_response()) } else { Err(no_manifest()) }
    }
}

fn no_manifest() -> Refusal {
    Refusal::not_found(Code::ManifestUnknown, "this repository has no such manifest")
}
