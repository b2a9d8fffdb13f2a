//! `POST /env`: changes the environment of processes started from now on (contract, toolbox §5.1).

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt as _;

use axum::extract::State;
use serde::{Deserialize, Serialize};

use crate::context::Context;
use crate::environment::Changes;
use crate::http::error::Error;
use crate::http::json::{Body, Json};
use crate::process::command::{Variables, check_names};

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Update {
    set: Variables,
    unset: Vec<String>,
    unset_value_prefix: Option<String>,
}

#[derive(Serialize)]
pub(super) struct Message {
    message: &'static str,
}

pub(super) async fn update(
    State(context): State<Context>,
    Body(Update { set, unset, unset_value_prefix }): Body<Update>,
) -> Result<Json<Message>, Error> {
    check_names(&set)?;
    check_names(&unset.iter().map(|name| (name.clone(), None)).collect())?;
    if let Some((name, _)) = set.iter().find(|(_, value)| value.as_deref().is_some_and(|value| value.contains('\0'))) {
        return Err(Error::bad_request(format!("invalid value of environment variable: '{name}'")));
    }
    let mut changes: Changes = unset.into_iter().map(|name| (name.into(), None)).collect();
    if let Some(prefix) = unset_value_prefix.filter(|prefix| !prefix.is_empty()) {
        let environment = context.environment();
        let begins = |value: &OsString| value.as_bytes().starts_with(prefix.as_bytes());
        let names = environment.iter().filter(|(_, value)| begins(value)).map(|(name, _)| name.clone());
        changes.extend(names.map(|name| (name, None)));
    }
    changes.extend(set.into_iter().map(|(name, value)| (name.into(), Some(value.unwrap_or_default().into()))));
    context.change_environment(changes);
    Ok(Json(Message { message: "Environment updated" }))
}
