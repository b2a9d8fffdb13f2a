//! Where an installation's files lie, and making those directories.
//!
//! Guarantees: the data directory is 0700, and a directory that holds something else is refused rather than
//! tightened and filled.

use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

/// What may lie at the top of a data directory.
const OWN: &[&str] = &[
    "archives",
    "config.toml",
    "harbor.db",
    "harbor.db-journal",
    "harbor.db-shm",
    "harbor.db-wal",
    "instance",
    "keys",
    "lock",
    "logs",
    "objects",
    "registry",
    "run",
    "volumes",
    "db",
    "dex",
    "minio",
    "node",
];

/// The files and directories of an installation.
#[derive(Clone, Debug)]
pub(crate) struct Directories {
    root: PathBuf,
    workspace: Option<PathBuf>,
}

impl Directories {
    /// Those below `root`; database and objects below `workspace` where one is given.
    pub(crate) fn new(root: &Path, workspace: Option<&Path>) -> Self {
        Self { root: root.to_owned(), workspace: workspace.map(Path::to_owned) }
    }

    /// The data directory itself.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Whether the engine would cut the path of the data directory in two, where sandboxes get sockets out of it.
    pub(crate) fn has_colon(&self) -> bool {
        self.root.as_os_str().as_encoded_bytes().contains(&b':')
    }

    /// The SQLite database.
    pub(crate) fn database(&self) -> PathBuf {
        match &self.workspace {
            Some(workspace) => workspace.join("db/harbor.db"),
            None => self.root.join("harbor.db"),
        }
    }

    /// Blobs: objects of buckets, build contexts, layers of the registry's images.
    pub(crate) fn objects(&self) -> PathBuf {
        self.workspace.as_ref().map_or_else(|| self.root.join("objects"), |workspace| workspace.join("minio"))
    }

    /// One directory per volume.
    pub(crate) fn volumes(&self) -> PathBuf {
        self.root.join("volumes")
    }

    /// Writable layers of archived sandboxes.
    pub(crate) fn archives(&self) -> PathBuf {
        self.root.join("archives")
    }

    /// Generated secrets, each 0600.
    pub(crate) fn keys(&self) -> PathBuf {
        self.root.join("keys")
    }

    /// Log files.
    pub(crate) fn logs(&self) -> PathBuf {
        self.root.join("logs")
    }

    /// Sockets and the state of the running process.
    pub(crate) fn run(&self) -> PathBuf {
        self.root.join("run")
    }

    /// The id of this installation: a UUID and a newline.
    pub(crate) fn instance(&self) -> PathBuf {
        self.root.join("instance")
    }

    /// Held by the one harbor that runs on this directory.
    pub(crate) fn lock(&self) -> PathBuf {
        self.root.join("lock")
    }

    /// What the running harbor says about itself.
    pub(crate) fn state(&self) -> PathBuf {
        self.run().join("state.json")
    }

    /// What the running harbor was started with.
    pub(crate) fn settings(&self) -> PathBuf {
        self.run().join("settings.json")
    }

    /// The current log file.
    pub(crate) fn log(&self) -> PathBuf {
        self.logs().join("harbor.log")
    }

    /// Standard error of the process in the background, where a crash would write.
    pub(crate) fn standard_error(&self) -> PathBuf {
        self.logs().join("stderr.log")
    }

    /// Makes what is missing. Idempotent; an error is one line with its remedy.
    pub(crate) fn create(&self) -> anyhow::Result<()> {
        self.create_root()?;
        let below = [self.volumes(), self.archives(), self.keys(), self.logs(), self.run(), self.objects()];
        let database = self.database();
        for directory in below.iter().map(PathBuf::as_path).chain(database.parent()) {
            make(directory).with_context(|| format!("cannot make the directory {}", directory.display()))?;
        }
        Ok(())
    }

