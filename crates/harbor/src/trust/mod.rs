//! Whether this system trusts harbor's certificate authority, and making it do so (design D10).
//!
//! The Python SDK uploads local files for images only to a server whose certificate the system trusts; nothing else
//! needs it. Guarantees: the private key never leaves its file; only what this installation added is replaced or
//! removed; doing either again changes nothing; without root nothing is changed, and the commands are told.
//! Leaves out: programs with a list of their own (Node, Firefox, Java), which get the certificate from
//! `harbor trust --print`.

mod step;
mod store;

#[cfg(test)]
mod tests;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use harbor_model::ids::InstanceId;
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use crate::config::directories::Directories;
use crate::secrets;
use step::Step;
use store::Store;

/// How long another harbor may take to change what the system trusts.
const PATIENCE: Duration = Duration::from_mins(1);

/// Why there is nothing to trust yet.
const NEVER_STARTED: &str = "there is no certificate authority here yet: run `harbor up` first";

/// Why nothing can be done on a system of an unknown kind.
const UNKNOWN_STORE: &str = "harbor finds no trust store that it knows on this system: install the package \
     ca-certificates and try again, or add what `harbor trust --print` prints as this system documents it";

const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
const END: &str = "-----END CERTIFICATE-----";

/// A certificate without its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Certificate {
    /// Base64 of it, on lines.
    body: String,
}

impl Certificate {
    /// That of this installation's authority; `None`: harbor was never started here.
    fn of_authority(directories: &Directories) -> anyhow::Result<Option<Self>> {
        let Some(text) = secrets::generated(directories, "authority.pem")? else { return Ok(None) };
        let body = bodies(&text).next().context("keys/authority.pem is damaged: delete it, then `harbor up`")?;
        Ok(Some(Self { body: body.to_owned() }))
    }

    /// As a file holds it.
    pub(crate) fn pem(&self) -> String {
        format!("{BEGIN}{}{END}\n", self.body)
    }

    /// Whether it is among the certificates of `text`, however long the lines are there.
    fn is_in(&self, text: &str) -> bool {
        let digits = |body: &str| body.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect::<Vec<_>>();
        let own = digits(&self.body);
        bodies(text).any(|body| digits(body) == own)
    }
}

/// What stands between the first line and the last line of each certificate in `text`.
fn bodies(text: &str) -> impl Iterator<Item = &str> {
    text.split(BEGIN).skip(1).filter_map(|rest| Some(rest.split_once(END)?.0))
}

/// The certificate of this installation's authority.
pub(crate) fn certificate(directories: &Directories) -> anyhow::Result<Certificate> {
    Certificate::of_authority(directories)?.context(NEVER_STARTED)
}

/// How the system sees the authority.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// There is none: harbor was never started here.
    NoAuthority,
    /// It is trusted.
    Trusted,
    /// It is not trusted.
    Untrusted,
}

/// How this system sees the authority of this installation. Looks only.
pub(crate) async fn standing(directories: &Directories) -> anyhow::Result<Standing> {
    standing_below(Path::new("/"), directories).await
}

async fn standing_below(root: &Path, directories: &Directories) -> anyhow::Result<Standing> {
    let instance = secrets::existing_instance(directories);
    let Some((instance, certificate)) = instance.zip(Certificate::of_authority(directories)?) else {
        return Ok(Standing::NoAuthority);
    };
    let trusted = match Store::detect(root) {
        Some(store) => store.trusted(instance).await?,
        None => store::trusted_anywhere(root)?,
    };
    Ok(if certificate.is_in(&trusted) { Standing::Trusted } else { Standing::Untrusted })
}

/// How a change ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// There was nothing to change.
    Already,
    /// It is changed.
    Done,
    /// Nothing is changed: these commands do it.
    NeedsRoot(Vec<String>),
}

