//! Images: looked at, listed, pulled, built, imported, kept, removed.

use std::collections::HashMap;
use std::time::Duration;

use bollard::auth::DockerCredentials;
use bollard::errors::Error as ClientError;
use bollard::models::{BuildInfo, ContainerConfig, CreateImageInfo};
use bollard::query_parameters::{
    BuildImageOptionsBuilder, CommitContainerOptionsBuilder, CreateImageOptionsBuilder, ImportImageOptionsBuilder,
    ListImagesOptionsBuilder, RemoveImageOptionsBuilder, TagImageOptionsBuilder,
};
use bollard::{body_full, body_try_stream};
use futures_util::{Stream, StreamExt};
use tokio::fs::File;
use tokio::io::AsyncWriteExt as _;

use crate::docker::objects::client::{BULK, Client, QUICK, SLOW, error_of};
use crate::error::EngineError;
use crate::image::{Build, Context, Image, Login, Progress};

/// How long a pull or build may go without a word. A build step may be silent for long.
const SILENCE: Duration = Duration::from_mins(20);

/// What a listing tells of an image.
#[derive(Clone, Debug)]
pub(crate) struct ListedImage {
    /// Its id.
    pub(crate) id: String,
    /// Its names.
    pub(crate) names: Vec<String>,
    /// Its labels.
    pub(crate) labels: HashMap<String, String>,
}

/// A step that made an image.
#[derive(Clone, Debug, Hash)]
pub(crate) struct ImageStep {
    /// When, in seconds since 1970.
    pub(crate) made: i64,
    /// By what.
    pub(crate) by: String,
    /// How many bytes its layer has; 0 where it made none.
    pub(crate) size: u64,
}

impl Client {
    /// Looks at the image of this reference or id; `None` when it is not on the engine.
    pub(crate) async fn inspect_image(&self, reference: &str) -> Result<Option<Image>, EngineError> {
        let call = self.docker().inspect_image(reference);
        let Some(found) = self.look(&format!("inspect image {reference}"), call).await? else { return Ok(None) };
        let config = found.config.unwrap_or_default();
        Ok(Some(Image {
            id: found.id.unwrap_or_default(),
            size: found.size.and_then(|bytes| u64::try_from(bytes).ok()).unwrap_or(0),
            entrypoint: config.entrypoint.unwrap_or_default(),
            working_dir: config.working_dir.unwrap_or_default(),
            user: config.user.unwrap_or_default(),
            volumes: config.volumes.unwrap_or_default(),
            architecture: found.architecture.unwrap_or_default(),
        }))
    }

    /// Lists the images that have a name or are in use.
    pub(crate) async fn list_images(&self) -> Result<Vec<ListedImage>, EngineError> {
        let options = ListImagesOptionsBuilder::new().build();
        let listed = self.call("list images", QUICK, self.docker().list_images(Some(options))).await?;
        let told = listed.into_iter();
        Ok(told.map(|image| ListedImage { id: image.id, names: image.repo_tags, labels: image.labels }).collect())
    }

    /// The steps that made an image, oldest first.
    pub(crate) async fn image_history(&self, id: &str) -> Result<Vec<ImageStep>, EngineError> {
        let call = self.docker().image_history(id);
        let steps = self.call(&format!("read the history of image {id}"), QUICK, call).await?.into_iter();
        let told = steps.map(|step| ImageStep {
            made: step.created,
            by: step.created_by,
            size: u64::try_from(step.size).unwrap_or(0),
        });
        Ok(told.rev().collect())
    }

    /// Calls the image of this id by this reference, which has a tag, from now on.
    pub(crate) async fn name_image(&self, id: &str, reference: &str) -> Result<(), EngineError> {
        // a colon before the last slash belongs to a registry's port
        let at = reference.rfind('/').map_or(0, |slash| slash + 1);
        let (name, tag) = match reference[at..].rfind(':') {
            Some(colon) => (&reference[..at + colon], &reference[at + colon + 1..]),
            None => (reference, "latest"),
        };
        let options = TagImageOptionsBuilder::new().repo(name).tag(tag).build();
        self.call(&format!("name image {id} {reference}"), QUICK, self.docker().tag_image(id, Some(options))).await
    }

    /// Removes an image by name; with `force` also from containers that do not run.
    pub(crate) async fn remove_image(&self, name: &str, force: bool) -> Result<(), EngineError> {
        let options = RemoveImageOptionsBuilder::new().force(force).build();
        let call = self.docker().remove_image(name, Some(options), None);
        self.call(&format!("remove image {name}"), SLOW, call).await.map(drop)
    }

