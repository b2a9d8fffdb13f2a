//! What an engine does for sandboxes: the only way in which the rest of harbor makes, looks at or ends one (design D13).

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::stream::BoxStream;
use harbor_model::ids::{ContainerId, LayerId, SandboxId, VolumeId};
use harbor_model::layers::Layer;
use harbor_model::resources::Resources;
use harbor_model::sandboxes::{Boot, Found};
use harbor_protocol::toolbox::Configured;

use crate::about::About;
use crate::dial::{DialError, Stream};
use crate::error::EngineError;
use crate::image::{Build, Context, Image, Login, Progress};
use crate::sandbox::{Configuration, Event, Inventory, SandboxSpec, Storing, Woken};

/// Makes, starts, configures, finds, dials, stops and removes sandboxes, and gets the images that they are made of.
///
/// Every verb but [`Engine::events`] ends, within a deadline of the implementation's. Every verb may be repeated, also by
/// another process after this one died in the middle of it: it then goes on, or finds that it is done. An engine changes
/// only what it made for this installation; something of somebody else in its way is [`EngineError::Foreign`].
#[async_trait]
pub trait Engine: fmt::Debug + Send + Sync {
    /// What the engine is and what it can give.
    async fn about(&self) -> Result<About, EngineError>;

    /// Makes what all sandboxes need, and tries what this engine can. Quick when all is there.
    async fn prepare(&self) -> Result<(), EngineError>;

    /// Removes all of this installation: every sandbox with its files, and what [`Engine::prepare`] made. Images stay.
    async fn dismantle(&self) -> Result<(), EngineError>;

    /// What there is of this sandbox.
    async fn find(&self, id: &SandboxId) -> Result<Found, EngineError>;

    /// All that there is of this installation. One sandbox that cannot be looked at delays and fails no other.
    async fn list(&self) -> Result<Inventory, EngineError>;

    /// What happens to this installation's sandboxes from now on. Never ends; subscribes again on its own, and says so.
    fn events(&self) -> BoxStream<'static, Event>;

    /// Makes ahead of time what takes long in [`Engine::create`] and needs nothing but the sandbox's id.
    async fn reserve(&self, id: &SandboxId) -> Result<(), EngineError>;

    /// Makes the sandbox; it does not run afterwards.
    async fn create(&self, spec: &SandboxSpec) -> Result<ContainerId, EngineError>;

    /// Makes anew, with its files, a sandbox that does not run and can never start again, which [`Engine::start`] tells by
    /// [`EngineError::InfraGone`] and [`Engine::find`] by `connected: false`.
    async fn remake(&self, spec: &SandboxSpec, container: &ContainerId) -> Result<ContainerId, EngineError>;

    /// Starts it, or lets it go on if it is frozen; the same run is answered when it runs already.
    async fn start(&self, id: &SandboxId, container: &ContainerId) -> Result<Boot, EngineError>;

    /// Tells the toolbox of a sandbox that runs its token and environment, and waits until it listens.
    async fn configure(
        &self,
        id: &SandboxId,
        container: &ContainerId,
        configuration: &Configuration,
    ) -> Result<Configured, EngineError>;

    /// Lets one that sleeps or is frozen go on in this run of it and tells its toolbox who it is, at once. It answers when
    /// the toolbox has, which may be before the engine says that it goes on: before [`Woken::engine_answered`] is over
    /// nothing but [`Engine::dial`] is asked about it, and a listing may still find it frozen. `None` where that cannot
    /// be: [`Engine::start`] it, then configure it.
    async fn wake(
        &self,
        id: &SandboxId,
        container: &ContainerId,
        configuration: &Configuration,
    ) -> Result<Option<Woken>, EngineError>;

    /// Freezes its processes; [`Engine::start`] lets them go on. What is frozen stays so, and what does not run is left.
    async fn pause(&self, id: &SandboxId, container: &ContainerId) -> Result<(), EngineError>;

