//! `harbor doctor`

use std::process::ExitCode;

use anyhow::Context as _;
use serde_json::json;

use super::note_foreign;
use crate::config::load::Loaded;
use crate::doctor::{self, Finding, Verdict};
use crate::invocation::completed;
use crate::screen::{self, Colour, paint};

pub(super) fn run(loaded: &Loaded, as_json: bool, handles: &[String]) -> anyhow::Result<ExitCode> {
    note_foreign(handles);
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().context("cannot start the runtime")?;
    let findings = runtime.block_on(doctor::examine(&loaded.config));
    let well = findings.iter().all(|finding| finding.verdict != Verdict::Failed);
    if as_json {
        let checks: Vec<_> = findings.iter().map(object).collect();
        screen::line(&serde_json::to_string_pretty(&json!({"ok": well, "checks": checks}))?)?;
    } else {
        for finding in &findings {
            show(finding)?;
        }
    }
    Ok(if well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn object(finding: &Finding) -> serde_json::Value {
    let Finding { check, verdict, found, remedy } = finding;
    let remedy = remedy.as_deref().map(completed);
    json!({"check": check, "verdict": verdict.word(), "found": completed(found), "remedy": remedy})
}

fn show(Finding { check, verdict, found, remedy }: &Finding) -> anyhow::Result<()> {
    let colour = match verdict {
        Verdict::Fine => Colour::Green,
        Verdict::Warning => Colour::Yellow,
        Verdict::Failed => Colour::Red,
    };
    let (found, word) = (completed(found), format!("{:<7}", verdict.word()));
    // a remedy stays on one line, to be copied
    let remedy = remedy.as_deref().map(completed);
    if screen::fits(23 + found.chars().count()) {
        screen::line(&format!("{} {check:<14} {found}", paint(&word, colour)))?;
        return remedy.map_or(Ok(()), |remedy| screen::line(&format!("{:<22} → {remedy}", "")));
    }
    screen::line(&format!("{} {check}", paint(&word, colour)))?;
    screen::line(&screen::wrapped(&found, 2))?;
    remedy.map_or(Ok(()), |remedy| screen::line(&format!("  → {remedy}")))
}