    /// Something in the data directory that is not harbor's.
    pub(crate) fn foreign(&self) -> anyhow::Result<Option<PathBuf>> {
        let entries = match fs::read_dir(&self.root) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            entries => entries.with_context(|| format!("cannot read the data directory {}", self.root.display()))?,
        };
        let is_own = |name: &str| OWN.contains(&name) || name == "lost+found" || name.starts_with('.');
        let foreign = entries.flatten().map(|entry| entry.file_name());
        Ok(foreign.map(PathBuf::from).find(|name| !name.to_str().is_some_and(is_own)))
    }

    /// Makes the data directory, and nothing below it.
    pub(crate) fn create_root(&self) -> anyhow::Result<()> {
        let shown = self.root.display();
        let remedy = "name a directory of yours with --data-dir or HARBOR_DATA_DIR";
        if self.has_colon() {
            bail!("the data directory {shown} has a colon in it, which ends a path for the engine: {remedy}");
        }
        if !self.root.is_dir() {
            make(&self.root).with_context(|| format!("cannot make the data directory {shown} ({remedy})"))?;
        }
        if let Some(foreign) = self.foreign().with_context(|| remedy)? {
            bail!("{shown} holds {}, which is not harbor's: {remedy}", foreign.display());
        }
        fs::set_permissions(&self.root, Permissions::from_mode(0o700))
            .with_context(|| format!("the data directory {shown} is not ours ({remedy})"))?;
        rustix::fs::access(&self.root, rustix::fs::Access::WRITE_OK)
            .with_context(|| format!("cannot write to the data directory {shown} ({remedy})"))
    }
}

fn make(directory: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(directory)
}

/// The data directory when none is configured: root's is the system's, everybody else has their own.
pub(crate) fn default_root() -> anyhow::Result<PathBuf> {
    if rustix::process::geteuid().is_root() {
        return Ok(PathBuf::from("/var/lib/harbor"));
    }
    let absolute = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    absolute("XDG_DATA_HOME")
        .or_else(|| absolute("HOME").map(|home| home.join(".local/share")))
        .map(|data| data.join("harbor"))
        .context("HOME is not set: name a data directory with --data-dir or HARBOR_DATA_DIR")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_data_directory_is_private() {
        let parent = tempfile::tempdir().unwrap();
        let root = parent.path().join("a/b");
        let directories = Directories::new(&root, None);
        directories.create().unwrap();
        directories.create().unwrap();
        for path in [root, directories.keys(), directories.run()] {
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700, "{}", path.display());
        }
    }

    #[test]
    fn a_directory_with_other_things_is_left_alone() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("thesis.txt"), "").unwrap();
        fs::set_permissions(root.path(), Permissions::from_mode(0o755)).unwrap();
        let refusal = Directories::new(root.path(), None).create().unwrap_err().to_string();
        assert!(refusal.contains("thesis.txt") && refusal.contains("--data-dir"), "{refusal}");
        assert_eq!(fs::metadata(root.path()).unwrap().permissions().mode() & 0o777, 0o755);
        assert!(!root.path().join("keys").exists());
    }

    #[test]
    fn a_path_that_the_engine_would_cut_is_refused() {
        let parent = tempfile::tempdir().unwrap();
        let root = parent.path().join("co:lon/data");
        let refusal = Directories::new(&root, None).create().unwrap_err().to_string();
        assert!(refusal.contains("has a colon") && refusal.contains("--data-dir"), "{refusal}");
        assert!(!root.exists());
    }

    #[test]
    fn what_a_crash_leaves_beside_the_database_is_ours() {
        let root = tempfile::tempdir().unwrap();
        // the journal: from before the database was switched to a log
        for end in ["", "-journal", "-wal", "-shm"] {
            fs::write(root.path().join(format!("harbor.db{end}")), "").unwrap();
        }
        Directories::new(root.path(), None).create().unwrap();
    }

    #[test]
    fn a_workspace_holds_what_the_documents_say() {
        let directories = Directories::new(Path::new("/data"), Some(Path::new("/work space")));
        assert_eq!(directories.database(), Path::new("/work space/db/harbor.db"));
        assert_eq!(directories.objects(), Path::new("/work space/minio"));
        assert_eq!(directories.keys(), Path::new("/data/keys"));
    }
}
