//! The API over a store in a temporary directory, where everything that is wanted comes true at once because there is no
//! engine: for replaying recorded requests. `without-engine PORT KEY`.
#![expect(clippy::unwrap_used, reason = "a tool for tests: whatever fails ends it")]

#[path = "../tests/support/mod.rs"]
mod support;

use std::time::Duration;

use harbor_control::Change;
use harbor_model::sandboxes::Step;
use tokio::net::TcpListener;

#[tokio::main]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let port = arguments.next().and_then(|port| port.parse().ok()).unwrap_or(35_100_u16);
    let key = arguments.next().unwrap_or_else(|| support::KEY.to_owned());
    let mut installation =
        support::Installation::with(&key, Duration::from_secs(1), &format!("http://localhost:{port}"), None).await;
    let listener = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
    let mut changes = installation.store.changes();
    let store = installation.store.clone();
    let events = installation.events.take().unwrap();
    tokio::join!(
        async { axum::serve(listener, installation.router.clone()).await.unwrap() },
        events.publish(std::future::pending()),
        async {
            while let Ok(change) = changes.recv().await {
                if let Change::Sandbox { after, .. } = change
                    && after.next_step() != Step::Settled
                {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    support::settle(&store, after.id).await;
                }
            }
        },
    );
}
