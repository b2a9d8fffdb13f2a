//! Volumes: directories of harbor's machine in sandboxes (design D7).
//!
//! Guarantees: a volume appears with the rights that it is to have, and nothing of the machine but what lies in it: where the
//! engine is told of a part of one, what it mounted is looked at (`parts.rs`).

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use harbor_model::ids::VolumeId;
use harbor_model::volumes::Mount;
use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;

use crate::docker::copies::LONGEST_COPY;
use crate::docker::handle::DockerEngine;
use crate::docker::layer;
use crate::docker::objects::containers::DirectoryMount;
use crate::docker::parts::make_part;
use crate::error::EngineError;

impl DockerEngine {
    /// The directories of these volumes as the engine is told of them. They are there afterwards.
    pub(crate) fn directory_mounts(&self, mounts: &[Mount]) -> Result<Vec<DirectoryMount>, EngineError> {
        let mount = |mount: &Mount| {
            let volume = self.volume_directory(&mount.volume);
            made(&volume).map_err(|source| files(format!("make {}", volume.display()), source))?;
            let part = volume.join(mount.subpath.as_deref().unwrap_or_default());
            if let Some(subpath) = &mount.subpath {
                make_part(&volume, Path::new(subpath))
                    .map_err(|source| files(format!("make {subpath} in volume {}", mount.volume), source))?;
            }
            let source = part.to_str().map(str::to_owned).ok_or_else(|| EngineError::Setting {
                setting: "the data directory",
                reason: format!("{} is not UTF-8, as the engine needs it", self.config().volume_directory.display()),
            })?;
            Ok(DirectoryMount { source, directory: mount.path.clone() })
        };
        mounts.iter().map(mount).collect()
    }

    /// Removes a volume with all that is in it, which no sandbox has any more. One that is gone is fine.
    pub async fn remove_volume(&self, volume: &VolumeId) -> Result<(), EngineError> {
        let directory = self.volume_directory(volume);
        let removed = match layer::remove(&directory, LONGEST_COPY).await {
            // what root has written in a sandbox is root's here, too, and the directory itself may be closed to us
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                self.empty_on_engine(&directory).await?;
                fs::remove_dir(&directory)
            }
            outcome => outcome,
        };
        removed.map_err(|source| files(format!("remove {}", directory.display()), source))
    }

    /// The volumes that there are.
    pub fn volumes(&self) -> Result<Vec<VolumeId>, EngineError> {
        let directory = &self.config().volume_directory;
        let read = || -> io::Result<Vec<VolumeId>> {
            let names = fs::read_dir(directory)?.map(|file| Ok(file?.file_name())).collect::<io::Result<Vec<_>>>()?;
            Ok(names.iter().filter_map(|name| name.to_str()?.parse().ok()).collect())
        };
        match read() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            outcome => outcome.map_err(|source| files(format!("read {}", directory.display()), source)),
        }
    }

    pub(crate) fn volume_directory(&self, volume: &VolumeId) -> PathBuf {
        self.config().volume_directory.join(volume.to_string())
    }
}

fn files(doing: String, source: io::Error) -> EngineError {
    EngineError::Files { doing, source }
}

/// Makes the directory of a volume, for everybody in sandboxes to use; the one above it is harbor's alone. It gets its name
/// when it has its rights, which whoever has the volume may take away again.
fn made(volume: &Path) -> io::Result<()> {
    if volume.is_dir() {
        return Ok(());
    }
    let unfinished = volume.with_extension("new");
    match fs::create_dir(&unfinished) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => fs::set_permissions(&unfinished, fs::Permissions::from_mode(0o777))?,
    }
    match renameat_with(CWD, &unfinished, CWD, volume, RenameFlags::NOREPLACE) {
        // somebody was quicker
        Err(Errno::EXIST | Errno::NOENT) if volume.is_dir() => Ok(()),
        outcome => Ok(outcome?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_volume_is_made_with_its_rights_by_whoever_goes_on_and_keeps_those_it_was_given() {
        let parent = tempfile::tempdir().unwrap();
        let volume = parent.path().join("9b1deb4d-3b7d-4bad-9bdd-2b0d7b3dcb6d");
        // a harbor that died before it was done
        fs::create_dir(volume.with_extension("new")).unwrap();
        made(&volume).unwrap();
        let mode = || fs::metadata(&volume).unwrap().permissions().mode() & 0o7777;
        assert_eq!(mode(), 0o777);
        fs::set_permissions(&volume, fs::Permissions::from_mode(0o700)).unwrap();
        fs::write(volume.join("file"), "kept").unwrap();
        made(&volume).unwrap();
        assert_eq!((mode(), fs::read_to_string(volume.join("file")).unwrap().as_str()), (0o700, "kept"));
        assert_eq!(fs::read_dir(parent.path()).unwrap().count(), 1);
    }
}
