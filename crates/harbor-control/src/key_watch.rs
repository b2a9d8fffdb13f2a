//! Until when a key opens: what was let in by it ends with it.

use std::time::Duration;

use harbor_model::Timestamp;
use harbor_model::identity::{ApiKey, KeyHash};
use tokio::sync::watch;

use crate::{Control, now};

/// The clock is looked at this often while a key that expires is watched, in case it is set.
const CLOCK_REVIEW: Duration = Duration::from_secs(30);

/// How long to wait after a look at the database that failed.
const RETRY: Duration = Duration::from_secs(1);

/// Tells whoever watches a key that keys were deleted.
pub(crate) struct Deletions(watch::Sender<()>);

impl Deletions {
    pub(crate) fn new() -> Self {
        Self(watch::Sender::new(()))
    }

    /// Some keys are no longer there.
    pub(crate) fn tell(&self) {
        self.0.send_replace(());
    }

    /// Hears of every deletion from now on.
    pub(crate) fn listen(&self) -> watch::Receiver<()> {
        self.0.subscribe()
    }
}

/// A key that was good when it was looked up.
#[derive(Clone, Debug)]
pub(crate) struct KeyWatch {
    hash: KeyHash,
    expires_at: Option<Timestamp>,
    deletions: watch::Receiver<()>,
}

impl KeyWatch {
    /// `deletions` must have been listened to before `key` was looked up.
    pub(crate) fn new(key: &ApiKey, deletions: watch::Receiver<()>) -> Self {
        Self { hash: key.hash, expires_at: key.expires_at, deletions }
    }

    /// Completes when the key has expired, or when keys were deleted: then look whether it was among them.
    async fn expired_or_disturbed(&mut self) -> Ending {
        loop {
            let left = match self.expires_at.map(|at| at - now()) {
                Some(left) if !left.is_positive() => return Ending::Expired,
                Some(left) => left.unsigned_abs().min(CLOCK_REVIEW),
                None => Duration::MAX,
            };
            match tokio::time::timeout(left, self.deletions.changed()).await {
                Ok(Ok(())) => return Ending::PerhapsDeleted,
                Ok(Err(_)) => return Ending::Expired, // control is gone, and every way in with it
                Err(_) => {}
            }
        }
    }
}

enum Ending {
    Expired,
    PerhapsDeleted,
}

impl Control {
    /// Completes when the key that is watched no longer opens anything.
    pub(crate) async fn key_ended(&self, mut watched: KeyWatch) {
        while matches!(watched.expired_or_disturbed().await, Ending::PerhapsDeleted) {
            if !self.is_there(watched.hash).await {
                return;
            }
        }
    }

    /// Whether the key is recorded; asks until the database answers.
    async fn is_there(&self, key: KeyHash) -> bool {
        loop {
            match self.store().api_key_by_hash(key).await {
                Ok(found) => return found.is_some(),
                Err(error) => tracing::warn!(%error, "not known whether a key in use was deleted"),
            }
            tokio::time::sleep(RETRY).await;
        }
    }
}
