//! `harbor version`

use std::process::ExitCode;

use serde_json::json;

use crate::screen;

pub(super) fn run(as_json: bool) -> anyhow::Result<ExitCode> {
    let version = env!("CARGO_PKG_VERSION");
    let text = if as_json { json!({"version": version}).to_string() } else { format!("harbor {version}") };
    screen::line(&text)?;
    Ok(ExitCode::SUCCESS)
}
