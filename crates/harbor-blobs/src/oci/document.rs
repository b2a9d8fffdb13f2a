//! What a manifest says: what it names, lists and is about.

use std::collections::BTreeMap;

use harbor_model::repositories::{Digest, Named};
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::errors::{Code, Refusal};

/// The media type of a list of manifests that is computed.
pub(super) const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// Media types of manifests that name blobs.
const IMAGES: [&str; 2] =
    ["application/vnd.oci.image.manifest.v1+json", "application/vnd.docker.distribution.manifest.v2+json"];

/// Media types of manifests that list others.
const INDEXES: [&str; 2] = [INDEX, "application/vnd.docker.distribution.manifest.list.v2+json"];

/// What is read of the document of a manifest.
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
    #[serde(flatten)]
    #[expect(clippy::zero_sized_map_values, reason = "their names are looked at, and a set cannot be read so")]
    others: BTreeMap<String, IgnoredAny>,
}

/// Its members that are read.
const READ: [&str; 8] =
    ["schemaversion", "mediatype", "artifacttype", "config", "layers", "manifests", "subject", "annotations"];

/// The most that a manifest names.
const MOST_NAMED: usize = 2000;

/// The largest annotations that are told in a list, in bytes of JSON.
const LARGEST_ANNOTATIONS: usize = 64 << 10;

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

/// What a manifest needs, and what it is.
pub(super) struct Contents {
    pub(super) media_type: String,
    pub(super) artifact_type: Option<String>,
    pub(super) subject: Option<Digest>,
    /// As JSON, unless they are too large to be told in lists.
    pub(super) annotations: Option<String>,
    pub(super) named: Vec<Named>,
}

impl Document {
    pub(super) fn read(content: &[u8]) -> Result<Self, Refusal> {
        serde_json::from_slice(content)
            .map_err(|error| invalid(format!("the manifest is no JSON that can be read as one: {error}")))
    }

    /// What it needs, if it is what the client says that it is.
    pub(super) fn contents(self, said: Option<&str>) -> Result<Contents, Refusal> {
        if self.schema_version != 2 {
            return Err(invalid("the manifest's schemaVersion is not 2: push it with a client of this decade"));
        }
        // some clients read members whatever their case, and would read another image than this
        let ambiguous = self.others.keys().find(|key| READ.contains(&&*key.to_ascii_lowercase()));
        if let Some(key) = ambiguous {
            return Err(invalid(format!(
                "the manifest has a member {key}, which is read only in its usual spelling, such as mediaType: rename or \
                 remove it"
            )));
        }
        let media_type = match (said, self.media_type) {
            (Some(said), Some(named)) if said != named => {
                return Err(invalid(format!("the manifest says {named}, and its Content-Type says {said}")));
            }
            (Some(said), _) => said.to_owned(),
            (None, Some(named)) => named,
            (None, None) => return Err(invalid("neither the manifest nor a Content-Type says what it is")),
        };
        let mut artifact_type = self.artifact_type.filter(|kind| !kind.is_empty());
        let descriptors = match (IMAGES.contains(&&*media_type), INDEXES.contains(&&*media_type)) {
            // what could be read as either would be one thing to this client and another to that (CVE-2021-41190)
            (true, _) if self.manifests.is_some() => return Err(invalid("an image lists no manifests")),
            (_, true) if self.layers.is_some() || self.config.is_some() => {
                return Err(invalid("a list of manifests has no layers"));
            }
            (true, _) => {
                let config = self.config.ok_or_else(|| invalid("the manifest has no config"))?;
                artifact_type = artifact_type.or_else(|| Some(config.media_type.clone()));
                let mut layers = self.layers.ok_or_else(|| invalid("the manifest has no layers"))?;
                layers.push(config);
                layers
            }
            (_, true) => self.manifests.ok_or_else(|| invalid("the manifest has no manifests"))?,
            (false, false) => {
                return Err(invalid(format!(
                    "manifests of type {media_type} are not taken: push an image or a list of OCI, or of Docker's second schema"
                )));
            }
        };
        let mut named: BTreeMap<Digest, Named> = BTreeMap::new();
        for descriptor in descriptors {
            let (size, elsewhere) = (descriptor.size, !descriptor.urls.is_empty());
            let part = Named { digest: digest(&descriptor)?, size, elsewhere };
            let before = named.insert(part.digest.clone(), part);
            if let Some(before) = before.filter(|before| before.size != size) {
                return Err(invalid(format!("the manifest says two sizes of {}", before.digest)));
            }
        }
        if named.len() > MOST_NAMED {
            return Err(invalid(format!(
                "the manifest names {} others, and at most {MOST_NAMED} are taken",
                named.len()
            )));
        }
        let subject = self.subject.as_ref().map(digest).transpose()?;
        let annotations = self.annotations.map(|all| serde_json::json!(all).to_string());
        let annotations = annotations.filter(|all| all.len() <= LARGEST_ANNOTATIONS);
        Ok(Contents { media_type, artifact_type, subject, annotations, named: named.into_values().collect() })
    }
}

fn digest(descriptor: &Descriptor) -> Result<Digest, Refusal> {
    descriptor.digest.parse().map_err(|error| invalid(format!("{}: {error}", descriptor.digest)))
}

fn invalid(message: impl Into<String>) -> Refusal {
    Refusal::invalid(Code::ManifestInvalid, message)
}
