//! What goes on beside the traffic of a request, stream or tunnel, for as long as it is open: its use of the sandbox is
//! noted (contract, edges §1.14), and it ends with the key that let it in.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};

use harbor_control::Admission;

type Beside = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The key that let somebody in was deleted or has expired: what goes on by it ends.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the key that this was asked for with was deleted or has expired")]
pub(crate) struct KeyEnded;

/// Keeps a sandbox from counting as idle and watches the key that opened it, when polled beside the traffic.
pub(crate) struct Activity {
    noting: Option<Beside>,
    key: Beside,
}

impl Activity {
    /// Notes the use that `admission` is for; with `skip` nothing is noted.
    pub(crate) fn of(admission: &Arc<Admission>, skip: bool) -> Self {
        let (used, admission) = (Arc::clone(admission), Arc::clone(admission));
        let noting = (!skip).then(|| Box::pin(async move { used.keep_active().await }) as _);
        Self { noting, key: Box::pin(async move { admission.ended().await }) }
    }

    /// Notes what is due now and wakes the task when more is, or when the key has ended. Not to be polled after that.
    pub(crate) fn poll(&mut self, context: &mut Context<'_>) -> Poll<KeyEnded> {
        if self.noting.as_mut().is_some_and(|noting| noting.as_mut().poll(context).is_ready()) {
            self.noting = None;
        }
        self.key.as_mut().poll(context).map(|()| KeyEnded)
    }

    /// Runs `work` with this beside it, until the key ends. `work` never waits for it.
    pub(crate) async fn beside<T>(&mut self, work: impl Future<Output = T>) -> Result<T, KeyEnded> {
        let mut work = pin!(work);
        poll_fn(|context| match self.poll(context) {
            Poll::Ready(ended) => Poll::Ready(Err(ended)),
            Poll::Pending => work.as_mut().poll(context).map(Ok),
        })
        .await
    }
}
