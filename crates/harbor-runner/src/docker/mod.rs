//! The Docker engine, from 20.10 on.
//!
//! A sandbox is two containers (design D4): *infra* owns the network namespace and dials into it, the *sandbox*
//! container joins it and runs the toolbox as process 1. Infra containers can be made ahead of time with
//! [`DockerEngine::reserve`], which takes most of a cold start off the caller's path.
//!
//! Guarantees: every call has a deadline, and touches only what carries this instance's label. Nothing secret is in a
//! container's arguments, environment or inspect output. Only the folder `objects` names the engine's client.

mod about;
mod base_images;
mod belongings;
mod cleanup;
mod configure;
mod copies;
mod create;
mod delivery;
mod embedded;
mod events;
mod find;
mod handle;
mod images;
mod infra;
mod known;
mod layer;
mod lifecycle;
mod links;
mod naming;
mod objects;
mod outline;
mod part_labels;
mod parts;
mod plain_images;
mod prepare;
mod probe;
mod remake;
mod seccomp;
mod spec;
mod volumes;

use std::collections::BTreeSet;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use harbor_model::ids::{ContainerId, LayerId, SandboxId, VolumeId};
use harbor_model::layers::Layer;
use harbor_model::resources::Resources;
use harbor_model::sandboxes::{Boot, Found};
use harbor_protocol::toolbox::Configured;

use crate::about::About;
use crate::dial::{DialError, Stream};
use crate::engine::Engine;
use crate::error::EngineError;
use crate::image::{Build, Context, Image, Login, Progress};
use crate::sandbox::{Configuration, Event, Inventory, SandboxSpec, Storing, Woken};

pub use handle::DockerEngine;
pub use naming::BUILT_BY;

#[async_trait]
impl Engine for DockerEngine {
    async fn about(&self) -> Result<About, EngineError> {
        self.about().await
    }

    async fn prepare(&self) -> Result<(), EngineError> {
        self.prepare().await
    }

    async fn dismantle(&self) -> Result<(), EngineError> {
        self.dismantle().await
    }

    async fn find(&self, id: &SandboxId) -> Result<Found, EngineError> {
        self.find(id).await
    }

    async fn list(&self) -> Result<Inventory, EngineError> {
        self.list().await
    }

    fn events(&self) -> BoxStream<'static, Event> {
        self.events().boxed()
    }

    async fn reserve(&self, id: &SandboxId) -> Result<(), EngineError> {
        self.reserve(id).await
    }

    async fn create(&self, spec: &SandboxSpec) -> Result<ContainerId, EngineError> {
        self.create(spec).await
    }

    async fn remake(&self, spec: &SandboxSpec, container: &ContainerId) -> Result<ContainerId, EngineError> {
        self.remake(spec, container).await
    }

    async fn start(&self, id: &SandboxId, container: &ContainerId) -> Result<Boot, EngineError> {
        self.start(id, container).await
    }

    async fn configure(
        &self,
        id: &SandboxId,
        container: &ContainerId,
        configuration: &Configuration,
    ) -> Result<Configured, EngineError> {
        self.configure(id, container, configuration).await
    }

    async fn wake(
        &self,
        id: &SandboxId,
        container: &ContainerId,
        configuration: &Configuration,
    ) -> Result<Option<Woken>, EngineError> {
        self.wake(id, container, configuration).await
    }

    async fn pause(&self, id: &SandboxId, container: &ContainerId) -> Result<(), EngineError> {
        self.pause(id, container).await
    }

    async fn sleep(&self, id: &SandboxId, container: &ContainerId, grace: Duration) -> Result<(), EngineError> {
        self.sleep(id, container, grace).await
    }

    async fn resize(&self, id: &SandboxId, container: &ContainerId, to: Resources) -> Result<(), EngineError> {
        self.resize(id, container, to).await
    }

    async fn save(
        &self,
        id: &SandboxId,
        container: &ContainerId,
        to: &LayerId,
        storing: Storing,
        go_on: bool,
    ) -> Result<Layer, EngineError> {
        self.save(id, container, to, storing, go_on).await
    }

    async fn layers(&self) -> Result<Vec<LayerId>, EngineError> {
        self.stored_layers()
    }

    async fn discard(&self, layer: &LayerId) -> Result<(), EngineError> {
        self.discard_layer(layer).await
    }

    async fn volumes(&self) -> Result<Vec<VolumeId>, EngineError> {
        self.volumes()
    }

    async fn remove_volume(&self, volume: &VolumeId) -> Result<(), EngineError> {
        self.remove_volume(volume).await
    }

    async fn keep_images(&self, images: &BTreeSet<String>, only: bool) -> Result<(), EngineError> {
        self.keep_base_images(images, only).await
    }

    async fn stop(&self, id: &SandboxId, container: &ContainerId, grace: Duration) -> Result<(), EngineError> {
        self.stop(id, container, grace).await
    }

    async fn remove(&self, id: &SandboxId) -> Result<(), EngineError> {
        self.remove(id).await
    }

    async fn dial(&self, id: &SandboxId, port: u16) -> Result<Stream, DialError> {
        self.dial(id, port).await
    }

    async fn image(&self, reference: &str) -> Result<Option<Image>, EngineError> {
        self.image(reference).await
    }

    async fn pull(
        &self,
        reference: &str,
        login: Option<&Login>,
        progress: &mut (dyn FnMut(Progress) + Send),
    ) -> Result<Image, EngineError> {
        self.pull(reference, login, progress).await
    }

    async fn name_image(&self, id: &str, reference: &str) -> Result<(), EngineError> {
        self.client().name_image(id, reference).await
    }

    async fn without_volumes(&self, image: &Image) -> Result<Image, EngineError> {
        self.without_volumes(image).await
    }

    async fn tidy_builds(&self) -> Result<(), EngineError> {
        self.tidy_builds().await
    }

    async fn built_images(&self) -> Result<Vec<String>, EngineError> {
        self.built_images().await
    }

    async fn freed_by(&self, going: &[String]) -> Result<Vec<Option<u64>>, EngineError> {
        self.freed_by(going).await
    }

    async fn remove_built_image(&self, name: &str) -> Result<bool, EngineError> {
        self.remove_image(name).await
    }

    async fn build(
        &self,
        build: &Build,
        context: Context,
        log: &mut (dyn for<'text> FnMut(&'text str) + Send),
    ) -> Result<Image, EngineError> {
        self.build(build, context, log).await
    }
}
