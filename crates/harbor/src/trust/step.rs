//! One change to the system: made where harbor runs as root, printed as a command for everybody else.
//!
//! Guarantees: what is printed does the same as what is done. A file appears whole or not at all. No program runs
//! longer than its time, and what it said is in the error.

use std::fs::{self, OpenOptions, Permissions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use anyhow::{Context as _, bail};
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::process::Command;

use crate::invocation::quoted;

/// How long one program may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Where the programs that keep certificates look for others, whatever the caller's PATH is.
const SEARCH_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// One change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Copy a file, so that everybody may read the copy.
    Copy { from: PathBuf, to: PathBuf },
    /// Remove a file.
    Remove(PathBuf),
    /// Run a program.
    Run { program: PathBuf, arguments: Vec<String> },
}

/// What a file holds, which is no link: its directory may be somebody's who may not read what root may.
fn read(file: &Path) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    let flags = i32::try_from(rustix::fs::OFlags::NOFOLLOW.bits()).unwrap_or_default();
    OpenOptions::new().read(true).custom_flags(flags).open(file)?.read_to_end(&mut content)?;
    Ok(content)
}

impl Step {
    /// Makes the change.
    pub(super) async fn perform(&self) -> anyhow::Result<()> {
        match self {
            Self::Copy { from, to } => {
                let content = read(from).with_context(|| format!("cannot read {}", from.display()))?;
                publish(to, &content).with_context(|| format!("cannot write {}", to.display()))
            }
            Self::Remove(file) => match fs::remove_file(file) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    Err(error).with_context(|| format!("cannot remove {}", file.display()))
                }
                _ => Ok(()),
            },
            Self::Run { program, arguments } => {
                let ended = output(program, arguments).await?;
                if !ended.status.success() {
                    bail!("{} failed ({}): {}", self.spoken(), ended.status, said(&ended));
                }
                Ok(())
            }
        }
    }

    /// The command that makes the change, to be pasted into a shell.
    pub(super) fn command(&self) -> String {
        format!("sudo {}", self.spoken())
    }

    fn spoken(&self) -> String {
        let words = match self {
            Self::Copy { from, to } => {
                vec!["install".to_owned(), "-m".to_owned(), "0644".to_owned(), shown(from), shown(to)]
            }
            Self::Remove(file) => vec!["rm".to_owned(), "-f".to_owned(), shown(file)],
            Self::Run { program, arguments } => {
                let mut words = vec![shown(program)];
                words.extend_from_slice(arguments);
                words
            }
        };
        words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" ")
    }
}

fn shown(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

/// Writes `content` to `path` in one step, for everybody to read. Until then the file's name begins with a dot and
/// ends like no certificate's, so that nobody takes it for one.
pub(super) fn publish(path: &Path, content: &[u8]) -> io::Result<()> {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let beside = path.with_file_name(format!(".{name}.{:016x}.new", rand::random::<u64>()));
    let published = write_new(&beside, content).and_then(|()| fs::rename(&beside, path));
    if published.is_err() {
        _ = fs::remove_file(&beside);
    }
    published
}

fn write_new(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).open(path)?;
    file.write_all(content)?;
    file.set_permissions(Permissions::from_mode(0o644))?; // whatever the umask is
    file.sync_all()
}

/// How `program` ended, and what it said.
pub(super) async fn output(program: &Path, arguments: &[String]) -> anyhow::Result<Output> {
    output_within(PATIENCE, program, arguments).await
}

/// The same; a program that takes longer than `patience` is ended together with those that it started.
pub(super) async fn output_within(patience: Duration, program: &Path, arguments: &[String]) -> anyhow::Result<Output> {
    let child = Command::new(program)
        .args(arguments)
        .env("PATH", SEARCH_PATH)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .with_context(|| format!("cannot run {}", program.display()))?;
    let group = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
    let ended = child.wait_with_output();
    tokio::pin!(ended);
    if let Ok(output) = tokio::time::timeout(patience, &mut ended).await {
        return output.with_context(|| format!("cannot run {}", program.display()));
    }
    if let Some(group) = group {
        _ = kill_process_group(group, Signal::KILL); // it may have ended this very moment
    }
    bail!("{} did not end within {} seconds", program.display(), patience.as_secs_f32());
}

/// What a program said, errors first.
fn said(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    let said = [text(&output.stderr), text(&output.stdout)].join("\n");
    if said.trim().is_empty() { "it said nothing".to_owned() } else { said.trim().to_owned() }
}
