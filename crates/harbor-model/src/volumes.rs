//! Volumes: directories that outlive sandboxes, and that many may have at once (contract, control-plane §5.9, §7).

use std::collections::BTreeSet;

use crate::Timestamp;
use crate::ids::{OrganizationId, VolumeId};
use crate::names::DisplayName;

/// A volume.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Volume {
    /// Its id; also what its directory is called.
    pub id: VolumeId,
    /// Whose it is.
    pub organization: OrganizationId,
    /// Its name, unique among those of its organization that are ready.
    pub name: DisplayName,
    /// Where it stands.
    pub state: VolumeState,
    /// Why it could not be removed yet.
    pub error: Option<String>,
    /// When a sandbox was last made that has it.
    pub last_used_at: Option<Timestamp>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When its name or state last changed.
    pub updated_at: Timestamp,
}

impl Volume {
    /// Wants it gone at `at`: its name is free from then on.
    pub fn delete(&mut self, at: Timestamp) {
        self.state = VolumeState::Deleting;
        self.name = self.name.deleted();
        self.updated_at = at;
    }

    /// Notes at `at` that its files are gone, or why they are not.
    pub fn note_removal(&mut self, outcome: Result<(), String>, at: Timestamp) {
        self.error = outcome.err();
        if self.error.is_none() {
            self.state = VolumeState::Deleted;
        }
        self.updated_at = at;
    }
}

/// Where a volume stands. One is ready as soon as it is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum VolumeState {
    /// Usable.
    Ready,
    /// It is to be removed, or just being.
    Deleting,
    /// Its files are gone; only what it was is still told.
    Deleted,
}

impl VolumeState {
    /// Every state.
    pub const ALL: &[Self] = &[Self::Ready, Self::Deleting, Self::Deleted];

    /// The contract's word.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Deleting => "deleting",
            Self::Deleted => "deleted",
        }
    }

    /// The state with this word.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|state| state.word() == word)
    }
}

/// A volume in a sandbox; fixed for the sandbox's life.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// The volume.
    pub volume: VolumeId,
    /// Where it appears: absolute, and none of the directories that a system needs.
    pub path: String,
    /// The directory of it that appears there, below its own: names with slashes between. `None`: all of it.
    pub subpath: Option<String>,
}

/// Directories of a sandbox that no volume may hide or lie in: the system's, and harbor's own.
const SYSTEM: [&str; 10] = ["/proc", "/sys", "/dev", "/boot", "/etc", "/bin", "/sbin", "/lib", "/lib64", OWN];

/// Where harbor\'s programs are.
const OWN: &str = "/opt/harbor";

/// Bytes of a path, far above what anybody needs: the engine takes long for deep ones; and of one name in it.
const LONGEST: (usize, usize) = (1024, 255);

/// Names of a path, far above what anybody needs: each directory on the way to a mount is looked at when a sandbox starts.
const DEEPEST: usize = 32;

/// The most mounts of one sandbox: each takes a moment whenever it starts.
const MOST: usize = 100;

impl Mount {
    /// A volume at `path`, of which `subpath` is asked for; one without a name means all of it. The error says everything
    /// that is wrong with them.
    pub fn checked(volume: VolumeId, path: &str, subpath: Option<&str>) -> Result<Self, Vec<String>> {
        let of_path = path_problems(path).into_iter().map(|why| format!("Invalid mount path {path} ({why})"));
        let of_subpath = subpath.into_iter().flat_map(|subpath| {
            let shown = move |why| format!("Invalid subpath \"{subpath}\" ({why})");
            subpath_problems(subpath).into_iter().map(shown)
        });
        let problems: Vec<String> = of_path.chain(of_subpath).collect();
        if !problems.is_empty() {
            return Err(problems);
        }
        let names =
            subpath.into_iter().flat_map(|subpath| subpath.split('/')).filter(|name| !matches!(*name, "" | "."));
        let subpath = Some(names.collect::<Vec<_>>().join("/")).filter(|names| !names.is_empty());
        Ok(Self { volume, path: path.trim_end_matches('/').to_owned(), subpath })
    }

    /// Whether a sandbox can have all of these; the error says why not.
    pub fn fit(mounts: &[Self]) -> Result<(), String> {
        if mounts.len() > MOST {
            return Err(format!("A sandbox can have at most {MOST} volumes, not {}", mounts.len()));
        }
        let paths: BTreeSet<&str> = mounts.iter().map(|mount| mount.path.as_str()).collect();
        if paths.len() < mounts.len() {
            return Err("Invalid mount paths: two volumes cannot be at one path".to_owned());
        }
        // a link in the outer one could lead the inner one elsewhere
        let above = |path: &str| paths.iter().copied().find(|other| path != *other && is_below(path, other));
        let inner = paths.iter().copied().find_map(|path| Some((path, above(path)?)));
        let Some((path, other)) = inner else { return Ok(()) };
        Err(format!("Invalid mount path {path} (lies in the volume at {other})"))
    }
}

