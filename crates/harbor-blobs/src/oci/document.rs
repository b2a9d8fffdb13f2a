//! What a manifest says: what it names, lists and is about.

use std::collections::BTreeMap;

use harbor_model::repositories::Digest;
use serde::{Deserialize, Serialize};

use super::errors::{Code, Refusal};

/// The media type of a list of manifests that is computed.
pub(super) const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// Media types of manifests that name blobs.
const IMAGES: [&str; 2] =
    ["application/vnd.oci.image.manifest.v1+json", "application/vnd.docker.distribution.manifest.v2+json"];

/// Media types of manifests that list others.
const INDEXES: [&str; 2] = [INDEX, "application/vnd.docker.distribution.manifest.list.v2+json"];

/// What this is of the document of a manifest.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Document {
    schema_version: u32,
    media_type: Option<String>,
    artifact_type: Option<String>,
    config: Option<Descriptor>,
    layers: Option<Vec<Descriptor>>,
    manifests: Option<Vec<Descriptor>>,
    subject: Option<Descriptor>,
    annotations: Option<BTreeMap<String, String>>,
}

/// What a document says of another one, or of a blob.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Descriptor {
    media_type: String,
    digest: String,
    size: u64,
    #[serde(default)]
    urls: Vec<String>,
}

/// What is said of a manifest in a list.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Listed {
    pub(super) media_type: String,
    pub(super) digest: String,
    pub(super) size: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) artifact_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) annotations: Option<BTreeMap<String, String>>,
}

/// What a manifest needs, and what it is.
pub(super) struct Contents {
    pub(super) media_type: String,
    pub(super) artifact_type: Option<String>,
    pub(super) subject: Option<Digest>,
    pub(super) blobs: Vec<(Digest, u64)>,
    pub(super) manifests: Vec<Digest>,
}

impl Document {
    pub(super) fn read(content: &[u8]) -> Result<Self, Refusal> {
        serde_json::from_slice(content).map_err(|error| invalid(format!("it cannot be read: {error}")))
    }

    pub(super) fn annotations(self) -> Option<BTreeMap<String, String>> {
        self.annotations
    }

    /// What it needs, if it is what the client says that it is.
    pub(super) fn contents(self, said: Option<&str>) -> Result<Contents, Refusal> {
        if self.schema_version != 2 {
            return Err(invalid("its schema version is not 2: push it with a client of this decade"));
        }
        let media_type = match (said, self.media_type) {
            (Some(said), Some(named)) if said != named => {
                return Err(invalid(format!("it says {named}, and its Content-Type says {said}")));
            }
            (Some(said), _) => said.to_owned(),
            (None, Some(named)) => named,
            (None, None) => return Err(invalid("neither it nor a Content-Type says what it is")),
        };
        let (mut blobs, mut manifests) = (Vec::new(), Vec::new());
        let mut artifact_type = self.artifact_type;
        match (IMAGES.contains(&&*media_type), INDEXES.contains(&&*media_type)) {
            // what could be read as either would be one thing to this client and another to that (CVE-2021-41190)
            (true, _) if self.manifests.is_some() => return Err(invalid("an image lists no manifests")),
            (_, true) if self.layers.is_some() || self.config.is_some() => {
                return Err(invalid("a list of manifests has no layers"));
            }
            (true, _) => {
                let config = self.config.ok_or_else(|| invalid("it has no config"))?;
                artifact_type = artifact_type.or_else(|| Some(config.media_type.clone()));
                let layers = self.layers.ok_or_else(|| invalid("it has no layers"))?;
                // what is to be had elsewhere is not pushed
                for blob in std::iter::once(config).chain(layers).filter(|blob| blob.urls.is_empty()) {
                    blobs.push((digest(&blob)?, blob.size));
                }
            }
            (_, true) => {
                for listed in self.manifests.ok_or_else(|| invalid("it has no manifests"))? {
                    manifests.push(digest(&listed)?);
                }
            }
            (false, false) => return Err(invalid(format!("manifests of type {media_type} are not taken"))),
        }
        let subject = self.subject.as_ref().map(digest).transpose()?;
        Ok(Contents { media_type, artifact_type, subject, blobs, manifests })
    }
}

fn digest(descriptor: &Descriptor) -> Result<Digest, Refusal> {
    descriptor.digest.parse().map_err(|error| invalid(format!("{}: {error}", descriptor.digest)))
}

fn invalid(message: impl Into<String>) -> Refusal {
    Refusal::invalid(Code::ManifestInvalid, message)
}
