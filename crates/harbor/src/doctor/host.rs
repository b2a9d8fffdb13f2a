//! Checks of the host: directory, disk, ports, trust.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;

use harbor_serve::Budget;
use rustix::process::{Resource, getrlimit};

use super::{Finding, gibibytes};
use crate::components::Service;
use crate::config::directories::Directories;
use crate::config::{Config, exposure};
use crate::process::announce::reasons;
use crate::process::listen::{listen_on, port_of, same_port};
use crate::process::presence::Presence;
use crate::trust::{self, Standing};

/// Free space under which the database soon cannot grow, in bytes.
const LITTLE: u64 = 1 << 30;

pub(super) fn data_directory(directories: &Directories) -> Finding {
    let root = directories.root();
    let shown = root.display();
    let check = "data directory";
    if directories.has_colon() {
        return Finding::failed(
            check,
            format!("{shown} has a colon in it, which ends a path for the engine"),
            OWN_DIRECTORY,
        );
    }
    let Ok(metadata) = fs::metadata(root) else {
        return match nearest(root).filter(|parent| is_writable(parent)) {
            Some(_) => Finding::fine(check, format!("{shown}, made at the first start")),
            None => Finding::failed(check, format!("{shown} cannot be made"), OWN_DIRECTORY),
        };
    };
    if !metadata.is_dir() {
        return Finding::failed(check, format!("{shown} is not a directory"), OWN_DIRECTORY);
    }
    if !is_writable(root) {
        return Finding::failed(check, format!("{shown} cannot be written"), OWN_DIRECTORY);
    }
    let ours = metadata.uid() == rustix::process::geteuid().as_raw();
    if !ours || metadata.permissions().mode() & 0o077 != 0 {
        return Finding::warning(check, format!("{shown} is open to others"), format!("chmod 0700 {shown}"));
    }
    Finding::fine(check, shown.to_string())
}

const OWN_DIRECTORY: &str = "name a directory of yours with HARBOR_DATA_DIR";

fn is_writable(path: &Path) -> bool {
    rustix::fs::access(path, rustix::fs::Access::WRITE_OK).is_ok()
}

/// The nearest directory above `path` that exists.
fn nearest(path: &Path) -> Option<&Path> {
    path.ancestors().skip(1).find(|parent| parent.is_dir())
}

pub(super) fn disk(check: &'static str, path: &Path) -> Finding {
    let existing = if path.is_dir() { Some(path) } else { nearest(path) };
    let Some(found) = existing.and_then(|existing| rustix::fs::statvfs(existing).ok()) else {
        return Finding::failed(check, format!("{} cannot be measured", path.display()), OWN_DIRECTORY);
    };
    let free = found.f_bavail.saturating_mul(found.f_frsize);
    let text = format!("{} free in {}", gibibytes(free), path.display());
    if free < LITTLE {
        Finding::failed(check, text, "make room on that disk, or move the data: `harbor config set data_dir PATH`")
    } else {
        Finding::fine(check, text)
    }
}

/// What a harbor started from here can hold open.
pub(super) fn open_files() -> Finding {
    let check = "open files";
    let limit = getrlimit(Resource::Nofile);
    let told = |limit: Option<u64>| limit.map_or_else(|| "any number".to_owned(), |limit| limit.to_string());
    let (now, most) = (told(limit.current), told(limit.maximum));
    let enough = |budget: &Budget| {
        format!("{most} for harbor ({now} before it raises its limit): {} connections at a time", budget.connections())
    };
    match Budget::of_open_files(limit.maximum.unwrap_or(u64::MAX)) {
        Ok(budget) if budget.is_short() => Finding::warning(
            check,
            enough(&budget),
            "`ulimit -Hn 65536` before `harbor up`, or LimitNOFILE in a systemd unit, allows more",
        ),
        Ok(budget) => Finding::fine(check, enough(&budget)),
        Err(error) => Finding::failed(check, error.to_string(), "raise the limit, then start harbor again"),
    }
}

/// Each port is free, or held by the harbor that runs here.
pub(super) async fn ports(config: &Config, presence: &Presence) -> Vec<Finding> {
    let mut findings = Vec::new();
    for service in Service::ALL {
        let port = port_of(config, service);
        let check = match service {
            Service::Api => "API port",
            Service::Proxy => "proxy port",
            Service::Registry => "registry port",
            Service::S3 => "S3 port",
        };
        let ours =
            *presence != Presence::Stopped && presence.ready().is_none_or(|ready| ready.port(service) == Some(port));
        let remedy = || format!("`harbor config set {} PORT`", service.port_key());
        findings.push(if let Some(other) = same_port(config, service) {
            Finding::failed(check, format!("{port} is {} too", other.port_key()), remedy())
        } else if ours {
            Finding::fine(check, format!("{port}, in use by this harbor"))
        } else {
            match listen_on(config.bind, port, service).await {
                Ok(_) => Finding::fine(check, format!("{port} is free")),
                Err(error) => {
                    let text = reasons(&error);
                    let found = text.split_once(": ").map_or(text.as_str(), |(found, _)| found).to_owned();
                    Finding::failed(check, found, remedy())
                }
            }
        });
    }
    findings
}

/// Who can connect, and whether keys and passwords are made for that.
pub(super) fn exposure(config: &Config) -> Finding {
    let audience = exposure::audience(config.bind);
    match exposure::check(config) {
        Ok(()) => Finding::fine("exposure", format!("{audience} can connect")),
        Err(error) => {
            let text = error.to_string();
            let (found, remedy) = text.split_once(": run ").unwrap_or((&text, "`harbor config set bind localhost`"));
            Finding::failed("exposure", format!("{audience} can connect; {found}"), remedy)
        }
    }
}

/// Whether this system trusts harbor's certificate authority: one kind of client needs that, for one thing.
pub(super) async fn trust(directories: &Directories) -> Finding {
    let check = "trust";
    match trust::standing(directories).await {
        Ok(Standing::NoAuthority) => Finding::fine(check, "the first start makes a certificate authority"),
        Ok(Standing::Trusted) => Finding::fine(check, "this system trusts harbor's certificates"),
        Ok(Standing::Untrusted) => Finding::warning(
            check,
            "this system does not trust harbor's certificates: the Python SDK cannot upload local files for images; \
             everything else works",
            "`harbor trust`",
        ),
        Err(error) => Finding::warning(check, reasons(&error), "`harbor trust`"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Verdict;
    use super::*;

    #[test]
    fn a_data_directory_is_judged_without_being_made() {
        let parent = tempfile::tempdir().unwrap();
        let root = parent.path().join("data");
        let judge = |root: &Path| data_directory(&Directories::new(root, None)).verdict;
        assert_eq!(judge(&root), Verdict::Fine);
        assert!(!root.exists());
        fs::create_dir(&root).unwrap();
        fs::set_permissions(&root, fs::Permissions::from_mode(0o755)).unwrap();
        assert_eq!(judge(&root), Verdict::Warning);
        fs::set_permissions(&root, fs::Permissions::from_mode(0o700)).unwrap();
        assert_eq!(judge(&root), Verdict::Fine);
        assert_eq!(judge(&parent.path().join("co:lon")), Verdict::Failed);
        fs::write(parent.path().join("file"), "").unwrap();
        assert_eq!(judge(&parent.path().join("file")), Verdict::Failed);
    }
}
