//! Archives: files copied into containers and out of them.

use std::path::Path;
use std::time::Duration;

use bollard::body_full;
use bollard::errors::Error as ClientError;
use bollard::query_parameters::{
    ContainerArchiveInfoOptionsBuilder, DownloadFromContainerOptionsBuilder, UploadToContainerOptionsBuilder,
};
use bytes::Bytes;
use futures_util::stream::BoxStream;
use futures_util::{StreamExt, TryStreamExt};

use crate::docker::objects::client::{Client, SLOW};
use crate::error::EngineError;

/// What the engine's words for a mode have for a link.
const LINK: u32 = 1 << 27;

/// A read from a container that is not read to its end. The engine keeps the container mounted while it lives.
pub(crate) struct OpenRead {
    _rest: BoxStream<'static, Result<Bytes, ClientError>>,
}

impl Client {
    /// Unpacks a tar archive at `path` of a container.
    pub(crate) async fn upload(
        &self,
        container: &str,
        path: &str,
        archive: Vec<u8>,
        doing: &str,
    ) -> Result<(), EngineError> {
        let options = UploadToContainerOptionsBuilder::new().path(path).build();
        let call = self.docker().upload_to_container(container, Some(options), body_full(archive.into()));
        self.call(doing, SLOW, call).await
    }

    /// Reads what lies at `path` of a container, as a tar archive. Of more than `most` bytes some parts are left out.
    pub(crate) async fn download(
        &self,
        container: &str,
        path: &str,
        most: usize,
        doing: &str,
        limit: Duration,
    ) -> Result<Vec<u8>, EngineError> {
        let whole = self.parts(container, path).try_fold(Vec::new(), |mut whole, part| async move {
            if whole.len() + part.len() <= most {
                whole.extend_from_slice(&part);
            }
            Ok(whole)
        });
        self.call(doing, limit, whole).await
    }

    /// Whether a path of a container is a link; what is not there is none.
    pub(crate) async fn is_link(&self, container: &str, path: &Path, doing: &str) -> Result<bool, EngineError> {
        let options = ContainerArchiveInfoOptionsBuilder::new().path(&path.to_string_lossy()).build();
        let call = self.docker().get_container_archive_info(container, Some(options));
        Ok(self.look(doing, call).await?.is_some_and(|found| found.file_mode & LINK != 0))
    }

    /// Begins to read a whole container and waits for the first part.
    pub(crate) async fn open_read(&self, container: &str) -> Result<OpenRead, EngineError> {
        let mut parts = self.parts(container, "/");
        let first = async { parts.next().await.transpose() };
        self.call(&format!("read from container {container}"), SLOW, first).await?;
        Ok(OpenRead { _rest: parts })
    }

    fn parts(&self, container: &str, path: &str) -> BoxStream<'static, Result<Bytes, ClientError>> {
        let options = DownloadFromContainerOptionsBuilder::new().path(path).build();
        self.docker().download_from_container(container, Some(options)).boxed()
    }
}
