//! Waiting for what must become true, never longer than it may take.

use std::time::Duration;

use tokio::time::Instant;

use crate::Sandbox;

/// The longest that `limit` is stretched.
const MOST: f64 = 12.0;

/// `limit` as it is on a machine with processor time to spare; longer by as much as others want of it.
pub fn stretched(limit: Duration) -> Duration {
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load: f64 = load.split_whitespace().next().and_then(|load| load.parse().ok()).unwrap_or(0.0);
    let processors =
        std::thread::available_parallelism().map_or(1.0, |count| f64::from(u32::try_from(count.get()).unwrap_or(1)));
    limit.mul_f64((load / processors).clamp(1.0, MOST))
}

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(50);

/// Repeats `probe` until it succeeds; fails the test with its last complaint after `limit`, [`stretched`].
pub async fn within<T>(limit: Duration, what: &str, mut probe: impl AsyncFnMut() -> Result<T, String>) -> T {
    let limit = stretched(limit);
    let deadline = Instant::now() + limit;
    loop {
        match probe().await {
            Ok(value) => return value,
            Err(complaint) => assert!(Instant::now() < deadline, "not within {limit:?}: {what}: {complaint}"),
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Waits until the sandbox's state is one of `states`; answers which.
pub async fn state_within(limit: Duration, sandbox: &Sandbox, states: &[&str]) -> String {
    within(limit, &format!("{} is {}", sandbox.id, states.join(" or ")), async || {
        let found = sandbox.get().await;
        let state = found.body["state"].as_str().unwrap_or_default().to_owned();
        if states.contains(&state.as_str()) { Ok(state) } else { Err(found.to_string()) }
    })
    .await
}
