//! Keeps the default snapshot on offer for as long as harbor runs.
//!
//! Guarantees: whether the image can be had decides what new sandboxes are made from, and nothing else: harbor serves
//! without it, what is missing stands in the snapshot's row (so in `harbor status`, `harbor doctor` and the error of a
//! create), and it is tried again until it is there. An image that somebody loads by hand is noticed within seconds, one
//! that somebody removes within a minute.

use std::time::Duration;

use anyhow::Context as _;
use harbor_control::Control;
use harbor_model::snapshots::SnapshotState;
use harbor_runner::{DockerEngine, Image};
use tokio::time::Instant;

use crate::process::Progress;
use crate::process::announce::reasons;

/// How often a missing image is looked for on the engine, which costs one question.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// How often it is looked whether an image that is there still is.
const CHECK_EVERY: Duration = Duration::from_mins(1);

/// Gets the image of the control's default snapshot and keeps offering it; `settled` is called once, when it is there or
/// when the first attempt has failed. Never ends by itself.
pub(crate) async fn keep(
    runner: &DockerEngine,
    control: &Control,
    reference: &str,
    progress: &Progress,
    settled: impl FnOnce(),
) {
    let mut settled = Some(settled);
    let mut attempts = Attempts::default();
    loop {
        let is_there = match look(runner, control, reference, progress, &mut attempts).await {
            Ok(is_there) => is_there,
            Err(error) => {
                tracing::warn!(reason = reasons(&error), "the default snapshot's image was not looked at");
                false
            }
        };
        if let Some(settled) = settled.take() {
            settled();
        }
        tokio::time::sleep(if is_there { CHECK_EVERY } else { LOOK_EVERY }).await;
    }
}

/// Looks whether the image is there, gets it when that is due, and offers what came out.
async fn look(
    runner: &DockerEngine,
    control: &Control,
    reference: &str,
    progress: &Progress,
    attempts: &mut Attempts,
) -> anyhow::Result<bool> {
    let first = attempts.failed == 0;
    if let Some(image) = runner.image(reference).await? {
        *attempts = Attempts::default();
        return offer(control, &image).await.map(|()| true);
    }
    if !attempts.due(Instant::now()) {
        return Ok(false);
    }
    if first {
        control.offer_default_snapshot(SnapshotState::Pulling, None, None).await?;
    } // later, why the last attempt failed says more
    match super::ensure(runner, reference, progress).await {
        Ok(image) => {
            *attempts = Attempts::default();
            offer(control, &image).await.map(|()| true)
        }
        Err(error) => {
            attempts.note_failure(Instant::now());
            let reason = reasons(&error);
            tracing::warn!(reason, attempt = attempts.failed, "there is no default image: trying again later");
            control.offer_default_snapshot(SnapshotState::Error, None, Some(reason)).await?;
            Ok(false)
        }
    }
}

async fn offer(control: &Control, image: &Image) -> anyhow::Result<()> {
    let offered = control.offer_default_snapshot(SnapshotState::Active, Some(image.size), None).await;
    offered.context("cannot offer the default snapshot")
}

/// When to pull and build again: both ask much of a network and of the engine.
#[derive(Debug, Default)]
struct Attempts {
    failed: u32,
    again: Option<Instant>,
}

impl Attempts {
    /// The wait after the first failed attempt; doubled after each further one.
    const FIRST: Duration = Duration::from_mins(1);
    /// The longest wait.
    const LONGEST: Duration = Duration::from_mins(30);

    fn due(&self, now: Instant) -> bool {
        self.again.is_none_or(|again| now >= again)
    }

    fn note_failure(&mut self, now: Instant) {
        let wait = Self::FIRST.saturating_mul(1 << self.failed.min(10)).min(Self::LONGEST);
        self.failed += 1;
        self.again = Some(now + wait);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn attempts_become_rarer_and_never_stop() {
        let mut attempts = Attempts::default();
        assert!(attempts.due(Instant::now()), "the first one is made at once");
        let mut waits = Vec::new();
        for _ in 0..40 {
            attempts.note_failure(Instant::now());
            let failed = Instant::now();
            while !attempts.due(Instant::now()) {
                tokio::time::advance(Duration::from_secs(30)).await;
            }
            waits.push(failed.elapsed().as_secs() / 60);
        }
        assert_eq!(waits[..6], [1, 2, 4, 8, 16, 30]);
        assert!(waits[6..].iter().all(|wait| *wait == 30), "{waits:?}");
    }
}