    /// Ends its processes as [`Engine::stop`] does, but so that it only sleeps: what is left of it is frozen, nobody's
    /// clean-up removes it, and [`Engine::start`] wakes it, to be configured anew. An error where that cannot be: stop it.
    async fn sleep(&self, id: &SandboxId, container: &ContainerId, grace: Duration) -> Result<(), EngineError>;

    /// Gives it other limits, whether it runs or not; 0 leaves one as it is.
    async fn resize(&self, id: &SandboxId, container: &ContainerId, to: Resources) -> Result<(), EngineError>;

    /// Stores its files, but for what its image holds, as `to`. What runs is frozen meanwhile; with `go_on` it goes on
    /// afterwards, also if an attempt before this one left it frozen, else it is left as it was or frozen.
    async fn save(
        &self,
        id: &SandboxId,
        container: &ContainerId,
        to: &LayerId,
        storing: Storing,
        go_on: bool,
    ) -> Result<Layer, EngineError>;

    /// The layers that are stored, or were begun to be.
    async fn layers(&self) -> Result<Vec<LayerId>, EngineError>;

    /// Removes a stored layer, or what an attempt at one left.
    async fn discard(&self, layer: &LayerId) -> Result<(), EngineError>;

    /// The volumes that there are: those that a sandbox was made with.
    async fn volumes(&self) -> Result<Vec<VolumeId>, EngineError>;

    /// Removes a volume, which no sandbox has any more, with all that is in it. What is gone is removed.
    async fn remove_volume(&self, volume: &VolumeId) -> Result<(), EngineError>;

    /// Keeps the images of these ids from everybody who cleans up, and with `only` no others; [`Engine::save`] keeps one
    /// more. One that is gone is an error, after all others were kept.
    async fn keep_images(&self, images: &BTreeSet<String>, only: bool) -> Result<(), EngineError>;

    /// Ends its processes: they are asked to end, and made to after `grace` (whole seconds, rounded up). What is gone is
    /// stopped.
    async fn stop(&self, id: &SandboxId, container: &ContainerId, grace: Duration) -> Result<(), EngineError>;

    /// Removes all of it, running or not, files and all. What is gone is removed.
    async fn remove(&self, id: &SandboxId) -> Result<(), EngineError>;

    /// Connects to a TCP port on its loopback.
    async fn dial(&self, id: &SandboxId, port: u16) -> Result<Stream, DialError>;

    /// The image of this reference or id; `None` when it is not there.
    async fn image(&self, reference: &str) -> Result<Option<Image>, EngineError>;

    /// Gets an image by reference, by this login if there is one; without tag or digest it is `latest`.
    async fn pull(
        &self,
        reference: &str,
        login: Option<&Login>,
        progress: &mut (dyn FnMut(Progress) + Send),
    ) -> Result<Image, EngineError>;

    /// Calls the image of this id by this reference, which has a tag, from now on.
    async fn name_image(&self, id: &str, reference: &str) -> Result<(), EngineError>;

    /// This image without volumes of its own (`VOLUME`), whose files would be in no copy of a sandbox's.
    async fn without_volumes(&self, image: &Image) -> Result<Image, EngineError>;

    /// The names of the images that were built as this installation's own.
    async fn built_images(&self) -> Result<Vec<String>, EngineError>;

    /// How many bytes each of these images frees by its name, if they are removed in this order; `None`: it cannot be, as a
    /// container is made of it.
    async fn freed_by(&self, going: &[String]) -> Result<Vec<Option<u64>>, EngineError>;

    /// Removes one of them by name. `false`: a sandbox still needs it. What is gone is removed.
    async fn remove_built_image(&self, name: &str) -> Result<bool, EngineError>;

    /// Removes what builds of this installation that failed or were given up an hour ago have left without a name.
    async fn tidy_builds(&self) -> Result<(), EngineError>;

    /// Builds an image; `log` gets the build's output as it comes. One that was given up leaves nothing with a name.
    async fn build(
        &self,
        build: &Build,
        context: Context,
        log: &mut (dyn for<'text> FnMut(&'text str) + Send),
    ) -> Result<Image, EngineError>;
}
