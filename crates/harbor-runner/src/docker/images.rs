//! Images on the engine: looked at, pulled, built.

use std::time::Duration;

use bollard::errors::Error as ClientError;
use bollard::models::{BuildInfo, CreateImageInfo};
use bollard::query_parameters::{BuildImageOptionsBuilder, CreateImageOptionsBuilder};
use bollard::{body_full, body_try_stream};
use futures_util::{Stream, StreamExt};

use crate::docker::handle::DockerEngine;
use crate::docker::objects::client::{BULK, error_of};
use crate::error::EngineError;
use crate::image::{Build, Context, Image, Progress};

/// How long a pull or build may go without a word. A build step may be silent for long.
const SILENCE: Duration = Duration::from_mins(20);

impl DockerEngine {
    /// The image of this reference or id; `None` when it is not on the engine.
    pub async fn image(&self, reference: &str) -> Result<Option<Image>, EngineError> {
        let call = self.client().docker().inspect_image(reference);
        let Some(found) = self.client().look(&format!("inspect image {reference}"), call).await? else {
            self.images().forget(reference);
            return Ok(None);
        };
        let config = found.config.unwrap_or_default();
        let image = Image {
            id: found.id.unwrap_or_default(),
            size: found.size.and_then(|bytes| u64::try_from(bytes).ok()).unwrap_or(0),
            entrypoint: config.entrypoint.unwrap_or_default(),
            working_dir: config.working_dir.unwrap_or_default(),
            user: config.user.unwrap_or_default(),
            architecture: found.architecture.unwrap_or_default(),
        };
        self.images().note(reference, &image);
        Ok(Some(image))
    }

    /// Pulls an image by reference; without tag or digest it is `latest`.
    pub async fn pull(&self, reference: &str, mut progress: impl FnMut(Progress) + Send) -> Result<Image, EngineError> {
        // without a tag the engine pulls every tag there is
        let reference = if names_version(reference) { reference.to_owned() } else { format!("{reference}:latest") };
        let options = CreateImageOptionsBuilder::new().from_image(&reference).build();
        let mut steps = self.client().docker().create_image(Some(options), None, None).boxed();
        let pulled = self.follow(&format!("pull image {reference}"), &mut steps, |step| progress(step.into())).await;
        match pulled {
            Ok(()) => self.present_image(&reference).await,
            Err(
                EngineError::NotFound { source, .. }
                | EngineError::Refused { source, .. }
                | EngineError::Conflict { source, .. },
            ) => Err(EngineError::Pull { image: reference, source }),
            Err(error) => Err(error),
        }
    }

    /// Builds an image with the engine's classic builder, which every supported engine has. `log` gets the build's
    /// output as it comes.
    pub async fn build(
        &self,
        build: &Build,
        context: Context,
        mut log: impl FnMut(&str) + Send,
    ) -> Result<Image, EngineError> {
        let options = BuildImageOptionsBuilder::new()
            .dockerfile(build.dockerfile.as_deref().unwrap_or("Dockerfile"))
            .target(build.target.as_deref().unwrap_or_default())
            .t(&build.tag)
            .buildargs(&build.arguments)
            .labels(&build.labels)
            .rm(true)
            .forcerm(true)
            .build();
        let mut steps = self.client().docker().build_image(options, None, Some(body_try_stream(context)));
        let each = |step: BuildInfo| {
            if let Some(text) = step.stream.as_deref().or(step.status.as_deref()) {
                log(text);
            }
        };
        match self.follow(&format!("build image {}", build.tag), &mut steps, each).await {
            Ok(()) => self.present_image(&build.tag).await,
            Err(
                EngineError::NotFound { source, .. }
                | EngineError::Refused { source, .. }
                | EngineError::Conflict { source, .. },
            ) => Err(EngineError::Build { image: build.tag.clone(), source }),
            Err(error) => Err(error),
        }
    }

    /// Imports a tar archive as the only layer of an image.
    pub(crate) async fn import(&self, archive: Vec<u8>, repository: &str, tag: &str) -> Result<(), EngineError> {
        let options = CreateImageOptionsBuilder::new().from_src("-").repo(repository).tag(tag).build();
        let body = Some(body_full(archive.into()));
        let mut steps = self.client().docker().create_image(Some(options), body, None).boxed();
        self.follow(&format!("import image {repository}:{tag}"), &mut steps, |_: CreateImageInfo| {}).await
    }

    /// Reads a stream of steps to its end, within [`BULK`] and never silent for [`SILENCE`].
    async fn follow<T>(
        &self,
        doing: &str,
        steps: &mut (impl Stream<Item = Result<T, ClientError>> + Unpin + Send),
        mut each: impl FnMut(T) + Send,
    ) -> Result<(), EngineError> {
        let too_slow = |limit| EngineError::TooSlow { doing: doing.to_owned(), limit };
        let read = async {
            loop {
                match tokio::time::timeout(SILENCE, steps.next()).await {
                    Err(_) => return Err(too_slow(SILENCE)),
                    Ok(None) => return Ok(()),
                    Ok(Some(Ok(step))) => each(step),
                    Ok(Some(Err(error))) => {
                        return Err(error_of(doing.to_owned(), self.client().address(), &error));
                    }
                }
            }
        };
        tokio::time::timeout(BULK, read).await.unwrap_or_else(|_| Err(too_slow(BULK)))
    }
}

impl From<CreateImageInfo> for Progress {
    fn from(step: CreateImageInfo) -> Self {
        let bytes = step.progress_detail.and_then(|detail| {
            let of = |bytes: Option<i64>| bytes.and_then(|bytes| u64::try_from(bytes).ok());
            of(detail.current).zip(of(detail.total))
        });
        Self { layer: step.id, status: step.status.unwrap_or_default(), bytes }
    }
}

/// Whether a reference has a tag or digest. A colon before the last slash belongs to a registry's port.
fn names_version(reference: &str) -> bool {
    let name = reference.rsplit_once('/').map_or(reference, |(_, name)| name);
    name.contains(':') || name.contains('@')
}

#[cfg(test)]
mod tests {
    use super::names_version;

    #[test]
    fn a_registrys_port_is_no_tag() {
        for (reference, version) in [
            ("debian", false),
            ("debian:bookworm", true),
            ("localhost:35009/a/b", false),
            ("localhost:35009/a/b:1", true),
            ("a/b@sha256:00", true),
        ] {
            assert_eq!(names_version(reference), version, "{reference}");
        }
    }
}