    /// Writes an image with all its layers to a file, as a tar archive.
    pub(crate) async fn export_image(&self, image: &str, file: &mut File) -> Result<(), EngineError> {
        let doing = format!("write image {image} to a file");
        let too_slow = |limit| EngineError::TooSlow { doing: doing.clone(), limit };
        let failed = |source| EngineError::Files { doing: doing.clone(), source };
        let mut pieces = self.docker().export_image(image).boxed();
        let copy = async {
            loop {
                match tokio::time::timeout(SILENCE, pieces.next()).await {
                    Err(_) => return Err(too_slow(SILENCE)),
                    Ok(None) => return file.flush().await.map_err(failed),
                    Ok(Some(Ok(piece))) => file.write_all(&piece).await.map_err(failed)?,
                    Ok(Some(Err(error))) => return Err(error_of(doing.clone(), self.address(), &error)),
                }
            }
        };
        tokio::time::timeout(BULK, copy).await.unwrap_or_else(|_| Err(too_slow(BULK)))
    }

    /// Reads an image in from a tar archive, which says what it is called.
    pub(crate) async fn load_image(&self, name: &str, archive: Context) -> Result<(), EngineError> {
        let options = ImportImageOptionsBuilder::new().quiet(true).build();
        let mut steps = self.docker().import_image(options, body_try_stream(archive), None).boxed();
        self.follow(&format!("read image {name} in"), &mut steps, |_: BuildInfo| {}).await
    }

    /// The ids of the images without a name that carry `label`, as `name=value`, and when each was made, in seconds since
    /// 1970 UTC.
    pub(crate) async fn nameless_images(&self, label: &str) -> Result<Vec<(String, i64)>, EngineError> {
        let filters = HashMap::from([("dangling", vec!["true"]), ("label", vec![label])]);
        let options = ListImagesOptionsBuilder::new().filters(&filters).build();
        let listed = self.call("list images", QUICK, self.docker().list_images(Some(options))).await?;
        Ok(listed.into_iter().map(|image| (image.id, image.created)).collect())
    }

    /// Pulls the image of this reference and reports each step.
    pub(crate) async fn pull_image(
        &self,
        reference: &str,
        login: Option<&Login>,
        mut progress: impl FnMut(Progress) + Send,
    ) -> Result<(), EngineError> {
        let options = CreateImageOptionsBuilder::new().from_image(reference).build();
        let mut steps = self.docker().create_image(Some(options), None, login.map(credentials)).boxed();
        self.follow(&format!("pull image {reference}"), &mut steps, |step| progress(step.into())).await
    }

    /// Builds an image with the engine's classic builder. `log` gets the build's output as it comes.
    pub(crate) async fn build_image(
        &self,
        build: &Build,
        labels: HashMap<String, String>,
        context: Context,
        mut log: impl FnMut(&str) + Send,
    ) -> Result<(), EngineError> {
        let options = BuildImageOptionsBuilder::new()
            .dockerfile(build.dockerfile.as_deref().unwrap_or("Dockerfile"))
            .target(build.target.as_deref().unwrap_or_default())
            .t(&build.tag)
            .buildargs(&build.arguments)
            .labels(&labels)
            .rm(true)
            .forcerm(true)
            .build();
        let logins = build.logins.iter().map(|login| (login.registry.clone(), credentials(login))).collect();
        let mut steps = self.docker().build_image(options, Some(logins), Some(body_try_stream(context)));
        let each = |step: BuildInfo| {
            match step {
                BuildInfo { stream: Some(text), .. } => log(&text),
                // of a base image that is pulled: not how far each layer is
                BuildInfo { status: Some(status), id, progress_detail, .. } => {
                    let counted = progress_detail.is_some_and(|detail| detail.current.is_some());
                    match id {
                        _ if counted => {}
                        Some(id) => log(&format!("{id}: {status}\n")),
                        None => log(&format!("{status}\n")),
                    }
                }
                _ => {}
            }
        };
        self.follow(&format!("build image {}", build.tag), &mut steps, each).await
    }

    /// Imports a tar archive as the only layer of an image.
    pub(crate) async fn import_image(&self, archive: Vec<u8>, repository: &str, tag: &str) -> Result<(), EngineError> {
        let options = CreateImageOptionsBuilder::new().from_src("-").repo(repository).tag(tag).build();
        let body = Some(body_full(archive.into()));
        let mut steps = self.docker().create_image(Some(options), body, None).boxed();
        self.follow(&format!("import image {repository}:{tag}"), &mut steps, |_: CreateImageInfo| {}).await
    }

    /// Keeps the files of a container as an image, without pausing the container.
    pub(crate) async fn commit_container(
        &self,
        container: &str,
        (repository, tag): (&str, &str),
        doing: &str,
        limit: Duration,
    ) -> Result<(), EngineError> {
        let options =
            CommitContainerOptionsBuilder::new().container(container).repo(repository).tag(tag).pause(false).build();
        let call = self.docker().commit_container(options, ContainerConfig::default());
        self.call(doing, limit, call).await.map(drop)
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
                    Ok(Some(Err(error))) => return Err(error_of(doing.to_owned(), self.address(), &error)),
                }
            }
        };
        tokio::time::timeout(BULK, read).await.unwrap_or_else(|_| Err(too_slow(BULK)))
    }
}

fn credentials(login: &Login) -> DockerCredentials {
    DockerCredentials {
        username: Some(login.username.clone()),
        password: Some(login.password.reveal().to_owned()),
        serveraddress: Some(login.registry.clone()),
        ..DockerCredentials::default()
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
