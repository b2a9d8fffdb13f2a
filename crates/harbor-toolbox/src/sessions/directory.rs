//! Where the logs of sessions are kept.

use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::PathBuf;

use crate::context::Context;

/// Makes the directory for the logs of a session: below the home directory, or where that cannot be written to (a
/// read-only root), in a directory for temporary files.
pub(super) fn make_directory(context: &Context, session: &str) -> io::Result<PathBuf> {
    let private = format!(".daytona-{}", rustix::process::geteuid().as_raw());
    let temporary = context.variable("TMPDIR").map_or_else(|| "/tmp".into(), PathBuf::from);
    let parents = [context.home().join(".daytona"), temporary.join(&private), PathBuf::from("/dev/shm").join(&private)];
    let mut first = None;
    for parent in parents {
        let directory = parent.join("sessions").join(session);
        match DirBuilder::new().recursive(true).mode(0o755).create(&directory) {
            Ok(()) => return Ok(directory),
            Err(error) => first.get_or_insert(error),
        };
    }
    Err(first.unwrap_or_else(|| io::ErrorKind::NotFound.into()))
}
