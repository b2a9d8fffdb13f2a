//! Checks of this machine. Each finding that is not fine comes with exactly one remedy.
//!
//! Guarantees: looks only; makes and changes nothing, on disk or on the engine.

mod engine;
mod host;

pub(crate) use engine::{DEFAULT_RUNTIME, unknown_runtime};

use crate::config::Config;
use crate::process::presence::{PATIENCE, Presence};

/// What one check found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    /// Name of the check, stable for scripts.
    pub(crate) check: &'static str,
    /// How it is.
    pub(crate) verdict: Verdict,
    /// What was found, for people.
    pub(crate) found: String,
    /// What to do; there is one exactly when the verdict is not [`Verdict::Fine`].
    pub(crate) remedy: Option<String>,
}

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// As it should be.
    Fine,
    /// harbor works, with a limit worth knowing.
    Warning,
    /// harbor, or a part of it, does not work.
    Failed,
}

impl Verdict {
    /// One word.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Fine => "ok",
            Self::Warning => "warning",
            Self::Failed => "failed",
        }
    }
}

impl Finding {
    fn fine(check: &'static str, found: impl Into<String>) -> Self {
        Self { check, verdict: Verdict::Fine, found: found.into(), remedy: None }
    }

    fn warning(check: &'static str, found: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { check, verdict: Verdict::Warning, found: found.into(), remedy: Some(remedy.into()) }
    }

    fn failed(check: &'static str, found: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { check, verdict: Verdict::Failed, found: found.into(), remedy: Some(remedy.into()) }
    }
}

/// Runs every check.
pub(crate) async fn examine(config: &Config) -> Vec<Finding> {
    let directories = config.directories();
    let looked = directories.clone();
    let presence = tokio::task::spawn_blocking(move || Presence::look(&looked, PATIENCE)).await;
    let presence = presence.ok().and_then(Result::ok).unwrap_or(Presence::Stopped);
    let mut findings = engine::examine(config, &presence).await;
    findings.extend(engine::orphans(config).await);
    findings.push(host::data_directory(&directories));
    findings.push(host::disk("data disk", directories.root()));
    findings.push(host::open_files());
    findings.extend(host::ports(config, &presence).await);
    findings.push(host::exposure(config));
    findings.push(host::trust(&directories).await);
    findings
}

/// Bytes in GiB with one decimal.
fn gibibytes(bytes: u64) -> String {
    format!("{}.{} GiB", bytes >> 30, ((bytes & ((1 << 30) - 1)) * 10) >> 30)
}
