//! `POST /files/folder`, `POST /files/permissions` and `DELETE /files` (contract, toolbox §11.4, §11.5, §11.7).

use std::fs::{DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _, chown};

use axum::extract::State;
use http::StatusCode;
use rustix::io::Errno;

use super::query::{Query, Target};
use super::stream::blocking;
use super::{accounts, failure, paths, remove};
use crate::context::Context;
use crate::http::error::Error;

/// Makes a directory and its missing parents, all with the same mode less the umask.
pub(super) async fn make_folder(State(context): State<Context>, query: Query) -> Result<StatusCode, Error> {
    let target = query.target(&context, "path")?;
    let mode = query.mode()?.unwrap_or(0o755);
    blocking(move || {
        let created = DirBuilder::new().recursive(true).mode(mode).create(&target.full);
        created.map_err(|error| failure::with_path(&target.given, &error))
    })
    .await?;
    Ok(StatusCode::CREATED)
}

/// Changes mode, owner and group, in this order; what is not given stays.
pub(super) async fn set_permissions(State(context): State<Context>, query: Query) -> Result<(), Error> {
    let target = query.target(&context, "path")?;
    let mode = query.mode()?;
    let owner = query.text("owner").map(std::borrow::Cow::into_owned);
    let group = query.text("group").map(std::borrow::Cow::into_owned);
    blocking(move || {
        let failed = |error: &io::Error| failure::with_path(&target.given, error);
        std::fs::metadata(&target.full).map_err(|error| failed(&error))?;
        if let Some(mode) = mode {
            std::fs::set_permissions(&target.full, Permissions::from_mode(mode)).map_err(|error| failed(&error))?;
        }
        let owner = owner.as_deref().map(accounts::user_id).transpose()?;
        let group = group.as_deref().map(accounts::group_id).transpose()?;
        if owner.is_none() && group.is_none() {
            return Ok(());
        }
        chown(&target.full, owner, group).map_err(|error| {
            let reason = failure::reason(&error);
            Error::bad_request(format!("{}: change owner: {reason}", paths::text(&target.given)))
        })
    })
    .await
}

/// Deletes a file, or a directory with everything in it when asked to.
pub(super) async fn delete(State(context): State<Context>, query: Query) -> Result<StatusCode, Error> {
    let target = query.target(&context, "path")?;
    let recursive = matches!(query.bytes("recursive"), Some(b"true" | b"True" | b"1"));
    blocking(move || delete_one(&target, recursive).map_err(|error| failure::with_path(&target.given, &error))).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn delete_one(target: &Target, recursive: bool) -> io::Result<()> {
    let directory = std::fs::metadata(&target.full)?.is_dir();
    if directory && !recursive {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "is a directory, which only recursive=true deletes"));
    }
    if matches!(paths::base(&target.given), b"." | b".." | b"/") {
        return Err(Errno::INVAL.into());
    }
    remove::tree(&target.full)
}
