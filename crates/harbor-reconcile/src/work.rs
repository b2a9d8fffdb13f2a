//! The one shape of a loop: a queue of keys to look at again, and a step that takes a key and nothing else.
//!
//! A step reads what is there, so a request, a timer, an event and a restart run the same code.

use std::sync::Arc;

use tokio::task::JoinSet;

use crate::queue::{Key, Mark, Queue, Stepped};

/// What a loop does to a key.
pub(crate) trait Work: Send + Sync + 'static {
    type Key: Key;

    fn queue(&self) -> &Queue<Self::Key>;

    /// Looks at `key` and takes what is to be done there one step on. Never called for one key twice at a time.
    fn step(&self, key: Self::Key, mark: Mark) -> impl Future<Output = Stepped> + Send;
}

/// Takes steps until the queue is closed; those under way are then finished. An error is a bug: a step panicked.
pub(crate) async fn run<W: Work>(work: Arc<W>) -> Result<(), String> {
    let mut steps = JoinSet::new();
    let panicked = |work: &W| Err(format!("a step of the loop over {} panicked", work.queue().name()));
    loop {
        tokio::select! {
            next = work.queue().next() => {
                let Some((key, mark)) = next else { break };
                let work = Arc::clone(&work);
                steps.spawn(async move {
                    let stepped = work.step(key, mark).await;
                    work.queue().done(key, stepped);
                });
            }
            Some(ended) = steps.join_next() => if ended.is_err() { return panicked(&work) },
        }
    }
    while let Some(ended) = steps.join_next().await {
        if ended.is_err() {
            return panicked(&work);
        }
    }
    Ok(())
}
