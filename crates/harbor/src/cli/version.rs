//! `harbor version`

use std::process::ExitCode;

use serde_json::json;

use crate::screen;

/// The commit that this binary was built from, as far as the build could tell.
const COMMIT: Option<&str> = option_env!("HARBOR_COMMIT");

pub(super) fn run(as_json: bool) -> anyhow::Result<ExitCode> {
    let version = env!("CARGO_PKG_VERSION");
    let text = match (as_json, COMMIT) {
        (true, commit) => json!({"version": version, "commit": commit}).to_string(),
        (false, Some(commit)) => format!("harbor {version} (commit {commit})"),
        (false, None) => format!("harbor {version}"),
    };
    screen::line(&text)?;
    Ok(ExitCode::SUCCESS)
}
