//! An engine in memory, for tests of what stands on an engine.
//!
//! Time is tokio's, so a test that pauses the clock waits for nothing. Every verb can be scripted to be slow, to fail, to
//! hang, to answer late, or to be done without an answer; what happens behind harbor's back has methods of its own. One
//! suite (`tests/suite`) holds it to the behaviour of the Docker engine.
//! Guarantees: a call that is dropped before it was done has done nothing; containers and boots never have a name twice.
//! Leaves out: processes and limits of sandboxes, and of their files all but one.

mod images;
mod meddling;
mod script;
mod waking;
mod world;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::StreamExt;
use futures_util::future::join_all;
use futures_util::stream::{self, BoxStream};
use harbor_model::ids::{ContainerId, LayerId, SandboxId, VolumeId};
use harbor_model::layers::Layer;
use harbor_model::resources::Resources;
use harbor_model::sandboxes::{Boot, Found};
use harbor_protocol::toolbox::{Configured, PROTOCOL};
use tokio::io::DuplexStream;
use tokio::sync::broadcast;

use crate::about::About;
use crate::dial::{DialError, Stream};
use crate::engine::Engine;
use crate::error::{EngineError, EngineSaid};
use crate::image::{Build, Context, Image, Login, Progress};
use crate::sandbox::{Configuration, Event, Held, Inventory, SandboxSpec, Storing, Woken};

use script::Script;
pub use script::{Act, Call, Verb};
use world::{World, image};

/// When a call that hangs, or whose answer is lost, fails.
pub const DEADLINE: Duration = Duration::from_secs(20);

/// When one sandbox that hangs is left out of a listing.
const LOOK: Duration = Duration::from_secs(5);

/// Events that are kept for a subscriber that does not read; one that lost some is told to look at everything.
const KEPT: usize = 1024;

/// How many bytes a dialled stream holds that the other end has not read.
const BUFFER: usize = 64 * 1024;

/// An engine in memory. Clones are the same engine.
#[derive(Clone, Debug)]
pub struct Pretend {
    inner: Arc<Mutex<Inner>>,
    events: broadcast::Sender<Event>,
}

#[derive(Debug)]
struct Inner {
    world: World,
    script: Script,
    reachable: bool,
    /// Other ends of dialled streams that no test has taken.
    dialled: Vec<(SandboxId, u16, DuplexStream)>,
}

impl Pretend {
    /// An engine that holds one image of this name and nothing else.
    pub fn with_image(reference: &str) -> Self {
        let inner = Inner { world: World::default(), script: Script::default(), reachable: true, dialled: Vec::new() };
        let engine = Self { inner: Arc::new(Mutex::new(inner)), events: broadcast::channel(KEPT).0 };
        engine.lock().world.images.insert(reference.to_owned(), image(reference));
        engine
    }

    /// The next call of `verb` goes like this.
    pub fn next(&self, verb: Verb, act: Act) {
        self.lock().script.add(verb, None, act);
    }

    /// The next call of `verb` about this sandbox goes like this.
    pub fn next_for(&self, id: &SandboxId, verb: Verb, act: Act) {
        self.lock().script.add(verb, Some(*id), act);
    }

    /// What was scripted and did not happen yet will not happen.
    pub fn forget_script(&self) {
        self.lock().script.forget();
    }

    /// From now on every call of `verb` takes this long.
    pub fn takes(&self, verb: Verb, time: Duration) {
        self.lock().script.usual.insert(verb, time);
    }

    /// What was called so far, in the order in which it began.
    pub fn calls(&self) -> Vec<Call> {
        self.lock().script.calls.clone()
    }

    /// The most calls of `verb` that were ever under way at once.
    pub fn most_at_once(&self, verb: Verb) -> usize {
        self.lock().script.most_at_once(verb)
    }

    /// No call reaches the engine any more, and no event comes from it.
    pub fn unplug(&self) {
        self.lock().reachable = false;
    }

    /// Calls reach it again, and subscribers are told that they missed something.
    pub fn plug_in(&self) {
        self.lock().reachable = true;
        self.tell(Event::Reconnected);
    }

