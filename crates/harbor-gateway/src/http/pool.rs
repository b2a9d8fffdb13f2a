//! Idle connections into sandboxes, kept for the next request.
//!
//! Guarantees: a connection serves only the run of the toolbox that it was made to (same sandbox, boot and token);
//! idle ones are closed after 30 s and never more than the bounds below; whoever gets one asked for admission first.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use harbor_control::Admission;
use harbor_model::ids::SandboxId;
use harbor_model::sandboxes::{Boot, Generation, Sandbox};
use harbor_model::secrets::Secret;
use hyper::client::conn::http1::SendRequest;
use tokio::time::Instant;

use super::dialled::Patience;
use super::tasks::Tasks;
use super::upload::Upload;

/// How long a connection waits for its next request. The toolbox waits longer.
const IDLE: Duration = Duration::from_secs(30);

/// How often expired ones are looked for.
const SWEEP: Duration = Duration::from_secs(10);

const MOST_PER_SANDBOX: usize = 16;

/// An HTTP connection into a sandbox, driven by a task of its own.
pub(crate) struct Connection {
    pub(crate) sender: SendRequest<Upload>,
    /// What its stream is told while an answer is waited for.
    pub(crate) patience: Patience,
}

/// The idle connections of all sandboxes.
pub(crate) struct Pool {
    tasks: Arc<Tasks>,
    /// Idle connections of all sandboxes together.
    most: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    shelves: HashMap<SandboxId, Shelf>,
    count: usize,
    sweeping: bool,
}

/// The idle connections to one run of one toolbox.
struct Shelf {
    token: Secret,
    boot: Option<Boot>,
    generation: Generation,
    idle: Vec<Idle>,
}

struct Idle {
    connection: Connection,
    since: Instant,
}

impl Shelf {
    fn of(sandbox: &Sandbox) -> Self {
        Self {
            token: sandbox.toolbox_token.clone(),
            boot: sandbox.seen.boot().cloned(),
            generation: sandbox.generation,
            idle: Vec::new(),
        }
    }

    fn fits(&self, sandbox: &Sandbox) -> bool {
        self.token == sandbox.toolbox_token && self.boot.as_ref() == sandbox.seen.boot()
    }

    /// The newest connection that is ready; those that turn out closed are dropped.
    fn take(&mut self, now: Instant) -> Option<Connection> {
        self.idle.retain(|idle| !idle.connection.sender.is_closed() && now - idle.since < IDLE);
        let ready = self.idle.iter().rposition(|idle| idle.connection.sender.is_ready())?;
        Some(self.idle.remove(ready).connection)
    }
}

impl Pool {
    pub(crate) fn new(tasks: Arc<Tasks>, most: usize) -> Self {
        Self { tasks, most, state: Mutex::default() }
    }

    /// An idle connection to the toolbox that `admission` leads to.
    pub(crate) fn take(&self, admission: &Admission) -> Option<Connection> {
        let sandbox = admission.sandbox();
        let mut state = self.lock();
        let state = &mut *state;
        let place = state.shelves.get_mut(&sandbox.id)?;
        let before = place.idle.len();
        let taken = if place.fits(sandbox) {
            place.take(Instant::now())
        } else {
            if place.generation <= sandbox.generation {
                place.idle.clear(); // the toolbox they lead to is gone
            }
            None
        };
        state.count -= before - place.idle.len();
        taken
    }

    fn put(self: &Arc<Self>, admission: &Admission, connection: Connection) {
        let sandbox = admission.sandbox();
        let mut state = self.lock();
        let state = &mut *state;
        if connection.sender.is_closed() || state.count >= self.most {
            return;
        }
        let place = match state.shelves.entry(sandbox.id) {
            Entry::Occupied(found) => found.into_mut(),
            Entry::Vacant(vacant) => vacant.insert(Shelf::of(sandbox)),
        };
        if !place.fits(sandbox) {
            if place.generation > sandbox.generation {
                return;
            }
            state.count -= place.idle.len();
            *place = Shelf::of(sandbox);
        }
        if place.idle.len() >= MOST_PER_SANDBOX {
            return;
        }
        place.idle.push(Idle { connection, since: Instant::now() });
        state.count += 1;
        if !state.sweeping {
            state.sweeping = true;
            self.tasks.spawn(sweep(Arc::downgrade(self)));
        }
    }

    /// Drops what has expired; answers whether anything is left.
    fn drop_expired(&self) -> bool {
        let now = Instant::now();
        let mut state = self.lock();
        state.shelves.retain(|_, place| {
            place.idle.retain(|idle| !idle.connection.sender.is_closed() && now - idle.since < IDLE);
            !place.idle.is_empty()
        });
        state.count = state.shelves.values().map(|place| place.idle.len()).sum();
        state.sweeping = state.count > 0;
        state.sweeping
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Runs while there is anything to expire.
async fn sweep(pool: Weak<Pool>) {
    loop {
        tokio::time::sleep(SWEEP).await;
        if !pool.upgrade().is_some_and(|pool| pool.drop_expired()) {
            return;
        }
    }
}

/// A connection in use. Dropped, it ends; given back, it waits for the next request.
pub(crate) struct Lease {
    pool: Arc<Pool>,
    admission: Arc<Admission>,
    connection: Connection,
}

impl Lease {
    pub(crate) fn new(pool: &Arc<Pool>, admission: &Arc<Admission>, connection: Connection) -> Self {
        Self { pool: Arc::clone(pool), admission: Arc::clone(admission), connection }
    }

    /// Its request is answered to the last byte.
    pub(crate) fn give_back(self) {
        self.pool.put(&self.admission, self.connection);
    }
}
