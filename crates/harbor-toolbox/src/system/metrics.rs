//! `GET /system/metrics`: what the sandbox uses at this moment (contract, toolbox §5.2).

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::extract::State;
use serde::Serialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::cgroup::{self, Memory};
use crate::http::error::Error;
use crate::http::json::Json;

/// Shortest time over which processor use is averaged.
const WINDOW: Duration = Duration::from_secs(1);

/// Averages processor use from one question to the next; nothing runs in between.
pub(super) struct Meter {
    last: Mutex<Sample>,
}

struct Sample {
    at: Instant,
    used: Option<Duration>,
    percent: f64,
}

impl Default for Meter {
    fn default() -> Self {
        Self { last: Mutex::new(Sample { at: Instant::now(), used: cgroup::cpu_time(), percent: 0.0 }) }
    }
}

impl Meter {
    /// Percent of what may be used, averaged since the question before last or longer.
    fn cpu_used(&self, cpus: f64) -> f64 {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let (now, elapsed) = (Instant::now(), last.at.elapsed());
        if elapsed < WINDOW {
            return last.percent;
        }
        let used = cgroup::cpu_time();
        let busy = used.zip(last.used).map(|(used, before)| used.saturating_sub(before));
        let percent = busy.map_or(0.0, |busy| 100.0 * busy.as_secs_f64() / elapsed.as_secs_f64() / cpus);
        *last = Sample { at: now, used, percent };
        percent
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Metrics {
    cpu_count: u32,
    cpu_used_pct: f64,
    mem_total: u64,
    mem_used: u64,
    mem_cache: u64,
    disk_total: u64,
    disk_used: u64,
    disk_free: u64,
    timestamp: String,
    timestamp_unix: i64,
}

pub(super) async fn metrics(State(meter): State<Arc<Meter>>) -> Result<Json<Metrics>, Error> {
    let cpus = cgroup::cpus();
    let Memory { total, used, cache } = cgroup::memory();
    let disk = rustix::fs::statvfs("/");
    let disk = disk.map_err(|error| Error::internal(format!("cannot measure the disk: {error}")))?;
    let bytes = |blocks: u64| blocks.saturating_mul(disk.f_frsize);
    let now = OffsetDateTime::now_utc();
    // Older Python reads no more than microseconds.
    let written = now.replace_nanosecond(now.microsecond() * 1000).unwrap_or(now).format(&Rfc3339);
    Ok(Json(Metrics {
        cpu_count: whole(cpus),
        cpu_used_pct: meter.cpu_used(cpus),
        mem_total: total,
        mem_used: used,
        mem_cache: cache,
        disk_total: bytes(disk.f_blocks),
        disk_used: bytes(disk.f_blocks.saturating_sub(disk.f_bfree)),
        disk_free: bytes(disk.f_bavail),
        timestamp: written.unwrap_or_default(),
        timestamp_unix: now.unix_timestamp(),
    }))
}

/// The least whole number of processors that is enough.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "no machine has that many processors")]
fn whole(cpus: f64) -> u32 {
    cpus.ceil().max(1.0) as u32
}