    /// Every process ends, without an event, as when the engine's machine loses power.
    pub fn power_cut(&self) {
        self.lock().world.power_cut();
    }

    /// Something in the sandbox listens on a port, until it ends.
    pub fn listen(&self, id: &SandboxId, port: u16) {
        self.lock().world.listen(id, port);
    }

    /// Adds a mark to the one file of a sandbox, if it runs; answers whether it did.
    pub fn write(&self, id: &SandboxId, mark: u32) -> bool {
        self.lock().world.write(id, mark)
    }

    /// The marks in that file, oldest first; `None`: the sandbox does not run.
    pub fn marks(&self, id: &SandboxId) -> Option<Vec<u32>> {
        self.lock().world.marks(id)
    }

    /// What there is of a sandbox, whatever is scripted.
    pub fn held(&self, id: &SandboxId) -> Held {
        self.lock().world.held(id)
    }

    /// The sandbox's end of the oldest dial of a port that was not taken yet.
    pub fn accept(&self, id: &SandboxId, port: u16) -> Option<DuplexStream> {
        let mut inner = self.lock();
        let index = inner.dialled.iter().position(|(sandbox, to, _)| (sandbox, *to) == (id, port))?;
        Some(inner.dialled.remove(index).2)
    }

    fn meddle(&self, id: &SandboxId, change: impl FnOnce(&mut World)) {
        change(&mut self.lock().world);
        self.tell(Event::Changed(*id));
    }

    fn tell(&self, event: Event) {
        if self.lock().reachable {
            let _nobody_may_listen = self.events.send(event);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One call: what is scripted for it, around `act`. `changes`: an event tells of it.
    async fn call<T>(
        &self,
        verb: Verb,
        sandbox: Option<&SandboxId>,
        changes: bool,
        act: impl FnOnce(&mut World) -> Result<T, EngineError> + Send,
    ) -> Result<T, EngineError> {
        let _under_way = UnderWay { engine: self.clone(), verb };
        let (scripted, usual) = self.lock().script.begin(Call { verb, sandbox: sandbox.copied() });
        let doing = || format!("{verb:?}").to_lowercase();
        let too_slow = || EngineError::TooSlow { doing: doing(), limit: DEADLINE };
        let act = |engine: &Self| {
            let outcome = {
                let mut inner = engine.lock();
                if !inner.reachable {
                    let source = EngineSaid::new("connection refused");
                    return Err(EngineError::Unreachable { doing: doing(), engine: "pretend".to_owned(), source });
                }
                act(&mut inner.world)
            };
            if let (true, Ok(_), Some(id)) = (changes, &outcome, sandbox) {
                engine.tell(Event::Changed(*id));
            }
            outcome
        };
        match scripted {
            None => wait(usual).await,
            Some(Act::Slow(time)) => wait(time).await,
            Some(Act::Fail(error)) => return Err(error),
            Some(Act::Hang) => {
                wait(DEADLINE).await;
                return Err(too_slow());
            }
            Some(Act::Late(time)) => {
                let outcome = act(self);
                wait(time).await;
                return outcome;
            }
            Some(Act::Lost) => {
                act(self)?;
                wait(DEADLINE).await;
                return Err(too_slow());
            }
        }
        act(self)
    }

    async fn look(&self, id: &SandboxId) -> Result<Held, EngineError> {
        self.call(Verb::Look, Some(id), false, |world| Ok(world.held(id))).await
    }
}

/// A call until it ends or is dropped.
struct UnderWay {
    engine: Pretend,
    verb: Verb,
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.engine.lock().script.end(self.verb);
    }
}

fn configured() -> Configured {
    Configured { protocol: PROTOCOL, version: env!("CARGO_PKG_VERSION").to_owned() }
}

async fn wait(time: Duration) {
    if !time.is_zero() {
        tokio::time::sleep(time).await;
    }
}

#[async_trait]
impl Engine for Pretend {
    async fn about(&self) -> Result<About, EngineError> {
        Ok(About {
            id: "pretend".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            api: "1".to_owned(),
            storage: "memory".to_owned(),
            containerd_store: false,
            cgroup: 2,
            processors: 2,
            memory: 8 << 30,
            root: "/nonexistent".to_owned(),
            disk: None,
            free: None,
            rootless: false,
            architecture: "amd64".to_owned(),
            kernel: "pretend".to_owned(),
            runtimes: Vec::new(),
        })
    }