/// Whether `path` is this directory or below it.
fn is_below(path: &str, directory: &str) -> bool {
    path.strip_prefix(directory).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn path_problems(path: &str) -> Vec<&'static str> {
    let rules = [
        (!path.starts_with('/'), "must be absolute"),
        (path.trim_matches('/').is_empty() && path.starts_with('/'), "cannot mount to the root directory"),
        (path.split('/').any(|name| matches!(name, "." | "..")), "cannot contain relative path components"),
        (path.contains("//"), "cannot contain consecutive slashes"),
        (
            SYSTEM.iter().any(|directory| is_below(path, directory)) || is_below(OWN, path.trim_end_matches('/')),
            "cannot mount to system directory",
        ),
    ];
    broken(path, rules)
}

fn subpath_problems(subpath: &str) -> Vec<&'static str> {
    let rules = [
        (subpath.starts_with('/'), "must be relative"),
        (subpath.contains(".."), "cannot contain '..'"),
        (subpath.contains("//"), "cannot contain consecutive slashes"),
    ];
    broken(subpath, rules)
}

/// The rules that are broken, and those that hold for every path.
fn broken<const N: usize>(path: &str, rules: [(bool, &'static str); N]) -> Vec<&'static str> {
    let everywhere = [
        (path.contains(char::is_control), "cannot contain control characters"),
        (path.len() > LONGEST.0 || path.split('/').any(|name| name.len() > LONGEST.1), "is too long"),
        (path.split('/').count() > DEEPEST + 1, "has too many names"),
    ];
    rules.into_iter().chain(everywhere).filter_map(|(broken, why)| broken.then_some(why)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mount(path: &str, subpath: &str) -> Result<Mount, String> {
        Mount::checked(VolumeId::random(), path, Some(subpath)).map_err(|problems| problems.join(", "))
    }

    /// Words of the contract's reference (recordings, `api-sandbox-create`).
    #[test]
    fn paths_that_hide_the_system_or_are_no_paths_are_refused() {
        for (path, why) in [
            ("mnt", "Invalid mount path mnt (must be absolute)"),
            ("/a/../b", "Invalid mount path /a/../b (cannot contain relative path components)"),
            ("/a//b", "Invalid mount path /a//b (cannot contain consecutive slashes)"),
            ("/etc", "Invalid mount path /etc (cannot mount to system directory)"),
            ("/lib64/x", "Invalid mount path /lib64/x (cannot mount to system directory)"),
        ] {
            assert_eq!(mount(path, "").unwrap_err(), why);
        }
        for path in [
            "",
            "/",
            "//",
            "//a",
            "/a/.",
            "/a/..",
            "/./a",
            "/opt/harbor/current",
            "/opt",
            "/opt/",
            "/proc/",
            "/a\0",
            "/a\nb",
        ] {
            mount(path, "").unwrap_err();
        }
        for path in [format!("/{}", "n".repeat(256)), "/n".repeat(2048)] {
            mount(&path, "").unwrap_err();
        }
        for path in
            ["/home/daytona/data", "/etcetera", "/mnt/v/", "/a b/ü", "/library", "/opt/harbors", "/opt/data", "/..a"]
        {
            mount(path, "").unwrap();
        }
    }

    #[test]
    fn subpaths_stay_in_their_volume() {
        let double = mount("/m", "a//b").unwrap_err();
        assert_eq!(double, "Invalid subpath \"a//b\" (cannot contain consecutive slashes)");
        for subpath in ["/a", "..", "a/../b", "a..b", "a\0b", "a\n"] {
            mount("/m", subpath).unwrap_err();
        }
        for (subpath, kept) in
            [("", None), ("a", Some("a")), ("a/", Some("a")), ("./users/./ü", Some("users/ü")), (".", None)]
        {
            assert_eq!(mount("/m", subpath).unwrap().subpath.as_deref(), kept);
        }
        let both = mount("mnt", "/a//b").unwrap_err();
        assert_eq!(both.matches("Invalid").count(), 3, "{both}");
    }

    #[test]
    fn no_two_volumes_are_at_one_path_or_in_each_other() {
        let at = |path: &str| mount(path, "").unwrap();
        Mount::fit(&[at("/a"), at("/ab"), at("/b/a")]).unwrap();
        assert!(Mount::fit(&[at("/a"), at("/b"), at("/a/")]).unwrap_err().contains("one path"));
        let nested = Mount::fit(&[at("/a/b/c"), at("/b"), at("/a")]).unwrap_err();
        assert!(nested.contains("/a/b/c (lies in the volume at /a)"), "{nested}");
        let many: Vec<Mount> = (0..=MOST).map(|number| at(&format!("/{number}"))).collect();
        Mount::fit(&many[1..]).unwrap();
        Mount::fit(&many).unwrap_err();
    }
}
