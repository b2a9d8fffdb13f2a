//! Health on the wire (contract, control-plane §14.3).

use std::collections::BTreeMap;

use serde::Serialize;
use utoipa::ToSchema;

use crate::Component;

/// harbor answers.
#[derive(Serialize, ToSchema)]
pub(crate) struct Health {
    pub(crate) status: &'static str,
}

/// Whether a create can work.
#[derive(Serialize, ToSchema)]
pub(crate) struct Ready {
    /// `ok` or `error`.
    status: &'static str,
    /// What is there.
    info: BTreeMap<&'static str, Part>,
    /// What is not.
    error: BTreeMap<&'static str, Part>,
    /// Both.
    details: BTreeMap<&'static str, Part>,
}

/// One component.
#[derive(Clone, Serialize, ToSchema)]
struct Part {
    /// `up` or `down`.
    status: &'static str,
    /// Why it is down.
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
}

impl Ready {
    /// From all components; ready when none has a problem.
    pub(crate) fn of(components: Vec<Component>) -> (bool, Self) {
        let mut ready = Self { status: "ok", info: BTreeMap::new(), error: BTreeMap::new(), details: BTreeMap::new() };
        for Component { name, problem } in components {
            let part = Part { status: if problem.is_none() { "up" } else { "down" }, message: problem };
            let side = if part.message.is_none() { &mut ready.info } else { &mut ready.error };
            side.insert(name, part.clone());
            ready.details.insert(name, part);
        }
        if !ready.error.is_empty() {
            ready.status = "error";
        }
        (ready.error.is_empty(), ready)
    }
}