    async fn prepare(&self) -> Result<(), EngineError> {
        Ok(())
    }

    async fn dismantle(&self) -> Result<(), EngineError> {
        self.lock().world.clear();
        Ok(())
    }

    async fn find(&self, id: &SandboxId) -> Result<Found, EngineError> {
        Ok(self.look(id).await?.found)
    }

    async fn list(&self) -> Result<Inventory, EngineError> {
        let ids = self.call(Verb::List, None, false, |world| Ok(world.ids())).await?;
        let looks = join_all(ids.iter().map(|id| tokio::time::timeout(LOOK, self.look(id)))).await;
        let mut listing = Inventory::default();
        for (id, look) in ids.into_iter().zip(looks) {
            match look {
                Ok(Ok(held)) => listing.held.push(held),
                Ok(Err(error)) => listing.unclear.push((id, error)),
                Err(_) => {
                    let doing = format!("look at sandbox {id}");
                    listing.unclear.push((id, EngineError::TooSlow { doing, limit: LOOK }));
                }
            }
        }
        Ok(listing)
    }

    fn events(&self) -> BoxStream<'static, Event> {
        let heard = self.events.subscribe();
        let beginning = stream::iter([Event::Reconnected]);
        let rest = stream::unfold(heard, |mut heard| async move {
            let event = match heard.recv().await {
                Ok(event) => event,
                Err(broadcast::error::RecvError::Lagged(_)) => Event::Reconnected,
                // the engine is gone, and with it everything that could happen
                Err(broadcast::error::RecvError::Closed) => std::future::pending().await,
            };
            Some((event, heard))
        });
        beginning.chain(rest).boxed()
    }

    async fn reserve(&self, id: &SandboxId) -> Result<(), EngineError> {
        self.call(Verb::Reserve, Some(id), true, |world| {
            world.reserve(id);
            Ok(())
        })
        .await
    }

    async fn create(&self, spec: &SandboxSpec) -> Result<ContainerId, EngineError> {
        self.call(Verb::Create, Some(&spec.id), true, |world| world.create(spec)).await
    }

    async fn remake(&self, spec: &SandboxSpec, container: &ContainerId) -> Result<ContainerId, EngineError> {
        self.call(Verb::Remake, Some(&spec.id), true, |world| world.remake(&spec.id, container)).await
    }

    async fn start(&self, id: &SandboxId, container: &ContainerId) -> Result<Boot, EngineError> {
        self.call(Verb::Start, Some(id), true, |world| world.start(id, container)).await
    }

    async fn configure(
        &self,
        id: &SandboxId,
        container: &ContainerId,
        configuration: &Configuration,
    ) -> Result<Configured, EngineError> {
        self.call(Verb::Configure, Some(id), false, |world| {
            world.configure(id, container, configuration)?;
            Ok(configured())
        })
        .await
    }

    async fn pause(&self, id: &SandboxId, container: &ContainerId) -> Result<(), EngineError> {
        self.call(Verb::Pause, Some(id), true, |world| world.freeze(id, container)).await
    }

    async fn sleep(&self, id: &SandboxId, container: &ContainerId, _grace: Duration) -> Result<(), EngineError> {
        self.call(Verb::Sleep, Some(id), true, |world| world.sleep(id, container)).await
    }

    async fn wake(
        &self,
        id: &SandboxId,
        container: &ContainerId,
        configuration: &Configuration,
    ) -> Result<Option<Woken>, EngineError> {
        self.wake_up(id, container, configuration).await
    }

    async fn resize(&self, id: &SandboxId, container: &ContainerId, _to: Resources) -> Result<(), EngineError> {
        self.call(Verb::Resize, Some(id), false, |world| world.is_there(id, container)).await
    }

