//! What makes intent true: workers, the infra stock, listings and garbage; no caller waits in it.
//!
//! A set of dirty sandbox ids feeds a bounded number of workers. A worker is told an id and nothing else: it reads the
//! row, looks at the engine where that is needed, takes the one step that [`next_step`] names, records what it saw,
//! and goes on until intent and observation agree. Committed changes, the engine's events and a full listing make ids
//! dirty, so a request, a crash and a restart run the same code (design D1).
//!
//! Guarantees: one worker per sandbox at a time; every step may be repeated after a crash at any line; an engine that
//! does not answer fails no stop and no removal, and a start only after its deadline.
//! Leaves out: who may want what, which is control's.
//!
//! [`next_step`]: harbor_model::sandboxes::Sandbox::next_step

mod dirty;
mod garbage;
mod listing;
mod stock;
mod worker;

use std::sync::Arc;
use std::time::Duration;

use harbor_model::Timestamp;
use harbor_runner::Runner;
use harbor_store::Store;
use tokio::sync::Notify;
use tokio::task::JoinSet;

use dirty::Dirty;

pub use listing::Orphan;

/// How hard the reconciler works.
#[derive(Clone, Debug)]
pub struct Config {
    /// Sandboxes that are worked on at once; about twice the processors: queueing beats thrashing.
    pub workers: usize,
    /// Infra containers kept ready for sandboxes to come.
    pub infra_stock: usize,
    /// How long a start is tried before the sandbox is put in `error`.
    pub start_deadline: Duration,
    /// What a stop gives processes to end by themselves.
    pub stop_grace: Duration,
}

/// Makes intent true. Clones share it.
#[derive(Clone)]
pub struct Reconciler {
    inner: Arc<Inner>,
}

struct Inner {
    store: Store,
    runner: Runner,
    config: Config,
    dirty: Dirty,
    restock: Notify,
    /// Something of nobody was seen on the engine.
    relist: Notify,
}

impl Reconciler {
    /// A reconciler over `store` and `runner`; nothing happens before [`Reconciler::run`].
    pub fn new(store: Store, runner: Runner, config: Config) -> Self {
        let (restock, relist) = (Notify::new(), Notify::new());
        let inner = Inner { store, runner, config, dirty: Dirty::default(), restock, relist };
        Self { inner: Arc::new(inner) }
    }

    /// Works until `stop` resolves; steps under way are then finished, none is begun.
    ///
    /// Ends before that only if one of its tasks does, which is a bug, told in the error.
    pub async fn run(self, stop: impl Future<Output = ()> + Send) -> Result<(), String> {
        let mut workers = JoinSet::new();
        for _ in 0..self.inner.config.workers.max(1) {
            workers.spawn(worker::work(Arc::clone(&self.inner)));
        }
        let mut watchers = JoinSet::new();
        watchers.spawn(listing::watch_engine(Arc::clone(&self.inner)));
        watchers.spawn(listing::watch_store(Arc::clone(&self.inner)));
        watchers.spawn(stock::keep(Arc::clone(&self.inner)));
        watchers.spawn(garbage::collect(Arc::clone(&self.inner)));
        let ended = tokio::select! {
            () = stop => Ok(()),
            ended = watchers.join_next() => Err(format!("a watcher of the reconciler ended: {ended:?}")),
            ended = workers.join_next() => Err(format!("a worker of the reconciler ended: {ended:?}")),
        };
        watchers.shutdown().await;
        self.inner.dirty.close();
        while workers.join_next().await.is_some() {}
        ended
    }
}

fn now() -> Timestamp {
    Timestamp::now_utc()
}

/// `error` and every cause behind it, for a reason that a person reads.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let next = error.to_string();
        if !text.ends_with(&next) {
            text.push_str(": ");
            text.push_str(&next);
        }
        cause = error.source();
    }
    text
}
