//! Images that are built for a snapshot or a sandbox: what is asked for, and what the build says.

mod logs;

use harbor_model::images::Dockerfile;
use serde::Deserialize;
use utoipa::ToSchema;

pub(super) use logs::*;

/// How to build an image.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct CreateBuildInfo {
    dockerfile_content: String,
    /// What was uploaded to the object storage as `<organization>/<hash>/context.tar`.
    context_hashes: Option<Vec<String>>,
}

impl CreateBuildInfo {
    /// The Dockerfile, and what it may copy from.
    pub(super) fn dockerfile(self) -> Dockerfile {
        Dockerfile { text: self.dockerfile_content, contexts: self.context_hashes.unwrap_or_default() }
    }
}
