//! `harbor ps`: the documented components and what each is here (contract, edges §10.4).

use std::process::ExitCode;

use serde_json::json;

use super::note_foreign;
use crate::components::{COMPONENTS, Component, HANDLE, Place};
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
    screen::line(&paint(&format!("{:<22} {:<14} {:<18} {}", "NAME", "STATUS", "ADDRESS", "ROLE"), Colour::Bold))?;
    for Row { component, status, addresses } in &rows {
        let address = addresses.first().map_or("-", String::as_str);
        let status_column = format!("{status:<14}");
        let status = match *status {
            "healthy" => paint(&status_column, Colour::Green),
            "starting" | "stopping" | "unhealthy" => paint(&status_column, Colour::Yellow),
            _ => status_column.as_str().into(),
        };
        screen::line(&format!("{:<22} {status} {address:<18} {}", component.name, component.role))?;
    }
    Ok(ExitCode::SUCCESS)
}

struct Row {
    component: &'static Component,
    status: &'static str,
    addresses: Vec<String>,
}

fn row(component: &'static Component, presence: &Presence) -> Row {
    let (general, ready) = match presence {
        Presence::Stopped => ("stopped", None),
        Presence::Starting(..) => ("starting", None),
        Presence::Serving(_, ready) => ("healthy", Some(ready)),
        Presence::Silent(..) => ("unhealthy", None),
        Presence::Stopping(_) => ("stopping", None),
    };
    match component.place {
        Place::NotNeeded => Row { component, status: "not needed", addresses: Vec::new() },
        Place::NotBuilt => Row { component, status: "not built yet", addresses: Vec::new() },
        Place::BuiltIn => {
            Row { component, status: if general == "healthy" { "built-in" } else { general }, addresses: Vec::new() }
        }
        Place::Service(service) => match ready.map(|ready| ready.listening(service)) {
            Some(Some(listening)) => Row {
                component,
                status: "healthy",
                addresses: listening.addresses.iter().map(ToString::to_string).collect(),
            },
            Some(None) => Row { component, status: "not built yet", addresses: Vec::new() },
            None => Row { component, status: general, addresses: Vec::new() },
        },
    }
}
