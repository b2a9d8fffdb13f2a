//! Who the sandbox runs as, read without the system's name services.
//!
//! The binary is linked statically, and a static C library must not load the image's name-service modules; so
//! `/etc/passwd` is parsed here. A missing file or entry is no error: scratch images have neither.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use harbor_protocol::toolbox;

use crate::environment::Environment;

/// The user that process 1 runs as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct User {
    /// Name from `/etc/passwd`; the number when there is none.
    pub(crate) name: OsString,
    /// Home directory from `/etc/passwd`.
    pub(crate) home: Option<PathBuf>,
}

impl User {
    /// The user of this process.
    pub(crate) fn current() -> Self {
        let uid = rustix::process::geteuid().as_raw();
        let passwd = std::fs::read("/etc/passwd").unwrap_or_default();
        Self::from_passwd(&passwd, uid)
    }

    fn from_passwd(passwd: &[u8], uid: u32) -> Self {
        let entry =
            passwd.split(|&byte| byte == b'\n').find_map(|line| Entry::parse(line).filter(|entry| entry.uid == uid));
        let (name, home) = match entry {
            Some(Entry { name, home, .. }) => {
                let home = Some(home).filter(|home| home.starts_with(b"/")).map(|home| OsStr::from_bytes(home).into());
                (OsStr::from_bytes(name).to_owned(), home)
            }
            None => (OsString::from(uid.to_string()), None),
        };
        Self { name, home }
    }
}

/// One line of `/etc/passwd`.
struct Entry<'a> {
    name: &'a [u8],
    uid: u32,
    home: &'a [u8],
}

impl<'a> Entry<'a> {
    fn parse(line: &'a [u8]) -> Option<Self> {
        let mut fields = line.split(|&byte| byte == b':');
        let name = fields.next().filter(|name| !name.is_empty())?;
        let uid = std::str::from_utf8(fields.nth(1)?).ok()?.parse().ok()?;
        let home = fields.nth(2)?;
        Some(Self { name, uid, home })
    }
}

/// The engine's environment, completed for processes: HOME, USER, LOGNAME, PATH, SHELL.
///
/// HOME is the engine's value, else that of `/etc/passwd`, else `/`. `$HOME/.local/bin` ends PATH when it is not in
/// it, so that what `pip install --user` puts there is found; so does the directory of harbor's own
/// programs, for `daytona entrypoint logs` (contract, toolbox §4.1).
pub(crate) fn complete(mut environment: Environment, user: &User, shell: &OsStr) -> Environment {
    let known = |environment: &Environment, name: &str| {
        environment.get(OsStr::new(name)).filter(|value| !value.is_empty()).cloned()
    };
    let home = known(&environment, "HOME")
        .or_else(|| user.home.clone().map(OsString::from))
        .unwrap_or_else(|| OsString::from("/"));
    let path = known(&environment, "PATH").unwrap_or_else(|| OsString::from(DEFAULT_PATH));
    environment.insert("PATH".into(), with_tools(path, &home));
    environment.insert("HOME".into(), home);
    for name in ["USER", "LOGNAME"] {
        let value = known(&environment, name).unwrap_or_else(|| user.name.clone());
        environment.insert(name.into(), value);
    }
    let shell = known(&environment, "SHELL").unwrap_or_else(|| shell.to_owned());
    environment.insert("SHELL".into(), shell);
    environment
}

/// PATH when the image sets none, as container engines have it.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

fn with_tools(mut path: OsString, home: &OsStr) -> OsString {
    let own = Path::new(toolbox::BINARY).parent().map(Path::to_owned);
    for directory in [Some(PathBuf::from(home).join(".local/bin")), own].into_iter().flatten() {
        if !std::env::split_paths(&path).any(|entry| entry == directory) {
            path.push(":");
            path.push(directory);
        }
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &[u8] =
        b"root:x:0:0:root:/root:/bin/sh\n# a comment\n\nbroken\ndaytona:x:1000:1001::/home/daytona:\nodd:x:7:7:::\n";

    #[track_caller]
    fn check(uid: u32, name: &str, home: Option<&str>) {
        let user = User::from_passwd(PASSWD, uid);
        assert_eq!(user, User { name: name.into(), home: home.map(PathBuf::from) });
    }

    #[test]
    fn users_are_found_by_number() {
        check(0, "root", Some("/root"));
        check(1000, "daytona", Some("/home/daytona"));
        check(7, "odd", None);
        check(4242, "4242", None);
    }

    #[track_caller]
    fn completed(given: &[(&str, &str)], expected: &[(&str, &str)]) {
        let environment = given.iter().map(|(name, value)| (name.into(), value.into())).collect();
        let environment = complete(environment, &User::from_passwd(PASSWD, 1000), OsStr::new("/bin/zsh"));
        let expected: Environment = expected.iter().map(|(name, value)| (name.into(), value.into())).collect();
        assert_eq!(environment, expected);
    }

    #[test]
    fn an_empty_environment_is_completed() {
        completed(
            &[],
            &[
                ("HOME", "/home/daytona"),
                ("LOGNAME", "daytona"),
                (
                    "PATH",
                    "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/home/daytona/.local/bin:/opt/harbor/current",
                ),
                ("SHELL", "/bin/zsh"),
                ("USER", "daytona"),
            ],
        );
    }

    #[test]
    fn what_the_image_says_stays() {
        let image = [
            ("HOME", "/h"),
            ("LOGNAME", "l"),
            ("PATH", "/opt/harbor/current:/h/.local/bin:/bin"),
            ("SHELL", "/s"),
            ("USER", "u"),
        ];
        completed(&image, &image);
    }
}
