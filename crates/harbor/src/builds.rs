//! What images that are built here need of this machine: how it reaches the network, and the certificate authorities that
//! an administrator added to it, without which nothing works behind a proxy that looks into TLS (design D8).

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::Path;

use harbor_model::ids::InstanceId;
use harbor_reconcile::Authorities;

/// Where Debian and Ubuntu keep authorities that an administrator added.
pub(crate) const ADDED: &str = "/usr/local/share/ca-certificates";

/// The file in which Debian and Ubuntu keep all authorities, the added ones too.
const ALL: &str = "/etc/ssl/certs/ca-certificates.crt";

/// How this machine reaches the network, as build arguments, which stay in no image.
pub(crate) fn proxies() -> HashMap<String, String> {
    let names = ["http_proxy", "https_proxy", "no_proxy"];
    names.into_iter().filter_map(|name| Some((name.to_owned(), std::env::var(name).ok()?))).collect()
}

/// The `*.crt` files of `directory`, by name; none where there is no such directory.
pub(crate) fn certificates(directory: &Path) -> io::Result<Vec<(String, Vec<u8>)>> {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "crt")
            && let Some(name) = path.file_name().and_then(|name| name.to_str())
            && !is_of_a_harbor(name)
        {
            found.push((name.to_owned(), fs::read(&path)?));
        }
    }
    found.sort(); // the same context each time, so that the engine's cache holds
    Ok(found)
}

/// Whether it is the authority of an installation of harbor (see `trust`), which is for clients on this machine alone.
fn is_of_a_harbor(name: &str) -> bool {
    let id = name.strip_prefix("harbor-").and_then(|rest| rest.strip_suffix(".crt"));
    id.is_some_and(|id| id.parse::<InstanceId>().is_ok())
}

/// All authorities of this machine but those of installations of harbor.
fn without_harbors(bundle: &str) -> io::Result<String> {
    let mut bundle = bundle.to_owned();
    for entry in fs::read_dir(ADDED)? {
        let path = entry?.path();
        if path.file_name().and_then(|name| name.to_str()).is_some_and(is_of_a_harbor) {
            match fs::read_to_string(&path) {
                Ok(certificate) => bundle = bundle.replace(certificate.trim(), ""),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
    }
    Ok(bundle)
}

/// Those of this machine; `None` where nobody added any, or they cannot be read.
pub(crate) fn authorities() -> Option<Authorities> {
    let read = || -> io::Result<Option<Authorities>> {
        let added = certificates(Path::new(ADDED))?;
        if added.is_empty() {
            return Ok(None);
        }
        Ok(Some(Authorities {
            added,
            bundle: without_harbors(&String::from_utf8_lossy(&fs::read(ALL)?))?.into_bytes(),
        }))
    };
    read().unwrap_or_else(|error| {
        tracing::warn!(%error, "the machine's own certificate authorities cannot be read: images are built without them");
        None
    })
}
