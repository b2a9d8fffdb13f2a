//! `harbor prune`

use std::process::ExitCode;

use anyhow::Context as _;
use serde_json::json;

use super::arguments::Prune;
use crate::config::load::Loaded;
use crate::orphans::Orphans;
use crate::screen;

pub(super) fn run(loaded: &Loaded, options: &Prune) -> anyhow::Result<ExitCode> {
    anyhow::ensure!(options.orphans, "say what to remove: `harbor prune --orphans`");
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().context("cannot start the runtime")?;
    runtime.block_on(remove(loaded, options.json))
}

async fn remove(loaded: &Loaded, as_json: bool) -> anyhow::Result<ExitCode> {
    let orphans = Orphans::open(&loaded.config).await?;
    let orphans = orphans.context("this installation has no database to compare with: run `harbor up` first")?;
    let all = orphans.list().await?;
    for orphan in &all {
        orphans.remove(orphan).await?;
        if !as_json {
            screen::line(&format!("removed sandbox {}", orphan.sandbox))?;
        }
    }
    let volumes = orphans.volumes().await?;
    for volume in &volumes {
        orphans.remove_volume(volume).await?;
        if !as_json {
            screen::line(&format!("removed volume {volume}"))?;
        }
    }
    if as_json {
        let removed: Vec<_> = all.iter().map(|orphan| orphan.sandbox.to_string()).collect();
        let volumes: Vec<_> = volumes.iter().map(ToString::to_string).collect();
        let told = json!({"removed": removed, "volumes": volumes});
        screen::line(&serde_json::to_string_pretty(&told)?)?;
    } else if all.is_empty() && volumes.is_empty() {
        screen::line("there are no orphans")?;
    }
    Ok(ExitCode::SUCCESS)
}
