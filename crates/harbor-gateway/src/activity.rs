//! Use of a sandbox, noted for as long as a request, stream or tunnel is open (contract, edges §1.14).

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Context;

use harbor_control::Admission;

/// Keeps a sandbox from counting as idle, when polled beside the traffic.
pub(crate) struct Activity(Option<Pin<Box<dyn Future<Output = ()> + Send>>>);

impl Activity {
    /// Notes the use that `admission` is for; with `skip` nothing is noted.
    pub(crate) fn of(admission: &Arc<Admission>, skip: bool) -> Self {
        let admission = Arc::clone(admission);
        Self((!skip).then(|| Box::pin(async move { admission.keep_active().await }) as _))
    }

    /// Notes what is due now and wakes the task when more is.
    pub(crate) fn poll(&mut self, context: &mut Context<'_>) {
        if self.0.as_mut().is_some_and(|noting| noting.as_mut().poll(context).is_ready()) {
            self.0 = None;
        }
    }

    /// Runs `work` with this beside it. `work` never waits for it.
    pub(crate) async fn beside<T>(&mut self, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        poll_fn(|context| {
            self.poll(context);
            work.as_mut().poll(context)
        })
        .await
    }
}
