//! Parts of volumes in sandboxes (`subpath`).
//!
//! The engine finds a directory by its path, and whoever has the volume may put a link in its place at any time. So what
//! came of it is looked at before anything runs that a user chose, in every run of the container:
//!
//! - before it starts, nothing on the way to a mount is a link in its files, so that none lies over harbor's own programs:
//!   process 1 is the toolbox, which does nothing until it is configured;
//! - before it is configured, the toolbox's program tells what is mounted, and each part has to be the one that was meant;
//! - a run that harbor did not begin so, because somebody else started the container or harbor ended in between, is ended and
//!   begun anew.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use futures_util::{StreamExt as _, TryStreamExt as _};
use harbor_model::ids::{ContainerId, LayerId, SandboxId};
use harbor_model::volumes::Mount;
use harbor_protocol::toolbox;
use rustix::fs::{AtFlags, CWD, Mode, OFlags, RenameFlags, fchmod, mkdirat, openat, renameat_with, unlinkat};
use rustix::io::Errno;

use crate::docker::handle::DockerEngine;
use crate::docker::known::Run;
use crate::docker::naming;
use crate::docker::objects::client::SLOW;
use crate::error::{EngineError, EngineSaid};

/// How long all looks at what is on the way to mounts may take, and how many there are at once.
const LOOKS: (Duration, usize) = (Duration::from_secs(30), 8);

/// How long the toolbox's program may take to tell what is mounted.
const LIMIT: Duration = Duration::from_secs(15);

/// How long after an error its container is ended.
const RECORDED: Duration = Duration::from_millis(500);

/// Below the directory of a sandbox's socket: in which run of its container everything was as it should be.
const CHECKED: &str = "checked";

impl DockerEngine {
    /// Makes the parts that are missing, and sees to it that nothing leads a mount elsewhere; answers whether it did, which it
    /// does where the container has parts and does not run.
    pub(crate) async fn prepare_parts(&self, id: &SandboxId, container: &ContainerId) -> Result<bool, EngineError> {
        let mounts = self.facts(id, container).await?.mounts;
        if mounts.is_empty() {
            return Ok(false);
        }
        let doing = format!("look at what is on the way to the volumes of sandbox {id}");
        let found = self.client().inspect_container(container.as_str(), &doing).await?;
        if found.state.is_some_and(|state| state.running) {
            return Ok(false);
        }
        self.known().note(id, |entry| (entry.prepared, entry.checked) = (None, None));
        self.directory_mounts(&mounts)?;
        let look = async |path: PathBuf| {
            if self.client().is_link(container.as_str(), &path, &doing).await? {
                let reason = format!("{} is a link", path.display());
                return Err(EngineError::Astray { sandbox: *id, reason });
            }
            Ok(())
        };
        let looks = futures_util::stream::iter(ways(&mounts)).map(look).buffer_unordered(LOOKS.1).try_collect::<()>();
        let too_slow = |_| EngineError::TooSlow { doing: doing.clone(), limit: LOOKS.0 };
        tokio::time::timeout(LOOKS.0, looks).await.map_err(too_slow)??;
        Ok(true)
    }

    /// Ends a container unless all its volumes are where they should be; only the toolbox has run in it since it was started.
    pub(crate) async fn check_parts(
        &self,
        id: &SandboxId,
        container: &ContainerId,
        mounts: &[Mount],
    ) -> Result<(), EngineError> {
        let doing = format!("look at what is mounted in container {}", naming::sandbox(id));
        let mut run = self.run(container, &doing).await?;
        let (mut known, file) = (self.known().get(id), self.socket_directory(id).join(CHECKED));
        if known.checked.as_ref() == Some(&run) || fs::read_to_string(&file).is_ok_and(|line| line == run.line()) {
            self.known().note(id, |entry| entry.checked = Some(run));
            return Ok(());
        }
        if known.prepared.as_ref() != Some(&run) {
            // started by somebody else, or by a harbor that ended before this: nothing of a user's has run in it
            self.client().stop_container(container.as_str(), 0, &doing, SLOW).await?;
            self.start(id, container).await?;
            (run, known) = (self.run(container, &doing).await?, self.known().get(id));
            if known.prepared.as_ref() != Some(&run) {
                let source = EngineSaid::new("somebody else starts it, too");
                return Err(EngineError::Conflict { doing, source });
            }
        }
        match self.look_at_mounts(id, container, mounts, &doing).await {
            Ok(()) => {}
            Err(error) if error.transient() => return Err(error),
            Err(error) => {
                self.known().note(id, |entry| entry.prepared = None);
                self.end_soon(run, doing);
                return Err(error);
            }
        }
        // without it, a harbor after this one begins the container anew
        fs::write(&file, run.line()).map_err(|source| EngineError::Files { doing, source })?;
        self.known().note(id, |entry| (entry.checked, entry.prepared) = (Some(run), None));
        Ok(())
    }

