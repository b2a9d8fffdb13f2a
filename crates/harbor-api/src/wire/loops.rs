//! What harbor's own loops do, as its owner sees it; harbor's own (design D12).

use serde::Serialize;
use utoipa::ToSchema;

use super::iso;

/// What one loop does, and did last.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Loop {
    /// What it looks after, for example `sandboxes`.
    name: &'static str,
    /// Keys that wait for room.
    due: usize,
    /// Keys that are looked at later.
    later: usize,
    under_way: Vec<LoopStep>,
    /// Steps taken since harbor started.
    steps: u64,
    /// Steps of these that failed.
    failures: u64,
    last: Option<LoopOutcome>,
    last_failure: Option<LoopOutcome>,
}

/// A key that is worked on, for example a sandbox's id.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct LoopStep {
    key: String,
    /// `look`, `start`, `end`, `bulk` or `spare`.
    lane: &'static str,
    /// Milliseconds.
    lasts: u64,
}

/// A step that has ended.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct LoopOutcome {
    key: String,
    at: String,
    /// Milliseconds.
    took: u64,
    outcome: String,
}

impl Loop {
    pub(crate) fn of(report: crate::Loop) -> Self {
        let crate::Loop { name, due, later, under_way, steps, failures, last, last_failure } = report;
        let under_way = under_way.into_iter().map(|(key, lane, lasts)| {
            let lasts = milliseconds(lasts);
            LoopStep { key, lane, lasts }
        });
        let under_way = under_way.collect();
        let (last, last_failure) = (last.map(LoopOutcome::of), last_failure.map(LoopOutcome::of));
        Self { name, due, later, under_way, steps, failures, last, last_failure }
    }
}

impl LoopOutcome {
    fn of(crate::LoopOutcome { key, at, took, outcome }: crate::LoopOutcome) -> Self {
        Self { key, at: iso(at), took: milliseconds(took), outcome }
    }
}

fn milliseconds(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
