//! Exit codes as names of files: what a shell can make without any of its builtins.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use uuid::Uuid;

/// A directory of this user alone, removed when dropped.
pub(super) struct Signs {
    directory: PathBuf,
}

impl Signs {
    /// In memory, or in the directory for temporary files; none where neither can be written to.
    pub(super) fn create() -> Option<Self> {
        let name = format!(".harbor-{}", Uuid::new_v4().simple());
        let parents = [PathBuf::from("/dev/shm"), std::env::temp_dir()];
        let directory = parents.into_iter().map(|parent| parent.join(&name));
        let make = |directory: &PathBuf| DirBuilder::new().mode(0o700).create(directory).is_ok();
        directory.into_iter().find(make).map(|directory| Self { directory })
    }

    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    /// The exit code that a file tells, which is removed.
    pub(super) fn take(&self) -> Option<i32> {
        let mut names =
            std::fs::read_dir(&self.directory).ok()?.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        let code = names.find_map(|name| name.parse().ok())?;
        self.remove(code);
        Some(code)
    }

    /// Removes the file that tells this exit code, if there is one.
    pub(super) fn remove(&self, code: i32) {
        let _ = std::fs::remove_file(self.directory.join(code.to_string()));
    }
}

impl Drop for Signs {
    fn drop(&mut self) {
        // Somebody may have put something else there.
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}
