//! `harbor prune`

use std::process::ExitCode;

use anyhow::Context as _;

use crate::config::load::Loaded;
use crate::orphans::Orphans;
use crate::screen;

pub(super) fn run(loaded: &Loaded, orphans: bool) -> anyhow::Result<ExitCode> {
    anyhow::ensure!(orphans, "say what to remove: `harbor prune --orphans`");
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().context("cannot start the runtime")?;
    runtime.block_on(remove(loaded))
}

async fn remove(loaded: &Loaded) -> anyhow::Result<ExitCode> {
    let orphans = Orphans::open(&loaded.config).await?;
    let orphans = orphans.context("this installation has no database to compare with: run `harbor up` first")?;
    let all = orphans.list().await?;
    for orphan in &all {
        orphans.remove(orphan).await?;
        screen::line(&format!("removed sandbox {}", orphan.sandbox))?;
    }
    if all.is_empty() {
        screen::line("there are no orphans")?;
    }
    Ok(ExitCode::SUCCESS)
}
