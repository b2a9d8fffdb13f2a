//! What makes intent true: loops over sandboxes, timers, warm pools, the infra stock, volumes, images, listings and
//! garbage; no caller waits in it.
//!
//! Every loop has one shape (`work`): a queue of keys to look at again, and a step that is told a key and nothing
//! else. The step over sandboxes reads the row, looks at the engine where that is needed, takes the one step that
//! [`next_step`] names, records what came of it, and goes on until intent and observation agree. Committed changes, the
//! engine's events and a full listing mark keys, so a request, a crash and a restart run the same code (design D1).
//!
//! Guarantees: one worker per sandbox at a time; every step may be repeated after a crash at any line; an engine that
//! does not answer fails no stop and no removal, and a start only after its deadline; stops, removals, looks and
//! copies have lanes of their own, so that no start waits for them; the engine's events wait for nothing.
//! Leaves out: who may want what, which is control's.
//!
//! [`next_step`]: harbor_model::sandboxes::Sandbox::next_step

mod clock;
mod demand;
mod garbage;
mod images;
mod listing;
mod objects;
mod orphans;
mod own_registry;
mod pools;
mod queue;
mod report;
mod sandboxes;
mod stock;
mod timers;
mod volumes;
mod watch;
mod work;

use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use harbor_model::Timestamp;
use harbor_model::ids::{ImageId, SandboxId, VolumeId};
use harbor_runner::Engine;
use harbor_store::Store;
use tokio::task::JoinSet;

use clock::ClockWatch;
use demand::Demand;
use garbage::{Garbage, GarbageKey};
use images::Images;
use listing::{Listing, WholeEngine};
use pools::{AllPools, OwnMembers, Pools};
use queue::{Bounds, Lane, Mark, Queue};
use sandboxes::Sandboxes;
use stock::{InfraStock, Stock};
use timers::{TimerKey, Timers};
use volumes::Volumes;

pub use clock::{Clock, SystemClock};
pub use images::{Authorities, Builder};
pub use objects::ObjectStorage;
pub use orphans::{Orphan, orphans};
pub use own_registry::{OwnImage, OwnRegistry};
pub use pools::Recruiter;
pub use report::{LastStep, LoopReport, UnderWay};

/// How hard the reconciler works.
#[derive(Clone)]
pub struct Config {
    /// Sandboxes that are started at once; about twice the processors: queueing beats thrashing.
    pub starts: usize,
    /// Infra containers kept ready for sandboxes to come.
    pub infra_stock: usize,
    /// How long a start is tried before the sandbox is put in `error`.
    pub start_deadline: Duration,
    /// What a stop gives processes to end by themselves.
    pub stop_grace: Duration,
    /// The most stopped sandboxes that sleep: each takes about 10 MB of memory. Others are stopped by the engine.
    pub most_asleep: u32,
    /// What tells when a sandbox is to be stopped or deleted.
    pub clock: Arc<dyn Clock>,
    /// The most members that a warm pool has, and the most infra containers in stock, because many sandboxes were asked
    /// for lately.
    pub most_warm: usize,
    /// What knows new members of warm pools.
    pub recruiter: Arc<dyn Recruiter>,
    /// What goes into images that are built for users.
    pub builder: Builder,
    /// Where what users upload for images lies.
    pub objects: Arc<dyn ObjectStorage>,
    /// harbor's own registry of images.
    pub registry: Arc<dyn OwnRegistry>,
}

impl Config {
    fn bounds(&self) -> Bounds {
        let start = self.starts.max(1);
        Bounds { look: 16, start, end: start.div_ceil(2), end_beside_starts: 1, bulk: 1, spare: 1 }
    }
}

/// Makes intent true. Clones share it.
#[derive(Clone)]
pub struct Reconciler {
    inner: Arc<Inner>,
}

struct Inner {
    store: Store,
    engine: Arc<dyn Engine>,
    config: Config,
    sandboxes: Queue<SandboxId>,
    stock: Queue<InfraStock>,
    listing: Queue<WholeEngine>,
    garbage: Queue<GarbageKey>,
    timers: Queue<TimerKey>,
    pools: Queue<AllPools>,
    volumes: Queue<VolumeId>,
    images: Queue<ImageId>,
    /// Held while it is decided whether a built image is there, or goes.
    looking_for_images: tokio::sync::Mutex<()>,
    /// Read while an image is built, written while built ones are removed.
    building: tokio::sync::RwLock<()>,
    /// Held by the one collection of garbage that somebody asked for.
    collecting: tokio::sync::Mutex<()>,
    own_members: OwnMembers,
    /// Stopped sandboxes whose files could not be stored.
    not_stored: Mutex<HashSet<SandboxId>>,
    demand: Demand,
    clock_watch: ClockWatch,
}

