//! What goes on beside the traffic of a request, stream or tunnel, for as long as it is open: its use of the sandbox is
//! noted (contract, edges §1.14), and it ends with the key that let it in, or when the sandbox is no longer started.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use harbor_control::Admission;

/// What was sent before a sandbox ended may be on its way this long after harbor knows that it did.
const LAST_WORDS: Duration = Duration::from_millis(500);

type Beside<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// Why what goes on in a sandbox has to end.
#[derive(Clone, Copy, Debug, thiserror::Error)]
pub(crate) enum Ended {
    /// The key that let somebody in.
    #[error("the key that this was asked for with was deleted or has expired")]
    Key,
    /// The run of the sandbox that was entered.
    #[error("the sandbox is no longer started")]
    Sandbox,
}

/// Keeps a sandbox from counting as idle and watches it and the key that opened it, when polled beside the traffic.
pub(crate) struct Activity {
    noting: Option<Beside<()>>,
    end: Beside<Ended>,
}

impl Activity {
    /// Notes the use that `admission` is for; with `skip` nothing is noted.
    pub(crate) fn of(admission: &Arc<Admission>, skip: bool) -> Self {
        let (used, admission) = (Arc::clone(admission), Arc::clone(admission));
        let noting = (!skip).then(|| Box::pin(async move { used.keep_active().await }) as _);
        let end = async move {
            tokio::select! {
                () = admission.ended() => Ended::Key,
                () = departed(&admission) => Ended::Sandbox,
            }
        };
        Self { noting, end: Box::pin(end) }
    }

    /// Notes what is due now and wakes the task when more is, or when this has to end. Not to be polled after that.
    pub(crate) fn poll(&mut self, context: &mut Context<'_>) -> Poll<Ended> {
        if self.noting.as_mut().is_some_and(|noting| noting.as_mut().poll(context).is_ready()) {
            self.noting = None;
        }
        self.end.as_mut().poll(context)
    }

    /// Runs `work` with this beside it, until that has to end. `work` never waits for it.
    pub(crate) async fn beside<T>(&mut self, work: impl Future<Output = T>) -> Result<T, Ended> {
        let mut work = pin!(work);
        poll_fn(|context| match self.poll(context) {
            Poll::Ready(ended) => Poll::Ready(Err(ended)),
            Poll::Pending => work.as_mut().poll(context).map(Ok),
        })
        .await
    }
}

async fn departed(admission: &Admission) {
    admission.departed().await;
    tokio::time::sleep(LAST_WORDS).await;
}
