//! Connections that have not shown the token yet. Anything in the sandbox can make them.
//!
//! Guarantees: each has a short time for that, their number is bounded, and where there are too many the oldest one gives
//! way; so who has the token always finds a place.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

/// Most of them at a time.
const STRANGERS: usize = 256;

/// How long a connection may take to show the token.
const PATIENCE: Duration = Duration::from_secs(10);

/// Those that are there, the oldest first. Cheap to clone.
#[derive(Clone, Default)]
pub(super) struct Strangers {
    waiting: Arc<Mutex<VecDeque<Arc<CancellationToken>>>>,
}

impl Strangers {
    /// A connection has come.
    pub(super) fn welcome(&self) -> Introduction {
        let turned_away = Arc::new(CancellationToken::new());
        let mut waiting = self.waiting();
        if waiting.len() >= STRANGERS {
            waiting.pop_front().iter().for_each(|oldest| oldest.cancel());
        }
        waiting.push_back(Arc::clone(&turned_away));
        drop(waiting);
        Introduction { turned_away, strangers: self.clone() }
    }

    /// Whether it was among them.
    fn forget(&self, connection: &Arc<CancellationToken>) -> bool {
        let mut waiting = self.waiting();
        let found = waiting.iter().position(|known| Arc::ptr_eq(known, connection));
        found.is_some_and(|at| waiting.remove(at).is_some())
    }

    fn waiting(&self) -> MutexGuard<'_, VecDeque<Arc<CancellationToken>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The standing of one connection, which its requests carry.
#[derive(Clone)]
pub(crate) struct Introduction {
    turned_away: Arc<CancellationToken>,
    strangers: Strangers,
}

impl Introduction {
    /// It has shown the token.
    pub(crate) fn accept(&self) {
        self.strangers.forget(&self.turned_away);
    }

    /// Waits until it has to go, for ever once it is known.
    pub(super) async fn turned_away(&self) {
        tokio::select! {
            () = self.turned_away.cancelled() => return,
            () = sleep(PATIENCE) => {}
        }
        if !self.strangers.forget(&self.turned_away) {
            self.turned_away.cancelled().await;
        }
    }

    /// The connection has ended.
    pub(super) fn leave(&self) {
        self.strangers.forget(&self.turned_away);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn the_oldest_stranger_gives_way_and_the_known_stay() {
        let strangers = Strangers::default();
        let known = strangers.welcome();
        known.accept();
        let first = strangers.welcome();
        let rest: Vec<_> = (1..STRANGERS).map(|_| strangers.welcome()).collect();
        assert!(first.turned_away().now_or_never().is_none());
        let last = strangers.welcome();
        assert!(first.turned_away().now_or_never().is_some());
        for stays in rest.iter().chain([&known, &last]) {
            assert!(stays.turned_away().now_or_never().is_none());
        }
        rest.iter().for_each(Introduction::leave);
        assert_eq!(strangers.waiting().len(), 1);
    }
}
