//! Waiting for what must become true, never longer than it may take.

use std::io::Write as _;
use std::time::Duration;

use tokio::time::Instant;

use crate::Sandbox;

/// How long something may take in a test: on a machine with processor time to spare, and at most where there is none.
#[derive(Clone, Copy, Debug)]
pub struct Limit {
    time: Duration,
    /// How many times as long it may become.
    most: f64,
}

impl Limit {
    /// A promise of the design. It may take three times as long on a busy machine; what takes longer breaks the promise.
    pub const fn promised(time: Duration) -> Self {
        Self { time, most: 3.0 }
    }

    /// What keeps a test from waiting for ever.
    pub const fn patience(time: Duration) -> Self {
        Self { time, most: 12.0 }
    }

    /// Its time on a machine that has nothing else to do.
    pub const fn time(self) -> Duration {
        self.time
    }

    /// Its time as it is now: longer by as much as others want of the processors.
    pub fn stretched(self) -> Duration {
        self.time.mul_f64(wanted().clamp(1.0, self.most))
    }

    /// Fails the test if `what` took longer than it may.
    #[track_caller]
    pub fn check(self, took: Duration, what: &str) {
        let limit = self.stretched();
        assert!(took < limit, "{what} took {took:.1?}, longer than {limit:.1?}");
        self.tell(took, what);
    }

    /// Says so, in the output of a test that passes too, where only a stretched limit was kept.
    fn tell(self, took: Duration, what: &str) {
        if took > self.time {
            let stretch = took.as_secs_f64() / self.time.as_secs_f64();
            let line = format!("a limit was stretched {stretch:.1} times ({took:.1?}, not {:.1?}): {what}", self.time);
            // not `eprintln!`, which is shown of tests that fail only
            let _written = writeln!(std::io::stderr(), "{line}");
        }
    }
}

impl From<Duration> for Limit {
    fn from(time: Duration) -> Self {
        Self::patience(time)
    }
}

/// How many times the processors' time is wanted.
fn wanted() -> f64 {
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load: f64 = load.split_whitespace().next().and_then(|load| load.parse().ok()).unwrap_or(0.0);
    let processors =
        std::thread::available_parallelism().map_or(1.0, |count| f64::from(u32::try_from(count.get()).unwrap_or(1)));
    load / processors
}

/// The time of a [`Limit::patience`] as it is now.
pub(crate) fn stretched(time: Duration) -> Duration {
    Limit::patience(time).stretched()
}

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(50);

/// Repeats `probe` until it succeeds; fails the test with its last complaint after `limit`, stretched.
pub async fn within<T>(limit: impl Into<Limit>, what: &str, mut probe: impl AsyncFnMut() -> Result<T, String>) -> T {
    let limit = limit.into();
    let (begun, longest) = (Instant::now(), limit.stretched());
    loop {
        match probe().await {
            Ok(value) => {
                limit.tell(begun.elapsed(), what);
                return value;
            }
            Err(complaint) => assert!(begun.elapsed() < longest, "not within {longest:?}: {what}: {complaint}"),
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Waits until the sandbox's state is one of `states`; answers which.
pub async fn state_within(limit: impl Into<Limit>, sandbox: &Sandbox, states: &[&str]) -> String {
    within(limit, &format!("{} is {}", sandbox.id, states.join(" or ")), async || {
        let found = sandbox.get().await;
        let state = found.body["state"].as_str().unwrap_or_default().to_owned();
        if states.contains(&state.as_str()) { Ok(state) } else { Err(found.to_string()) }
    })
    .await
}