impl Reconciler {
    /// A reconciler over `store` and `engine`; nothing happens before [`Reconciler::run`].
    pub fn new(store: Store, engine: Arc<dyn Engine>, config: Config) -> Self {
        let sandboxes = Queue::new("sandboxes", config.bounds());
        let stock = Queue::new("infra stock", Bounds::ONE);
        let listing = Queue::new("listing", Bounds::ONE);
        let garbage = Queue::new("garbage", Bounds::ONE);
        // they are short, and wait for nothing but the database
        let timers = Queue::new("timers", Bounds { look: 4, ..Bounds::ONE });
        let clock_watch = ClockWatch::new(&*config.clock);
        let pools = Queue::new("warm pools", Bounds::ONE);
        let volumes = Queue::new("volumes", Bounds { bulk: 4, ..Bounds::ONE });
        // a look is short; what follows keeps the engine's disk and network busy, and lasts for minutes
        let images = Queue::new("images", Bounds { look: 8, spare: 2, ..Bounds::ONE });
        let (own_members, demand) = (OwnMembers::default(), Demand::default());
        Self {
            inner: Arc::new(Inner {
                store,
                engine,
                config,
                sandboxes,
                stock,
                listing,
                garbage,
                timers,
                pools,
                volumes,
                images,
                looking_for_images: tokio::sync::Mutex::default(),
                building: tokio::sync::RwLock::default(),
                collecting: tokio::sync::Mutex::default(),
                own_members,
                not_stored: Mutex::default(),
                demand,
                clock_watch,
            }),
        }
    }

    /// Works until `stop` resolves; steps of sandboxes that are under way are then finished, none is begun.
    ///
    /// Ends before that only if one of its tasks does, which is a bug, told in the error.
    pub async fn run(self, stop: impl Future<Output = ()> + Send) -> Result<(), String> {
        let inner = self.inner;
        inner.listing.mark(WholeEngine, Mark::now(Lane::Bulk));
        inner.stock.mark(InfraStock, Mark::now(Lane::Bulk));
        inner.garbage.mark(GarbageKey::Rows, Mark::now(Lane::Bulk));
        inner.garbage.mark(GarbageKey::Blobs, Mark::now(Lane::Bulk));
        inner.garbage.mark(GarbageKey::Layers, Mark::now(Lane::Bulk));
        inner.timers.mark(TimerKey::Clock, Mark::now(Lane::Look));
        inner.pools.mark(AllPools, Mark::now(Lane::Bulk));
        let mut sandboxes = JoinSet::new();
        sandboxes.spawn(work::run(Arc::new(Sandboxes(Arc::clone(&inner)))));
        let mut others = JoinSet::new();
        others.spawn(work::run(Arc::new(Stock(Arc::clone(&inner)))));
        others.spawn(work::run(Arc::new(Listing(Arc::clone(&inner)))));
        others.spawn(work::run(Arc::new(Garbage(Arc::clone(&inner)))));
        others.spawn(work::run(Arc::new(Timers(Arc::clone(&inner)))));
        others.spawn(work::run(Arc::new(Pools(Arc::clone(&inner)))));
        others.spawn(work::run(Arc::new(Volumes(Arc::clone(&inner)))));
        others.spawn(work::run(Arc::new(Images(Arc::clone(&inner)))));
        let watched = Arc::clone(&inner);
        others.spawn(async move {
            watch::store(watched).await;
            Ok(())
        });
        let watched = Arc::clone(&inner);
        others.spawn(async move {
            watch::engine(watched).await;
            Ok(())
        });
        let ended = tokio::select! {
            () = stop => Ok(()),
            ended = others.join_next() => Err(format!("a task of the reconciler ended: {ended:?}")),
            ended = sandboxes.join_next() => Err(format!("the loop over sandboxes ended: {ended:?}")),
        };
        others.shutdown().await;
        inner.sandboxes.close();
        while sandboxes.join_next().await.is_some() {}
        ended
    }

    /// What each loop does, and did last.
    pub fn report(&self) -> Vec<LoopReport> {
        let Inner { sandboxes, stock, listing, garbage, timers, pools, volumes, images, .. } = &*self.inner;
        let (listing, garbage, volumes) = (listing.report(), garbage.report(), volumes.report());
        vec![
            sandboxes.report(),
            stock.report(),
            listing,
            garbage,
            timers.report(),
            pools.report(),
            volumes,
            images.report(),
        ]
    }
}

impl Inner {
    /// The present, as rows tell it.
    fn now(&self) -> Timestamp {
        self.config.clock.wall()
    }
}

fn now() -> Timestamp {
    Timestamp::now_utc()
}
