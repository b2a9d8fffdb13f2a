//! `harbor ps`: the documented components and what each is here (contract, edges §10.4).

use std::process::ExitCode;

use serde_json::json;

use super::note_foreign;
use crate::components::{COMPONENTS, Component, ComponentKind, HANDLE};
use crate::config::directories::Directories;
use crate::process::presence::{PATIENCE, Presence};
use crate::screen::{self, Colour, paint};

pub(super) fn run(directories: &Directories, as_json: bool, handles: &[String]) -> anyhow::Result<ExitCode> {
    note_foreign(handles);
    let presence = Presence::look(directories, PATIENCE)?;
    let asked = |component: &&Component| {
        handles.is_empty() || handles.iter().any(|handle| handle == HANDLE || handle == component.name)
    };
    let rows: Vec<_> = COMPONENTS.iter().filter(asked).map(|component| row(component, &presence)).collect();
    if as_json {
        let objects: Vec<_> = rows
            .iter()
            .map(|row| json!({"name": row.component.name, "status": row.status, "addresses": row.addresses, "role": row.component.role}))
            .collect();
        screen::line(&serde_json::to_string_pretty(&objects)?)?;
        return Ok(ExitCode::SUCCESS);
    }
    let wide = screen::fits(WIDE);
    if wide {
        let head = format!("{:<22} {:<14} {:<18} {}", "NAME", "STATUS", "ADDRESS", "ROLE");
        screen::line(&paint(&head, Colour::Bold))?;
    }
    for row in &rows {
        row.show(wide)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Columns of the widest row of the table.
const WIDE: usize = 100;

struct ComponentRow {
    component: &'static Component,
    status: &'static str,
    addresses: Vec<String>,
}

impl ComponentRow {
    /// One line of a table where that fits, else a line for what it is and one for where.
    fn show(&self, wide: bool) -> anyhow::Result<()> {
        let Self { component, status, addresses } = self;
        let column = format!("{status:<14}");
        let painted = match *status {
            "healthy" => paint(&column, Colour::Green),
            "starting" | "stopping" | "unhealthy" => paint(&column, Colour::Yellow),
            _ => column.as_str().into(),
        };
        let address = addresses.first().map(String::as_str);
        if wide {
            let address = address.unwrap_or("-");
            return screen::line(&format!("{:<22} {painted} {address:<18} {}", component.name, component.role));
        }
        let what = [address, Some(component.role)].into_iter().flatten().collect::<Vec<_>>().join("  ");
        screen::line(format!("{:<22} {painted}", component.name).trim_end())?;
        screen::line(&screen::wrapped(&what, 2))
    }
}

fn row(component: &'static Component, presence: &Presence) -> ComponentRow {
    let (general, ready) = match presence {
        Presence::Stopped => ("stopped", None),
        Presence::Starting(..) => ("starting", None),
        Presence::Serving(_, ready) => ("healthy", Some(ready)),
        Presence::Silent(..) => ("unhealthy", None),
        Presence::Stopping(_) => ("stopping", None),
    };
    match component.kind {
        ComponentKind::NotNeeded => ComponentRow { component, status: "not needed", addresses: Vec::new() },
        ComponentKind::NotBuilt => ComponentRow { component, status: "not built yet", addresses: Vec::new() },
        ComponentKind::BuiltIn => ComponentRow {
            component,
            status: if general == "healthy" { "built-in" } else { general },
            addresses: Vec::new(),
        },
        ComponentKind::Service(service) => {
            let listening = ready.and_then(|ready| ready.listening(service));
            let addresses = listening.map(|listening| listening.addresses.iter().map(ToString::to_string).collect());
            ComponentRow { component, status: general, addresses: addresses.unwrap_or_default() }
        }
    }
}
