//! Stores the files of a sandbox, and makes sandboxes of stored files (design D7).
//!
//! A stored layer is one compressed file named by its id, or, if it is read once and soon, a directory, below a directory
//! of harbor's own. It appears whole or not at all. A container is filled with one under a name of its own, and takes the
//! sandbox's name only when it is complete: whatever moment harbor dies at, a container of the sandbox's name has all of
//! its files.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use harbor_model::ids::{ContainerId, LayerId, SandboxId};
use harbor_model::layers::Layer;

use crate::docker::create::bound_infra;
use crate::docker::handle::DockerEngine;
use crate::docker::layer::{self, Place};
use crate::docker::naming::{self, Role};
use crate::docker::objects::containers::State;
use crate::docker::spec;
use crate::error::{EngineError, EngineSaid};
use crate::sandbox::{SandboxSpec, Storing};

/// How long the files of one sandbox may take to copy: a hundred gigabytes on a slow disk.
pub(crate) const LONGEST_COPY: Duration = Duration::from_mins(15);

/// What a layer's file is called after its id.
const FILE_SUFFIX: &str = "tar.zst";

/// What a layer's directory is called after its id.
const DIRECTORY_SUFFIX: &str = "tree";

impl DockerEngine {
    /// Stores what the container's files differ in from its image, as `to`. Idempotent.
    ///
    /// What runs is frozen meanwhile; with `go_on` it goes on afterwards, also if an attempt before this one left it
    /// frozen.
    pub async fn save(
        &self,
        id: &SandboxId,
        container: &ContainerId,
        to: &LayerId,
        storing: Storing,
        go_on: bool,
    ) -> Result<Layer, EngineError> {
        self.known().outdate(id);
        let found = self.inspect_own(container.as_str(), id, Role::Sandbox).await?;
        let running = found.state.as_ref().is_some_and(|state| state.running);
        let image = found.image.unwrap_or_default();
        if storing == Storing::Kept {
            self.keep_base_image(&image).await?;
        }
        if running {
            self.pause(id, container).await?;
        }
        let saved = match self.save_still(container, image, to, storing, running).await {
            Ok(layer) => self.stood_still(container, running, found.state.as_ref()).await.map(|()| layer),
            failed => failed,
        };
        if running && go_on {
            self.thaw(container.as_str()).await?;
            self.known().note(id, |entry| entry.frozen = false);
        }
        saved
    }

    /// Stores the files of a container in which nothing moves.
    async fn save_still(
        &self,
        container: &ContainerId,
        image: String,
        to: &LayerId,
        storing: Storing,
        running: bool,
    ) -> Result<Layer, EngineError> {
        let doing = format!("copy the files of container {container}");
        let layer::Written { digest, bytes } = match self.layer_place(container.as_str(), running).await? {
            Some(Place::Ours(source)) => {
                // a full disk is harbor's own, and trying again would freeze what runs again and again
                self.store(&source, to, storing).await.map_err(|error| failed_here(doing, error))?
            }
            Some(Place::Engine(source)) => self.carry_out(&source, &self.layer_file(to)).await?,
            None => return Err(EngineError::OutOfReach { doing }),
        };
        Ok(Layer { id: *to, image, digest, bytes })
    }

    async fn store(&self, source: &Path, to: &LayerId, storing: Storing) -> io::Result<layer::Written> {
        if storing == Storing::ReadOnce {
            match layer::keep(source, &self.layer_directory(to), LONGEST_COPY).await {
                Err(error) if cannot_hold(error.kind()) => {
                    tracing::info!(%error, layer = %to, "the data directory cannot hold a layer as it is: stored compressed");
                }
                outcome => return outcome,
            }
        }
        layer::save(source, &self.layer_file(to), LONGEST_COPY).await
    }

    /// Whether nobody let the container go on, or started it, while it was copied: the copy would be of no moment at all.
    async fn stood_still(
        &self,
        container: &ContainerId,
        running: bool,
        before: Option<&State>,
    ) -> Result<(), EngineError> {
        let doing = format!("copy the files of container {container}");
        let after = self.client().inspect_container(container.as_str(), &doing).await?.state.unwrap_or_default();
        let same_run = before.is_some_and(|before| before.started_at == after.started_at);
        if same_run && after.running == running && after.paused == running {
            return Ok(());
        }
        let source = EngineSaid::new("somebody started it, or let it go on, meanwhile");
        Err(EngineError::Conflict { doing, source })
    }

