//! Every task has an owner (style, principle 8).
//!
//! Guarantees: a component that ends by itself, with an error or by a panic, stops the others and makes the outcome
//! an error that names it; asked to stop, all get a grace period and what is left then is aborted.

use std::collections::HashMap;
use std::future::Future;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use tokio::task::{Id, JoinSet};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Owner of the process's long-running tasks.
#[derive(Debug, Default)]
pub(crate) struct Supervisor {
    tasks: JoinSet<anyhow::Result<()>>,
    names: HashMap<Id, String>,
    stop: CancellationToken,
}

impl Supervisor {
    /// Starts a component. It runs until `stop` is cancelled, then finishes what it is doing and returns.
    pub(crate) fn spawn<F>(&mut self, name: impl Into<String>, component: impl FnOnce(CancellationToken) -> F)
    where
        F: Future<Output = anyhow::Result<()>> + Send + 'static,
    {
        let handle = self.tasks.spawn(component(self.stop.child_token()));
        self.names.insert(handle.id(), name.into());
    }

    /// Runs until `asked` is cancelled or the first component ends, then stops the rest within `grace`.
    pub(crate) async fn run(mut self, asked: CancellationToken, grace: Duration) -> anyhow::Result<()> {
        let outcome = tokio::select! {
            () = asked.cancelled() => Ok(()),
            ended = self.first_exit() => Err(ended),
        };
        let drained = self.drain(grace).await;
        outcome.and(drained)
    }

    async fn first_exit(&mut self) -> anyhow::Error {
        match self.tasks.join_next_with_id().await {
            Some(ended) => match self.judge(ended) {
                (name, Ok(())) => anyhow!("{name} ended by itself"),
                (name, Err(error)) => error.context(format!("{name} failed")),
            },
            None => std::future::pending().await, // nothing was started: only a signal ends it
        }
    }

    /// Asks all to stop and waits; the first failure on the way is the outcome.
    async fn drain(&mut self, grace: Duration) -> anyhow::Result<()> {
        self.stop.cancel();
        let deadline = Instant::now() + grace;
        let mut outcome = Ok(());
        while !self.tasks.is_empty() {
            match tokio::time::timeout_at(deadline, self.tasks.join_next_with_id()).await {
                Ok(Some(ended)) => {
                    let (name, ended) = self.judge(ended);
                    let ended = ended.with_context(|| format!("{name} failed while stopping"));
                    outcome = outcome.and(ended);
                }
                Ok(None) => break,
                Err(_) => {
                    let mut late: Vec<_> = self.names.values().map(String::as_str).collect();
                    late.sort_unstable();
                    tracing::warn!(components = late.join(", "), ?grace, "still busy after the grace period, aborted");
                    self.tasks.shutdown().await;
                }
            }
        }
        outcome
    }

    fn judge(
        &mut self,
        ended: Result<(Id, anyhow::Result<()>), tokio::task::JoinError>,
    ) -> (String, anyhow::Result<()>) {
        let (id, outcome) = match ended {
            Ok((id, outcome)) => (id, outcome),
            Err(error) => (error.id(), Err(anyhow!(if error.is_panic() { "it panicked" } else { "it was cancelled" }))),
        };
        (self.names.remove(&id).unwrap_or_default(), outcome)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    const GRACE: Duration = Duration::from_secs(5);

    async fn waits(stop: CancellationToken, finished: Arc<AtomicBool>) -> anyhow::Result<()> {
        stop.cancelled().await;
        tokio::time::sleep(Duration::from_millis(50)).await; // a request in flight
        finished.store(true, Ordering::SeqCst);
        Ok(())
    }

    async fn outcome(other: impl Future<Output = anyhow::Result<()>> + Send + 'static) -> (String, bool) {
        let finished = Arc::new(AtomicBool::new(false));
        let mut crew = Supervisor::default();
        let seen = Arc::clone(&finished);
        crew.spawn("api", |stop| waits(stop, seen));
        crew.spawn("proxy", |_| other);
        let error = crew.run(CancellationToken::new(), GRACE).await.unwrap_err();
        (format!("{error:#}"), finished.load(Ordering::SeqCst))
    }

    #[tokio::test]
    async fn the_first_to_end_stops_the_rest() {
        assert_eq!(outcome(async { Ok(()) }).await, ("proxy ended by itself".to_owned(), true));
        let failed = outcome(async { Err(anyhow!("port lost")) }).await;
        assert_eq!(failed, ("proxy failed: port lost".to_owned(), true));
        let panicked = outcome(async { panic!("a bug") }).await;
        assert_eq!(panicked, ("proxy failed: it panicked".to_owned(), true));
    }

    #[tokio::test]
    async fn asked_to_stop_all_finish() {
        let finished = Arc::new(AtomicBool::new(false));
        let asked = CancellationToken::new();
        let mut crew = Supervisor::default();
        let seen = Arc::clone(&finished);
        crew.spawn("api", |stop| waits(stop, seen));
        asked.cancel();
        crew.run(asked, GRACE).await.unwrap();
        assert!(finished.load(Ordering::SeqCst));
    }

    #[tokio::test(start_paused = true)]
    async fn grace_ends() {
        let asked = CancellationToken::new();
        let mut crew = Supervisor::default();
        crew.spawn("stuck", |_| std::future::pending());
        asked.cancel();
        let before = Instant::now();
        crew.run(asked, GRACE).await.unwrap();
        assert_eq!(before.elapsed().as_secs(), GRACE.as_secs());
    }
}
