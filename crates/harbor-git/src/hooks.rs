//! The hooks of a repository on this machine that is pushed to, which are that repository's wish.

use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

/// A reference that a push moves.
pub(crate) struct Move {
    pub(crate) name: String,
    pub(crate) from: String,
    pub(crate) to: String,
}

/// Asks `pre-receive` and `update`; the name of the one that refused.
pub(crate) fn before(git_directory: &Path, moves: &[Move]) -> Result<(), &'static str> {
    if !run(git_directory, "pre-receive", &[], &lines(moves)) {
        return Err("pre-receive hook declined");
    }
    let refused = moves.iter().any(|step| !run(git_directory, "update", &[&step.name, &step.from, &step.to], ""));
    if refused { Err("hook declined") } else { Ok(()) }
}

/// Tells `post-receive` and `post-update`; what they make of it changes nothing.
pub(crate) fn after(git_directory: &Path, moves: &[Move]) {
    run(git_directory, "post-receive", &[], &lines(moves));
    let names: Vec<_> = moves.iter().map(|step| step.name.as_str()).collect();
    run(git_directory, "post-update", &names, "");
}

fn lines(moves: &[Move]) -> String {
    moves.iter().map(|step| format!("{} {} {}\n", step.from, step.to, step.name)).collect::<Vec<_>>().concat()
}

/// Whether a hook succeeded, or is not there. What it says goes to standard error.
fn run(git_directory: &Path, name: &str, arguments: &[&str], input: &str) -> bool {
    let hook = git_directory.join("hooks").join(name);
    let runs = hook.metadata().is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0);
    if !runs {
        return true;
    }
    let mut command = Command::new(&hook);
    command.args(arguments).current_dir(git_directory).env("GIT_DIR", ".");
    let child = command.stdin(Stdio::piped()).stdout(std::io::stderr()).spawn();
    let Ok(mut child) = child else { return false };
    if let Some(mut pipe) = child.stdin.take() {
        // A hook need not read it.
        let _ = pipe.write_all(input.as_bytes());
    }
    child.wait().is_ok_and(|status| status.success())
}
