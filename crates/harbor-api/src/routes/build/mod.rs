//! Images that are built for a snapshot or a sandbox: what is asked for, and what the build says.

mod logs;

use serde::Deserialize;
use utoipa::ToSchema;

use crate::error::ApiError;

pub(super) use logs::*;

/// How to build an image.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct CreateBuildInfo {
    dockerfile_content: String,
    /// Not built when not empty.
    context_hashes: Option<Vec<String>>,
}

impl CreateBuildInfo {
    /// The Dockerfile; 501 with files beside it.
    pub(super) fn dockerfile(self) -> Result<String, ApiError> {
        if self.context_hashes.is_some_and(|hashes| !hashes.is_empty()) {
            let message = "contextHashes are not built yet: a Dockerfile cannot COPY local files; write them with RUN, or \
                           upload them to the sandbox";
            return Err(ApiError::not_built(message));
        }
        Ok(self.dockerfile_content)
    }
}
