//! Who has the outputs of a command open.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::Pid;
use tokio::time::sleep;

/// How long to wait for the outputs to end by themselves, and between two looks.
const LOOK: Duration = Duration::from_millis(200);

/// Waits until `process` and nobody else has one of these outputs open, as a shell after `exec 3>&1`.
///
/// Ends only then; who holds them of other users is not seen.
pub(super) async fn only(process: Pid, outputs: &[PathBuf]) {
    loop {
        sleep(LOOK).await;
        let identities: Vec<_> = outputs.iter().filter_map(|output| identity(output)).collect();
        let own = process.as_raw_nonzero().to_string();
        if has_one_of(&own, &identities) && !others(&own).any(|process| has_one_of(&process, &identities)) {
            return;
        }
    }
}

/// Device and number of a file.
fn identity(file: &Path) -> Option<(u64, u64)> {
    std::fs::metadata(file).ok().map(|metadata| (metadata.dev(), metadata.ino()))
}

/// Every process but `own` and this one, which reads them.
fn others(own: &str) -> impl Iterator<Item = String> {
    let this = std::process::id().to_string();
    let entries = std::fs::read_dir("/proc").into_iter().flatten();
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    names.filter(move |name| name.bytes().all(|byte| byte.is_ascii_digit()) && name != own && *name != this)
}

fn has_one_of(process: &str, files: &[(u64, u64)]) -> bool {
    let Ok(descriptors) = std::fs::read_dir(format!("/proc/{process}/fd")) else { return false };
    descriptors.flatten().any(|descriptor| identity(&descriptor.path()).is_some_and(|found| files.contains(&found)))
}