    async fn save(
        &self,
        id: &SandboxId,
        container: &ContainerId,
        to: &LayerId,
        _storing: Storing,
        go_on: bool,
    ) -> Result<Layer, EngineError> {
        self.call(Verb::Save, Some(id), true, |world| world.save(id, container, *to, go_on)).await
    }

    async fn layers(&self) -> Result<Vec<LayerId>, EngineError> {
        Ok(self.lock().world.layers.keys().copied().collect())
    }

    async fn volumes(&self) -> Result<Vec<VolumeId>, EngineError> {
        Ok(self.lock().world.volumes.iter().copied().collect())
    }

    async fn remove_volume(&self, volume: &VolumeId) -> Result<(), EngineError> {
        self.call(Verb::RemoveVolume, None, false, |world| {
            world.volumes.remove(volume);
            Ok(())
        })
        .await
    }

    async fn keep_images(&self, images: &BTreeSet<String>, only: bool) -> Result<(), EngineError> {
        self.call(Verb::KeepImages, None, false, |world| {
            world.kept_images.retain(|image| !only || images.contains(image));
            world.kept_images.extend(images.iter().cloned());
            Ok(())
        })
        .await
    }

    async fn discard(&self, layer: &LayerId) -> Result<(), EngineError> {
        self.lock().world.layers.remove(layer);
        Ok(())
    }

    async fn stop(&self, id: &SandboxId, container: &ContainerId, _grace: Duration) -> Result<(), EngineError> {
        self.call(Verb::Stop, Some(id), true, |world| {
            world.stop(id, container);
            Ok(())
        })
        .await
    }

    async fn remove(&self, id: &SandboxId) -> Result<(), EngineError> {
        self.call(Verb::Remove, Some(id), true, |world| {
            world.remove(id);
            Ok(())
        })
        .await
    }

    async fn dial(&self, id: &SandboxId, port: u16) -> Result<Stream, DialError> {
        let mut inner = self.lock();
        match inner.world.listens(id, port) {
            Some(true) => {
                let (near, far) = tokio::io::duplex(BUFFER);
                inner.dialled.push((*id, port, far));
                Ok(Stream::in_memory(near))
            }
            Some(false) => Err(DialError::Refused(port)),
            None => Err(DialError::Gone(std::io::ErrorKind::NotConnected.into())),
        }
    }

    async fn image(&self, reference: &str) -> Result<Option<Image>, EngineError> {
        self.call(Verb::Image, None, false, |world| Ok(world.image(reference))).await
    }

    async fn pull(
        &self,
        reference: &str,
        login: Option<&Login>,
        progress: &mut (dyn FnMut(Progress) + Send),
    ) -> Result<Image, EngineError> {
        self.pull_image(reference, login, progress).await
    }

    async fn name_image(&self, id: &str, reference: &str) -> Result<(), EngineError> {
        self.name(id, reference)
    }

    async fn without_volumes(&self, image: &Image) -> Result<Image, EngineError> {
        Ok(Image { volumes: Vec::new(), ..image.clone() })
    }

    async fn tidy_builds(&self) -> Result<(), EngineError> {
        Ok(())
    }

    async fn built_images(&self) -> Result<Vec<String>, EngineError> {
        Ok(self.lock().world.built.iter().cloned().collect())
    }

    async fn freed_by(&self, going: &[String]) -> Result<Vec<Option<u64>>, EngineError> {
        let world = &self.lock().world;
        let freed = going.iter().map(|name| match world.images.get(name) {
            Some(image) if world.kept_images.contains(&image.id) => None,
            found => Some(found.map_or(0, |image| image.size)),
        });
        Ok(freed.collect())
    }

    async fn remove_built_image(&self, name: &str) -> Result<bool, EngineError> {
        Ok(self.remove_unless_kept(name))
    }

    async fn build(
        &self,
        build: &Build,
        context: Context,
        log: &mut (dyn for<'text> FnMut(&'text str) + Send),
    ) -> Result<Image, EngineError> {
        self.build_image(build, context, log).await
    }
}
