//! When sandboxes were last used (contract, control-plane §5.8).

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use harbor_model::Timestamp;
use harbor_model::actors::Actor;
use harbor_model::ids::SandboxId;
use harbor_store::Store;

use crate::now;

/// Uses of one sandbox closer together than this are one.
const PRECISION: time::Duration = time::Duration::seconds(5);

/// Remembers when each sandbox's use was last written, so that a busy one costs a write per 5 s and not per request.
pub(crate) struct Activity {
    store: Store,
    written: Mutex<HashMap<SandboxId, Timestamp>>,
}

impl Activity {
    pub(crate) fn new(store: Store) -> Self {
        Self { store, written: Mutex::new(HashMap::new()) }
    }

    /// The sandbox is being used now. Cheap when it was noted a moment ago; a failed write is tried at the next use.
    pub(crate) async fn note(&self, sandbox: SandboxId) {
        let now = now();
        if !self.due(sandbox, now) {
            return;
        }
        if let Err(error) = self.store.by(Actor::Harbor).touch_sandbox(sandbox, now).await {
            tracing::warn!(%sandbox, %error, "last activity not written");
            self.map().remove(&sandbox);
        }
    }

    fn due(&self, sandbox: SandboxId, now: Timestamp) -> bool {
        let mut written = self.map();
        if written.get(&sandbox).is_some_and(|at| now - *at < PRECISION) {
            return false;
        }
        if written.len() > 10_000 {
            written.retain(|_, at| now - *at < PRECISION);
        }
        written.insert(sandbox, now);
        true
    }

    fn map(&self) -> std::sync::MutexGuard<'_, HashMap<SandboxId, Timestamp>> {
        self.written.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
