//! `harbor status --verbose`: what harbor's own loops do, and did last.

use std::time::Duration;

use anyhow::Context as _;
use serde::Deserialize;

use crate::process::http;
use crate::process::state::Ready;
use crate::screen::{self, Colour, paint};

/// How long the API may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// One loop, as `/api/harbor/loops` tells it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Loop {
    name: String,
    due: usize,
    under_way: Vec<LoopStep>,
    steps: u64,
    failures: u64,
    last: Option<LoopOutcome>,
    last_failure: Option<LoopOutcome>,
}

#[derive(Deserialize)]
struct LoopStep {
    key: String,
    lane: String,
    /// Milliseconds.
    lasts: u64,
}

#[derive(Deserialize)]
struct LoopOutcome {
    key: String,
    at: String,
    outcome: String,
}

/// Prints the loops of the harbor that is `ready`, asked with the owner's `key`.
pub(super) fn print(ready: &Ready, key: &str) -> anyhow::Result<()> {
    let address = ready.api_address().context("the API does not listen")?;
    let (status, body) = http::answer_to(key, address, "/api/harbor/loops", PATIENCE)?;
    anyhow::ensure!(status.is_success(), "the running harbor does not tell what its loops do: it answers {status}");
    let loops: Vec<Loop> =
        serde_json::from_slice(&body).context("the running harbor tells its loops in other words")?;
    for line in loops.iter().flat_map(lines) {
        screen::line(&line)?;
    }
    Ok(())
}

fn lines(told: &Loop) -> Vec<String> {
    let Loop { name, due, under_way, steps, failures, last, last_failure } = told;
    let head = format!("{steps} steps, {failures} failed; {} under way, {due} waiting", under_way.len());
    let mut lines = vec![format!("{} {head}", paint(&format!("{name:<12}"), Colour::Bold))];
    let step = |LoopStep { key, lane, lasts }: &LoopStep| {
        format!("  {key}: {lane} for {}.{} s", lasts / 1000, lasts % 1000 / 100)
    };
    lines.extend(under_way.iter().map(step));
    let outcome =
        |word: &str, LoopOutcome { key, at, outcome }: &LoopOutcome| format!("  {word} at {at}, {key}: {outcome}");
    lines.extend(last.as_ref().map(|last| outcome("last", last)));
    lines.extend(last_failure.as_ref().map(|last| outcome("last failure", last)));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loop_is_told_with_what_it_does_and_did_last() {
        let told = r#"{"name":"sandboxes","due":1,"later":2,"steps":9,"failures":4,
            "underWay":[{"key":"b","lane":"end","lasts":3100}],
            "last":{"key":"a","at":"2026-01-01T00:00:00.000Z","took":7,"outcome":"start"},"lastFailure":null}"#;
        let lines = lines(&serde_json::from_str(told).unwrap());
        assert!(lines[0].contains("9 steps, 4 failed; 1 under way, 1 waiting"), "{lines:?}");
        assert_eq!(lines[1..], ["  b: end for 3.1 s", "  last at 2026-01-01T00:00:00.000Z, a: start"]);
    }
}
