//! Which log lines to show.

use anyhow::bail;
use serde_json::Value;

use crate::cli::arguments::Logs;
use crate::components::{self, COMPONENTS, Component, HANDLE};
use crate::config::kinds::LEVELS;

/// What a line must have.
#[derive(Debug, Default)]
pub(super) struct LineFilter {
    /// One of these components; empty: any.
    components: Vec<&'static Component>,
    /// The earliest time, written as in the log.
    since: Option<String>,
    /// The least important level, by its place in [`LEVELS`].
    level: Option<usize>,
    /// How a sandbox's id begins.
    sandbox: Option<String>,
}

impl LineFilter {
    pub(super) fn new(options: &Logs) -> anyhow::Result<Self> {
        Ok(Self {
            components: named(&options.names)?,
            since: options.since.clone(),
            level: options.level.as_deref().and_then(rank),
            sandbox: options.sandbox.clone(),
        })
    }

    pub(super) fn has(&self, line: &str) -> bool {
        let Self { components, since, level, sandbox } = self;
        if components.is_empty() && since.is_none() && level.is_none() && sandbox.is_none() {
            return true;
        }
        let object: Value = serde_json::from_str(line).unwrap_or_default();
        let text = |name: &str| object[name].as_str().unwrap_or_default();
        (components.is_empty() || components.iter().any(|component| text("component") == component.name))
            // both are written alike, so that their order is that of their letters
            && since.as_ref().is_none_or(|since| text("time") >= since.as_str())
            && level.is_none_or(|level| rank(text("level")).is_some_and(|rank| rank <= level))
            && sandbox.as_ref().is_none_or(|id| text("sandbox").starts_with(id.as_str()))
    }
}

fn named(names: &[String]) -> anyhow::Result<Vec<&'static Component>> {
    let known: Vec<_> = names.iter().filter_map(|name| components::named(name)).collect();
    if !names.is_empty() && known.is_empty() {
        let all: Vec<_> = COMPONENTS.iter().map(|component| component.name).collect();
        bail!("there is no component {}: there are {}", names[0], all.join(", "));
    }
    crate::cli::note_foreign(names);
    // `harbor logs daytona` is the documented way to see what the service does: all of it
    let all = known.iter().any(|component| component.name == HANDLE);
    Ok(if all { Vec::new() } else { known })
}

fn rank(level: &str) -> Option<usize> {
    LEVELS.iter().position(|known| *known == level)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::logs::since::since;

    const LINE: &str = r#"{"time":"2026-11-28T21:00:00.500Z","level":"warn","component":"daytona-runner","sandbox":"0a1b","message":"x"}"#;

    fn components(names: &[&str]) -> anyhow::Result<LineFilter> {
        let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        Ok(LineFilter { components: named(&names)?, ..LineFilter::default() })
    }

    #[test]
    fn lines_are_filtered_by_component() {
        assert!(components(&["daytona-runner"]).unwrap().has(LINE));
        assert!(components(&["daytona-proxy", "daytona-runner"]).unwrap().has(LINE));
        assert!(!components(&["daytona-proxy"]).unwrap().has(LINE));
        assert!(components(&["daytona"]).unwrap().has(LINE) && components(&[]).unwrap().has(LINE));
        let refusal = components(&["ollama"]).err().unwrap().to_string();
        assert!(refusal.contains("daytona-runner"), "{refusal}");
    }

    #[test]
    fn lines_are_filtered_by_level_and_sandbox() {
        let level = |level: &str| LineFilter { level: rank(level), ..LineFilter::default() }.has(LINE);
        assert!(level("warn") && level("trace") && !level("error"));
        let sandbox = |id: &str| LineFilter { sandbox: Some(id.to_owned()), ..LineFilter::default() }.has(LINE);
        assert!(sandbox("0a1b") && sandbox("0a") && !sandbox("0b"));
        assert!(!LineFilter { level: rank("trace"), ..LineFilter::default() }.has("no JSON"));
    }

    #[test]
    fn lines_are_filtered_by_time() {
        let from = |text: &str| LineFilter { since: Some(since(text).unwrap()), ..LineFilter::default() }.has(LINE);
        assert!(from("2026-11-28T21:00:00Z") && from("2026-11-28T22:00:00.5+01:00") && !from("2026-11-28T21:00:01Z"));
        let ago = |text: &str| since(text).unwrap();
        assert!(ago("1d") < ago("2h") && ago("2h") < ago("10m") && ago("10m") < ago("90s"));
        for wrong in ["", "m", "10", "10x", "yesterday", "-1m", "99999999999999999999d", "1é"] {
            assert!(since(wrong).is_err(), "{wrong}");
        }
    }
}