    /// Which run of a container this is.
    async fn run(&self, container: &ContainerId, doing: &str) -> Result<Run, EngineError> {
        let found = self.client().inspect_container(container.as_str(), doing).await?;
        let began = found.state.and_then(|state| state.started_at).unwrap_or_default();
        Ok(Run { container: container.clone(), began })
    }

    /// Ends a run of a container in a moment, when it stands in its row why: else it would only have ended by itself. Should
    /// harbor end before, the run is one that nobody has looked at.
    fn end_soon(&self, run: Run, doing: String) {
        let engine = self.clone();
        tokio::spawn(async move {
            tokio::time::sleep(RECORDED).await;
            let container = run.container.as_str();
            let ended = async {
                let found = engine.client().inspect_container(container, &doing).await?.state.unwrap_or_default();
                if found.running && found.started_at.as_ref() == Some(&run.began) {
                    engine.client().kill_container(container, &doing).await?;
                }
                Ok::<_, EngineError>(())
            };
            if let Err(error) = ended.await {
                tracing::info!(container, %error, "it was not ended");
            }
        });
    }

    async fn look_at_mounts(
        &self,
        id: &SandboxId,
        container: &ContainerId,
        mounts: &[Mount],
        doing: &str,
    ) -> Result<(), EngineError> {
        let command = [toolbox::BINARY, toolbox::MOUNTS];
        let theirs = self.client().run_as_root(container.as_str(), &command, doing, LIMIT).await?;
        let failed = |source| EngineError::Files { doing: "read what is mounted on this machine".to_owned(), source };
        let own = fs::read_to_string("/proc/self/mountinfo").map_err(failed)?;
        for mount in mounts {
            let volume = fs::canonicalize(self.volume_directory(&mount.volume)).map_err(failed)?;
            let part = volume.join(mount.subpath.as_deref().unwrap_or_default());
            let found = is_mounted(&own, &part, &theirs, Path::new(&mount.path));
            if let Err(instead) = found {
                tracing::warn!(sandbox = %id, mount.path, instead, "a mount leads elsewhere");
                let reason = format!(
                    "what the engine mounted at {} is not what was meant: somebody put a link in its place",
                    mount.path
                );
                return Err(EngineError::Astray { sandbox: *id, reason });
            }
        }
        Ok(())
    }
}

/// Makes a directory below that of a volume, for everybody in sandboxes to use. A link on the way is an error. A new one gets
/// its name when it has its rights.
pub(crate) fn make_part(volume: &Path, part: &Path) -> io::Result<()> {
    let directory = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let open = |parent: &OwnedFd, name: &Path, flags| openat(parent, name, directory | flags, Mode::empty());
    let mut parent = openat(CWD, volume, directory | OFlags::PATH, Mode::empty())?;
    for name in part.components() {
        let Component::Normal(name) = name else { return Err(io::ErrorKind::InvalidFilename.into()) };
        let name = Path::new(name);
        if matches!(open(&parent, name, OFlags::PATH), Err(Errno::NOENT)) {
            let unfinished = PathBuf::from(format!(".harbor-{}", LayerId::random()));
            mkdirat(&parent, &unfinished, Mode::from_raw_mode(0o700))?;
            fchmod(open(&parent, &unfinished, OFlags::RDONLY)?, Mode::from_raw_mode(0o777))?;
            match renameat_with(parent.as_fd(), &unfinished, parent.as_fd(), name, RenameFlags::NOREPLACE) {
                // somebody was quicker
                Err(Errno::EXIST) => unlinkat(&parent, &unfinished, AtFlags::REMOVEDIR)?,
                outcome => outcome?,
            }
        }
        parent = open(&parent, name, OFlags::PATH)?;
    }
    Ok(())
}

/// Every path on the way to these mounts and to harbor's own programs.
fn ways(mounts: &[Mount]) -> BTreeSet<PathBuf> {
    let mounts = mounts.iter().map(|mount| Path::new(&mount.path)).chain([Path::new(toolbox::DIRECTORY)]);
    mounts.flat_map(Path::ancestors).filter(|path| path.parent().is_some()).map(Path::to_owned).collect()
}

/// A line of `/proc/PID/mountinfo`.
struct Mounted {
    device: String,
    /// The directory of the file system that is mounted.
    root: PathBuf,
    at: PathBuf,
}

/// All that is mounted; `None` where that was not told whole.
fn mounts(told: &str) -> Option<Vec<Mounted>> {
    let line = |line: &str| {
        let (mounted, _) = line.split_once(" - ")?;
        let mut fields = mounted.split(' ').skip(2);
        let device = fields.next()?.to_owned();
        let (root, at) = (unescaped(fields.next()?), unescaped(fields.next()?));
        Some(Mounted { device, root, at })
    };
    told.ends_with('\n').then(|| told.lines().map(line).collect())?
}

