//! Makes a sandbox's containers.
//!
//! Engine calls one after another, with infra reserved: one, create; the image is looked at beside it. Without: infra's
//! create, then infra's start beside the sandbox's create. An image that this process has not seen takes one more.

use harbor_model::ids::{ContainerId, SandboxId};

use crate::docker::handle::DockerEngine;
use crate::docker::known::Facts;
use crate::docker::naming::{self, Role};
use crate::docker::objects::containers::{Container, Status};
use crate::docker::spec;
use crate::error::{EngineError, EngineSaid};
use crate::image::Image;
use crate::sandbox::SandboxSpec;

impl DockerEngine {
    /// Makes the sandbox container and, unless reserved, its infra container, which runs afterwards. Idempotent: one of
    /// ours under the same name is adopted, one of somebody else is an error.
    pub async fn create(&self, spec: &SandboxSpec) -> Result<ContainerId, EngineError> {
        let container = match &spec.filling {
            Some(layer) => self.create_filled(spec, layer).await?,
            None => self.create_empty(spec).await?,
        };
        if let Some(link) = &spec.link {
            self.link(&spec.id, link).await?;
        }
        Ok(container)
    }

    /// Makes one that begins with nothing but its image.
    async fn create_empty(&self, spec: &SandboxSpec) -> Result<ContainerId, EngineError> {
        // always both to their end: what is given up half way may still appear on the engine
        let (infra, image) = tokio::join!(self.infra_made(&spec.id), self.expected_image(&spec.image));
        let (infra, image) = (infra?, image?);
        let facts = spec::facts(spec, &image);
        let name = naming::sandbox(&spec.id);
        let (container, started, same) = tokio::join!(
            self.sandbox_made(spec, &facts, &infra, &name, false),
            self.infra_started(&spec.id, &infra),
            self.is_still(&spec.image, &image),
        );
        started?;
        let (container, facts) = match same? {
            None => (container?, facts),
            // the name has moved on to another image since it was last looked at
            Some(image) => {
                let facts = spec::facts(spec, &image);
                self.discard_worthless(&name, &spec.id).await?;
                (self.sandbox_made(spec, &facts, &infra, &name, false).await?, facts)
            }
        };
        self.known().note(&spec.id, |entry| entry.facts = Some((container.clone(), facts)));
        Ok(container)
    }

    /// The image as last seen under this reference, which may be outdated; looked at when it never was.
    async fn expected_image(&self, reference: &str) -> Result<Image, EngineError> {
        match self.images().get(reference) {
            Some(image) => Ok(image),
            None => self.present_image(reference).await,
        }
    }

    /// Looks again at an image that was expected; another one if it is not that any more. Takes up to 30 ms on engines
    /// with containerd's image store, which is why it happens beside making the container.
    async fn is_still(&self, reference: &str, expected: &Image) -> Result<Option<Image>, EngineError> {
        let image = self.present_image(reference).await?;
        Ok((image.id != expected.id).then_some(image))
    }

    /// Removes the container of this name if it is ours, never ran and holds nothing.
    async fn discard_worthless(&self, name: &str, id: &SandboxId) -> Result<(), EngineError> {
        match self.find_own(name, id, Role::Sandbox).await? {
            Some(found) if worthless(&found) => self.remove_container(name).await,
            _ => Ok(()),
        }
    }

    /// The image of this reference, which must be there.
    pub(crate) async fn present_image(&self, reference: &str) -> Result<Image, EngineError> {
        let missing = || EngineError::ImageMissing { image: reference.to_owned() };
        self.image(reference).await?.ok_or_else(missing)
    }

    /// The sandbox container of this name, bound to `infra`; it is made when missing.
    pub(crate) async fn sandbox_made(
        &self,
        spec: &SandboxSpec,
        facts: &Facts,
        infra: &str,
        name: &str,
        remade: bool,
    ) -> Result<ContainerId, EngineError> {
        let conflict = match self.create_sandbox(spec, facts, infra, name, remade).await {
            Err(conflict @ EngineError::Conflict { .. }) => conflict,
            outcome => return outcome,
        };
        let found = match self.inspect_own(name, &spec.id, Role::Sandbox).await {
            // the engine is still making it, for a harbor that has died since
            Err(EngineError::NotFound { .. }) => return Err(conflict),
            outcome => outcome?,
        };
        if self.seen_out(&found, name).await? {
            return self.create_sandbox(spec, facts, infra, name, remade).await;
        }
        if bound_infra(&found) == Some(infra) {
            return Ok(ContainerId::new(found.id.unwrap_or_default()));
        }
        if !worthless(&found) {
            let source = EngineSaid::new("its infra container was replaced");
            return Err(EngineError::InfraGone { sandbox: spec.id, source });
        }
        self.remove_container(name).await?;
        self.create_sandbox(spec, facts, infra, name, remade).await
    }

    async fn create_sandbox(
        &self,
        spec: &SandboxSpec,
        facts: &Facts,
        infra: &str,
        name: &str,
        remade: bool,
    ) -> Result<ContainerId, EngineError> {
        let mut new = spec::sandbox(self.config(), spec, facts, infra, self.host().await?);
        new.directories = self.directory_mounts(&spec.mounts)?;
        if remade {
            new.labels.insert(naming::REMADE.to_owned(), "true".to_owned());
        }
        match self.client().create_container(name, new).await {
            Ok(made) => Ok(ContainerId::new(made)),
            Err(EngineError::NotFound { .. }) => Err(EngineError::ImageMissing { image: spec.image.clone() }),
            Err(error) => Err(error),
        }
    }

    /// Inspects a container by name or id; it must be ours.
    pub(crate) async fn inspect_own(&self, name: &str, id: &SandboxId, role: Role) -> Result<Container, EngineError> {
        let found = self.client().inspect_container(name, &format!("inspect container {name}")).await?;
        if naming::carries(&found.labels, &naming::sandbox_labels(self.instance(), id, role)) {
            Ok(found)
        } else {
            Err(EngineError::Foreign { what: "a container", name: name.to_owned() })
        }
    }

    /// Removes a container by name or id, running or not, with its anonymous volumes. One that is gone is fine.
    pub(crate) async fn remove_container(&self, name: &str) -> Result<(), EngineError> {
        match self.client().remove_container(name).await {
            Err(EngineError::NotFound { .. }) => Ok(()),
            Err(error) if error.engine_says().is_some_and(|message| message.contains("already in progress")) => {
                self.gone(name).await
            }
            outcome => outcome,
        }
    }
}

/// The id of the infra container that a sandbox container is bound to.
pub(crate) fn bound_infra(found: &Container) -> Option<&str> {
    found.network.as_deref()?.strip_prefix("container:")
}

/// Whether a sandbox container has never run and holds no files of an earlier one.
pub(crate) fn worthless(found: &Container) -> bool {
    !found.labels.contains_key(naming::REMADE) && found.status() == Some(Status::Created)
}
