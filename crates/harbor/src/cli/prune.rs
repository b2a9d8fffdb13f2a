//! `harbor prune`: what nobody needs any more, and what only the engine or the disk knows.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use hyper::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use super::api::Api;
use super::arguments::Prune;
use crate::config::load::Loaded;
use crate::orphans::Orphans;
use crate::screen::{self, Colour, paint};

/// How long the running harbor may take: the engine removes images one by one.
const PATIENCE: Duration = Duration::from_mins(10);

/// What a collection takes, as the API tells it.
#[derive(Deserialize)]
struct Garbage {
    kinds: Vec<Kind>,
    bytes: u64,
}

#[derive(Deserialize)]
struct Kind {
    #[serde(rename = "kind")]
    name: String,
    count: u64,
    bytes: u64,
    reason: String,
    more: bool,
}

pub(super) fn run(loaded: &Loaded, options: &Prune) -> anyhow::Result<ExitCode> {
    if options.orphans {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().context("cannot start the runtime")?;
        return runtime.block_on(remove_orphans(loaded, options));
    }
    let method = if options.dry_run { Method::GET } else { Method::DELETE };
    let path = format!("/api/harbor/garbage?olderThan={}", options.older_than.as_secs());
    let told = Api::of(loaded, PATIENCE)?.ask(method, &path, None)?;
    if options.json {
        screen::line(&serde_json::to_string_pretty(&told)?)?;
    } else {
        show(told, options.dry_run)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn show(told: Value, dry_run: bool) -> anyhow::Result<()> {
    let garbage: Garbage =
        serde_json::from_value(told).context("the running harbor tells its garbage in other words")?;
    screen::line(&paint(&format!("{:<18}  {:>6}  {:>9}  {}", "KIND", "COUNT", "SIZE", "WHY"), Colour::Bold))?;
    for Kind { name, count, bytes, reason, .. } in &garbage.kinds {
        screen::line(&format!("{name:<18}  {count:>6}  {:>9}  {reason}", size(*bytes)))?;
    }
    if let Some(kind) = garbage.kinds.iter().find(|kind| kind.more) {
        screen::line(&format!(
            "there may be more {}: only so many go at once, and no image while one is built",
            kind.name
        ))?;
    }
    let (all, nothing) = (size(garbage.bytes), garbage.kinds.iter().all(|kind| kind.count == 0));
    screen::line(&match (nothing, dry_run) {
        (true, _) => "there is nothing to remove".to_owned(),
        (false, true) => format!("`harbor prune` would free {all}"),
        (false, false) => {
            format!("freed {all}; what the registry and the object storage held goes within two minutes")
        }
    })
}

/// Bytes for people, in powers of a thousand with one decimal.
fn size(bytes: u64) -> String {
    let units = [(1_000_000_000_000, "TB"), (1_000_000_000, "GB"), (1_000_000, "MB"), (1_000, "kB")];
    match units.into_iter().find(|(unit, _)| bytes >= *unit) {
        Some((unit, name)) => format!("{}.{} {name}", bytes / unit, bytes % unit * 10 / unit),
        None => format!("{bytes} B"),
    }
}

async fn remove_orphans(loaded: &Loaded, options: &Prune) -> anyhow::Result<ExitCode> {
    let orphans = Orphans::open(&loaded.config).await?;
    let orphans = orphans.context("this installation has no database to compare with: run `harbor up` first")?;
    let done = if options.dry_run { "would remove" } else { "removed" };
    let all = orphans.list().await?;
    for orphan in &all {
        if !options.dry_run {
            orphans.remove(orphan).await?;
        }
        if !options.json {
            screen::line(&format!("{done} sandbox {}", orphan.sandbox))?;
        }
    }
    let volumes = orphans.volumes().await?;
    for volume in &volumes {
        if !options.dry_run {
            orphans.remove_volume(volume).await?;
        }
        if !options.json {
            screen::line(&format!("{done} volume {volume}"))?;
        }
    }
    if options.json {
        let sandboxes: Vec<_> = all.iter().map(|orphan| orphan.sandbox.to_string()).collect();
        let volumes: Vec<_> = volumes.iter().map(ToString::to_string).collect();
        let told = json!({"dryRun": options.dry_run, "removed": sandboxes, "volumes": volumes});
        screen::line(&serde_json::to_string_pretty(&told)?)?;
    } else if all.is_empty() && volumes.is_empty() {
        screen::line("there are no orphans")?;
    }
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    #[test]
    fn sizes_are_for_people() {
        let told = [0, 999, 1_000, 104_260_000, 2_950_000_000, 7_000_000_000_000].map(super::size);
        assert_eq!(told, ["0 B", "999 B", "1.0 kB", "104.2 MB", "2.9 GB", "7.0 TB"]);
    }
}