/// A path without the kernel's escapes, `\` and three octal digits.
fn unescaped(text: &str) -> PathBuf {
    let (mut bytes, mut rest) = (Vec::new(), text.as_bytes());
    while let Some((first, after)) = rest.split_first() {
        let escaped = (*first == b'\\').then(|| after.get(..3)).flatten();
        let number = escaped.and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 8).ok());
        bytes.push(number.unwrap_or(*first));
        rest = if number.is_some() { &after[3..] } else { after };
    }
    PathBuf::from(OsString::from_vec(bytes))
}

/// Whether this directory of harbor's machine is all that is mounted at `at`, as a container tells. The error says what is
/// there instead.
fn is_mounted(own: &str, directory: &Path, theirs: &str, at: &Path) -> Result<(), String> {
    let (Some(own), Some(theirs)) = (mounts(own), mounts(theirs)) else { return Err("not told whole".to_owned()) };
    // of several at one place the last one is seen
    let around = own.iter().filter(|mount| directory.starts_with(&mount.at));
    let around = around.max_by_key(|mount| mount.at.components().count());
    let around =
        around.ok_or_else(|| format!("this machine does not tell where {} is mounted", directory.display()))?;
    let below = directory.strip_prefix(&around.at).unwrap_or(directory);
    // by its components, so that nothing is added where it is the whole file system
    let root: PathBuf = around.root.components().chain(below.components()).collect();
    let found: Vec<_> = theirs.iter().filter(|mount| mount.at == at).collect();
    match found.as_slice() {
        [mount] if mount.device == around.device && mount.root == root => Ok(()),
        [mount] => Err(format!("{} of {}", mount.root.display(), mount.device)),
        several => Err(format!("{} mounts", several.len())),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt as _, symlink};

    use harbor_model::ids::VolumeId;

    use super::*;

    fn mount(path: &str, subpath: Option<&str>) -> Mount {
        Mount::checked(VolumeId::random(), path, subpath).unwrap()
    }

    #[test]
    fn a_part_is_made_for_everybody_and_no_link_is_followed() {
        let parent = tempfile::tempdir().unwrap();
        let (volume, outside) = (parent.path().join("volume"), parent.path().join("outside"));
        fs::create_dir(&volume).unwrap();
        fs::create_dir(&outside).unwrap();
        make_part(&volume, Path::new("users/ü")).unwrap();
        make_part(&volume, Path::new("users/ü")).unwrap();
        for made in ["users", "users/ü"] {
            assert_eq!(fs::metadata(volume.join(made)).unwrap().mode() & 0o7777, 0o777, "{made}");
        }
        symlink(&outside, volume.join("link")).unwrap();
        symlink("users", volume.join("within")).unwrap();
        fs::write(volume.join("file"), "").unwrap();
        for wrong in ["link", "link/deeper", "within", "file", "file/deeper", "/etc/new", "../new", "users/../../new"] {
            make_part(&volume, Path::new(wrong)).unwrap_err();
        }
        assert_eq!(fs::read_dir(outside).unwrap().count(), 0);
        assert_eq!(fs::read_dir(volume).unwrap().count(), 4, "nothing unfinished is left");
    }

    #[test]
    fn what_is_mounted_has_to_be_what_was_meant() {
        let part = Path::new("/data/a b/users");
        let own = "21 1 8:1 / / rw - ext4 /dev/a rw\n22 21 8:2 /@data /data rw - btrfs /dev/b rw\n";
        let line = |device: &str, root: &str, at: &str| format!("90 80 {device} {root} {at} rw - btrfs /dev/b rw\n");
        let check = |theirs: &str| is_mounted(own, part, theirs, Path::new("/m"));
        let right = line("8:2", "/@data/a\\040b/users", "/m");
        check(&right).unwrap();
        check(&(line("8:2", "/@data", "/m/deeper") + &right)).unwrap();
        is_mounted(
            "21 1 8:1 / / rw - ext4 /dev/a rw\n",
            part,
            &right.replace("8:2 /@data", "8:1 /data"),
            Path::new("/m"),
        )
        .unwrap();
        for wrong in [
            line("8:2", "/@data", "/m"),
            line("8:2", "/@data/a\\040b", "/m"),
            line("8:2", "/@data/a\\040b/other", "/m"),
            line("8:2", "/@data/a\\040b/users/deeper", "/m"),
            line("8:2", "/etc", "/m"),
            line("8:1", "/@data/a\\040b/users", "/m"),
            line("8:2", "/@data/a\\040b/users", "/n"),
            right.clone() + &right,
            // cut, so that another place seems to be meant
            line("8:2", "/@data/a\\040b/users", "/mnt")[..36].to_owned(),
            right.trim_end().to_owned(),
            right.clone() + "nonsense\n",
            String::new(),
        ] {
            check(&wrong).unwrap_err();
        }
    }

    #[test]
    fn every_directory_on_the_way_is_looked_at() {
        let found: Vec<_> = ways(&[mount("/home/x/data", Some("a")), mount("/m", None)]).into_iter().collect();
        let expected = ["/home", "/home/x", "/home/x/data", "/m", "/opt", "/opt/harbor"].map(PathBuf::from);
        assert_eq!(found, expected);
    }
}
