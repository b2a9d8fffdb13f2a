//! Makes a sandbox's containers anew when its infra container is gone, and keeps its files.
//!
//! A sandbox container is bound to one infra container by id, so without it it can never start. The successor is made
//! under a name of its own and takes the sandbox's name only when it is complete; until then the old container keeps
//! it. Whatever moment harbor dies at, one of the two has the files and is found again.

use std::io;

use harbor_model::ids::{ContainerId, SandboxId};

use crate::docker::copies::{LONGEST_COPY, failed};
use crate::docker::handle::DockerEngine;
use crate::docker::layer::{self, Place};
use crate::docker::naming::{self, Role};
use crate::docker::objects::containers::Container;
use crate::error::{EngineError, EngineSaid};
use crate::sandbox::SandboxSpec;

impl DockerEngine {
    /// Makes the sandbox's containers anew with the files of `container`, which is then removed. Idempotent: after a
    /// crash the same call goes on, or `find` shows the new container.
    pub async fn remake(&self, spec: &SandboxSpec, container: &ContainerId) -> Result<ContainerId, EngineError> {
        let id = &spec.id;
        let name = naming::sandbox(id);
        let old = self.inspect_own(container.as_str(), id, Role::Sandbox).await?;
        refuse_running(&name, &old)?;
        self.discard_successor(id).await?;
        // one that did, but for removing its predecessor: whoever has the sandbox's name is complete
        let complete = old.name.as_deref().is_some_and(|found| found.trim_start_matches('/') == name);
        if complete && self.find_own(&naming::predecessor(id), id, Role::Sandbox).await?.is_some() {
            self.remove_container(&naming::predecessor(id)).await?;
        }
        self.doubt_infra(id);
        let infra = self.infra_made(id).await?;
        let facts = self.facts(id, container).await?;
        let same_image = SandboxSpec { image: old.image.clone().unwrap_or_default(), ..spec.clone() };
        let made = async || self.sandbox_made(&same_image, &facts, &infra, &naming::successor(id), true).await;
        let (successor, started) = tokio::join!(made(), self.infra_started(id, &infra));
        let successor = started.and(successor)?;
        self.link_again(id).await?;
        let successor = if self.copy_layer(container, &successor).await? {
            successor
        } else {
            self.remove_container(successor.as_str()).await?;
            let kept = SandboxSpec { image: self.keep(id, container).await?, ..spec.clone() };
            self.sandbox_made(&kept, &facts, &infra, &naming::successor(id), true).await?
        };
        self.rename(&name, &naming::predecessor(id)).await?;
        self.finish_exchange(id).await?;
        self.known().note(id, |entry| entry.facts = Some((successor.clone(), facts)));
        Ok(successor)
    }

    /// Removes what an attempt left that did not come to its end.
    pub(crate) async fn discard_successor(&self, id: &SandboxId) -> Result<(), EngineError> {
        let successor = naming::successor(id);
        match self.find_own(&successor, id, Role::Sandbox).await? {
            Some(_) => self.remove_container(&successor).await,
            None => Ok(()),
        }
    }

    /// Copies the files of one container to another, neither running, if their layers can be reached.
    async fn copy_layer(&self, from: &ContainerId, to: &ContainerId) -> Result<bool, EngineError> {
        let Some(Place::Ours(source)) = self.layer_place(from.as_str(), false).await? else { return Ok(false) };
        let Some(Place::Ours(target)) = self.layer_place(to.as_str(), false).await? else { return Ok(false) };
        match layer::copy(&source, &target, LONGEST_COPY).await {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::TimedOut => {
                Err(EngineError::TooSlow { doing: format!("copy the files of container {from}"), limit: LONGEST_COPY })
            }
            // not ours to write after all
            Err(error) if matches!(error.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::Unsupported) => {
                tracing::info!(%error, container = %from, "layer not copied directly; the engine commits it instead");
                Ok(false)
            }
            // the engine would leave out what cannot be read, and the original is removed afterwards
            Err(error) => Err(failed(format!("copy the files of container {from}"), error)),
        }
    }

    /// Keeps a container's files as an image, which lives as long as the sandbox.
    async fn keep(&self, id: &SandboxId, container: &ContainerId) -> Result<String, EngineError> {
        let image = naming::kept_image(id);
        let (repository, tag) = image.split_once(':').unwrap_or((&image, "latest"));
        let doing = format!("keep the files of sandbox {id}");
        self.client().commit_container(container.as_str(), (repository, tag), &doing, LONGEST_COPY).await?;
        Ok(image)
    }

    /// Gives the sandbox's name to the complete successor and removes the predecessor, or gives it its name back.
    pub(crate) async fn finish_exchange(&self, id: &SandboxId) -> Result<(), EngineError> {
        let (name, predecessor) = (naming::sandbox(id), naming::predecessor(id));
        if self.find_own(&naming::successor(id), id, Role::Sandbox).await?.is_none() {
            return self.rename(&predecessor, &name).await;
        }
        self.rename(&naming::successor(id), &name).await?;
        self.remove_container(&predecessor).await
    }
}

fn refuse_running(name: &str, old: &Container) -> Result<(), EngineError> {
    if !old.state.as_ref().is_some_and(|state| state.running) {
        return Ok(());
    }
    let source = EngineSaid::new("it runs; stop it first");
    Err(EngineError::Conflict { doing: format!("make container {name} anew"), source })
}
