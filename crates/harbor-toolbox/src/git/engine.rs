//! Which git there is: the image's own, else the one that is delivered beside this program (`harbor-git`).
//!
//! The second speaks the part of git's command line that is used here, with git's words, so nothing else tells them
//! apart. It is a program of its own, so that what it needs is in memory while it runs and not longer.

use std::ffi::{OsStr, OsString};

use crate::environment::Environment;
use crate::process::command;

/// File name of the git that comes with this program.
const BUILT_IN: &str = "harbor-git";

/// The program to run; none when there is neither.
pub(super) fn program(environment: &Environment) -> Option<OsString> {
    command::on_path(OsStr::new("git"), environment).or_else(built_in).map(OsString::from)
}

fn built_in() -> Option<std::path::PathBuf> {
    let beside = std::env::current_exe().ok()?.with_file_name(BUILT_IN);
    beside.is_file().then_some(beside)
}
