//! `harbor trust`: makes this system trust harbor's certificates, and undoes that.

use std::process::ExitCode;

use anyhow::{Context as _, bail};
use serde_json::json;

use super::arguments::Trust as Options;
use crate::config::directories::Directories;
use crate::screen;
use crate::trust::{self, Outcome, Trust};

pub(super) fn run(directories: &Directories, options: &Options) -> anyhow::Result<ExitCode> {
    if options.print {
        screen::raw(&trust::certificate(directories)?.pem())?;
        return Ok(ExitCode::SUCCESS);
    }
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().context("cannot start the runtime")?;
    let trust = Trust::open(directories)?;
    let (outcome, trusted) = runtime.block_on(async {
        let outcome = if options.remove { trust.remove().await? } else { trust.add().await? };
        anyhow::Ok((outcome, trust.is_trusted().await?))
    })?;
    if options.json {
        screen::line(&serde_json::to_string_pretty(&object(&trust, &outcome, trusted))?)?;
    } else {
        show(&trust, &outcome, options.remove)?;
    }
    if matches!(outcome, Outcome::NeedsRoot(_)) {
        bail!("only root can change what this system trusts: run the commands above");
    }
    if options.remove && trusted {
        bail!("this system still trusts harbor's certificates: something else than `harbor trust` has added them");
    }
    Ok(ExitCode::SUCCESS)
}

fn object(trust: &Trust, outcome: &Outcome, trusted: bool) -> serde_json::Value {
    let commands = match outcome {
        Outcome::Already | Outcome::Done => &[][..],
        Outcome::NeedsRoot(commands) => commands.as_slice(),
    };
    json!({
        "trusted": trusted,
        "changed": *outcome == Outcome::Done,
        "file": trust.place(),
        "commands": commands,
    })
}

fn show(trust: &Trust, outcome: &Outcome, remove: bool) -> anyhow::Result<()> {
    let place = trust.place();
    let place = place.display();
    match (outcome, remove) {
        (Outcome::Already, false) => screen::line(&format!("already trusted: {place}")),
        (Outcome::Done, false) => screen::line(&format!("this system trusts harbor's certificates now: {place}")),
        (Outcome::Already, true) => {
            screen::line("there is nothing to remove: harbor's certificates are not trusted here")
        }
        (Outcome::Done, true) => screen::line(&format!("removed what `harbor trust` added ({place})")),
        (Outcome::NeedsRoot(commands), _) => screen::line(&commands.join("\n")),
    }
}