    /// Makes the sandbox's container with the files of `layer`. Idempotent.
    pub(crate) async fn create_filled(&self, spec: &SandboxSpec, layer: &Layer) -> Result<ContainerId, EngineError> {
        let id = &spec.id;
        let (name, successor) = (naming::sandbox(id), naming::successor(id));
        let infra = self.infra_made(id).await?;
        let found = self.find_own(&name, id, Role::Sandbox).await?;
        // unless it goes: an archive before harbor died
        if let Some(found) = found
            && !self.seen_out(&found, &name).await?
        {
            // an attempt that came to its end
            if bound_infra(&found) == Some(&infra) {
                return Ok(ContainerId::new(found.id.unwrap_or_default()));
            }
            let source = EngineSaid::new("its infra container was replaced");
            return Err(EngineError::InfraGone { sandbox: *id, source });
        }
        self.discard_successor(id).await?;
        let missing = || EngineError::ImageMissing { image: format!("{} ({})", spec.image, layer.image) };
        let image = self.image(&layer.image).await?.ok_or_else(missing)?;
        let spec = SandboxSpec { image: layer.image.clone(), ..spec.clone() };
        let facts = spec::facts(&spec, &image);
        let (container, started) =
            tokio::join!(self.sandbox_made(&spec, &facts, &infra, &successor, true), self.infra_started(id, &infra));
        let container = started.and(container)?;
        self.fill(&container, layer).await?;
        self.rename(&successor, &name).await?;
        self.known().note(id, |entry| entry.facts = Some((container.clone(), facts)));
        Ok(container)
    }

    async fn fill(&self, container: &ContainerId, layer: &Layer) -> Result<(), EngineError> {
        let doing = format!("write the stored files of layer {} to container {container}", layer.id);
        let (file, directory) = (self.layer_file(&layer.id), self.layer_directory(&layer.id));
        match self.layer_place(container.as_str(), false).await? {
            Some(Place::Ours(target)) => {
                let filled = if directory.is_dir() {
                    layer::give(&directory, &layer.digest, &target, LONGEST_COPY).await
                } else {
                    layer::restore(&file, &layer.digest, &target, LONGEST_COPY).await
                };
                filled.map_err(|error| failed(doing, error))
            }
            Some(Place::Engine(_)) if directory.is_dir() => Err(EngineError::OutOfReach { doing }),
            Some(Place::Engine(target)) => self.carry_in(layer, &file, &target).await,
            None => Err(EngineError::OutOfReach { doing }),
        }
    }

    /// The layers that are stored, or were begun to be.
    pub(crate) fn stored_layers(&self) -> Result<Vec<LayerId>, EngineError> {
        let directory = &self.config().layer_directory;
        let read = || -> io::Result<Vec<LayerId>> {
            let files = fs::read_dir(directory)?.map(|file| Ok(file?.file_name()));
            let names = files.collect::<io::Result<Vec<_>>>()?;
            Ok(names.iter().filter_map(|name| name.to_str()?.split('.').next()?.parse().ok()).collect())
        };
        match read() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            outcome => outcome.map_err(|source| EngineError::Files {
                doing: format!("read the directory {}", directory.display()),
                source,
            }),
        }
    }

    /// Removes a stored layer, or what an attempt at one left. One that is gone is fine.
    pub(crate) async fn discard_layer(&self, layer: &LayerId) -> Result<(), EngineError> {
        let (file, directory) = (self.layer_file(layer), self.layer_directory(layer));
        let failed = |path: &Path, source| EngineError::Files { doing: format!("remove {}", path.display()), source };
        for file in [file.with_extension("partial"), file] {
            match fs::remove_file(&file) {
                Err(source) if source.kind() != io::ErrorKind::NotFound => return Err(failed(&file, source)),
                _ => {}
            }
        }
        for directory in [directory.with_extension("partial"), directory] {
            layer::remove(&directory, LONGEST_COPY).await.map_err(|source| failed(&directory, source))?;
        }
        Ok(())
    }

    fn layer_file(&self, layer: &LayerId) -> PathBuf {
        self.config().layer_directory.join(format!("{layer}.{FILE_SUFFIX}"))
    }

    fn layer_directory(&self, layer: &LayerId) -> PathBuf {
        self.config().layer_directory.join(format!("{layer}.{DIRECTORY_SUFFIX}"))
    }
}

/// Whether the data directory may hold a layer compressed that it cannot hold as it is.
const fn cannot_hold(kind: io::ErrorKind) -> bool {
    use io::ErrorKind as Kind;
    matches!(kind, Kind::Unsupported | Kind::PermissionDenied | Kind::StorageFull | Kind::QuotaExceeded)
}

/// What became of a copy to a file of harbor's own, for people.
pub(crate) fn failed_here(doing: String, error: io::Error) -> EngineError {
    match failed(doing, error) {
        EngineError::NoSpace { doing, source } => EngineError::Files {
            doing,
            source: io::Error::new(
                io::ErrorKind::StorageFull,
                format!("the disk of harbor's data directory: {source}"),
            ),
        },
        other => other,
    }
}

/// What became of a copy, for people.
pub(crate) fn failed(doing: String, error: io::Error) -> EngineError {
    match error.kind() {
        io::ErrorKind::TimedOut => EngineError::TooSlow { doing, limit: LONGEST_COPY },
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            EngineError::NoSpace { doing, source: EngineSaid::new(error.to_string()) }
        }
        _ => EngineError::Files { doing, source: error },
    }
}