/// This installation's place in the trust store of a system.
#[derive(Debug)]
pub(crate) struct Trust {
    store: Store,
    instance: InstanceId,
    /// `None`: it is lost, and what was added of it can still be removed.
    certificate: Option<Certificate>,
    /// Where the certificate is written for programs that add it.
    copy: PathBuf,
    is_root: bool,
}

impl Trust {
    /// That of this system.
    pub(crate) fn open(directories: &Directories) -> anyhow::Result<Self> {
        Self::open_below(Path::new("/"), directories, rustix::process::geteuid().is_root())
    }

    /// That of the system whose files lie below `root`.
    fn open_below(root: &Path, directories: &Directories, is_root: bool) -> anyhow::Result<Self> {
        let instance = secrets::existing_instance(directories).context(NEVER_STARTED)?;
        let certificate = Certificate::of_authority(directories)?;
        let store = Store::detect(root).context(UNKNOWN_STORE)?;
        Ok(Self { store, instance, certificate, copy: directories.keys().join("authority.crt"), is_root })
    }

    /// Where the certificate is added: a file of this installation, or the system's keychain.
    pub(crate) fn place(&self) -> PathBuf {
        self.store.place(self.instance)
    }

    /// Whether this installation has added a certificate, be it trusted or not.
    pub(crate) async fn has_added(&self) -> anyhow::Result<bool> {
        Ok(!self.store.added(self.instance).await?.is_empty())
    }

    /// Whether the system trusts the authority as it is now, whoever added it.
    pub(crate) async fn is_trusted(&self) -> anyhow::Result<bool> {
        let trusted = self.store.trusted(self.instance).await?;
        Ok(self.certificate.as_ref().is_some_and(|certificate| certificate.is_in(&trusted)))
    }

    /// Makes the system trust the authority; replaces the certificate of an earlier one.
    pub(crate) async fn add(&self) -> anyhow::Result<Outcome> {
        let certificate = self.certificate.as_ref().context(NEVER_STARTED)?;
        let added = self.store.added(self.instance).await?;
        if certificate.is_in(&added) && self.is_trusted().await? {
            return Ok(Outcome::Already);
        }
        step::publish(&self.copy, certificate.pem().as_bytes())
            .with_context(|| format!("cannot write {}", self.copy.display()))?;
        let outcome = self.change(&self.store.to_add(self.instance, &self.copy, !added.is_empty())).await?;
        if outcome == Outcome::Done && !self.is_trusted().await? {
            let place = self.place();
            anyhow::bail!("the certificate is in {}, and the system does not list it as trusted", place.display());
        }
        Ok(outcome)
    }

    /// Removes what this installation added.
    pub(crate) async fn remove(&self) -> anyhow::Result<Outcome> {
        // a removal that was cut short has left the certificate in the bundle
        if !self.has_added().await? && !self.is_trusted().await? {
            return Ok(Outcome::Already);
        }
        self.change(&self.store.to_remove(self.instance)).await
    }

    async fn change(&self, steps: &[Step]) -> anyhow::Result<Outcome> {
        if !self.is_root {
            return Ok(Outcome::NeedsRoot(steps.iter().map(Step::command).collect()));
        }
        // of two programs that gather the certificates at the same time, the later end would lose the other one's
        let _turn = self.turn().await?;
        for step in steps {
            step.perform().await?;
        }
        Ok(Outcome::Done)
    }

    /// Waits until no other harbor changes what the system trusts.
    async fn turn(&self) -> anyhow::Result<Option<File>> {
        let place = self.place();
        let Some(directory) = place.parent().filter(|directory| directory.is_dir()) else { return Ok(None) };
        let directory = File::open(directory).with_context(|| format!("cannot open {}", directory.display()))?;
        let begun = Instant::now();
        while let Err(error) = flock(&directory, FlockOperation::NonBlockingLockExclusive) {
            if error != Errno::WOULDBLOCK || begun.elapsed() > PATIENCE {
                anyhow::bail!("another harbor changes what the system trusts, and does not end: {error}");
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(Some(directory))
    }
}
