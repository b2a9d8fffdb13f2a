//! Where systems keep the certificate authorities that they trust, and how one is added and removed there.
//!
//! Guarantees: each installation has a file of its own, named after the installation's id, and no other is touched.
//! Which system it is follows from the directories and programs that exist, never from a name.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use harbor_model::ids::InstanceId;

use super::step::{self, Step};

/// How one family of systems keeps authorities.
#[derive(Debug)]
pub(super) struct Layout {
    /// The directory where an administrator adds one.
    anchors: &'static str,
    /// The program that has to run after a change there.
    program: &'static str,
    /// What it is told after an addition.
    after_adding: &'static [&'static str],
    /// What it is told after a removal.
    after_removing: &'static [&'static str],
    /// The file that it makes of all authorities.
    bundle: &'static str,
}

/// The family of Debian is the last one: others have its program, too.
const LAYOUTS: &[Layout] = &[
    // openSUSE
    Layout {
        anchors: "etc/pki/trust/anchors",
        program: "update-ca-certificates",
        after_adding: &[],
        after_removing: &[],
        bundle: "var/lib/ca-certificates/ca-bundle.pem",
    },
    // Fedora, RHEL and those made of it
    Layout {
        anchors: "etc/pki/ca-trust/source/anchors",
        program: "update-ca-trust",
        after_adding: &["extract"],
        after_removing: &["extract"],
        bundle: "etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    },
    // Arch
    Layout {
        anchors: "etc/ca-certificates/trust-source/anchors",
        program: "update-ca-trust",
        after_adding: &[],
        after_removing: &[],
        bundle: "etc/ca-certificates/extracted/tls-ca-bundle.pem",
    },
    // Debian, Ubuntu, Alpine. Without --fresh, Debian's program leaves the links to a file that is gone; Alpine's
    // program reads no argument at all
    Layout {
        anchors: "usr/local/share/ca-certificates",
        program: "update-ca-certificates",
        after_adding: &[],
        after_removing: &["--fresh"],
        bundle: "etc/ssl/certs/ca-certificates.crt",
    },
];

/// Where programs of the system lie.
const PROGRAMS: [&str; 4] = ["usr/sbin", "usr/bin", "sbin", "bin"];

/// The keychain of a Mac that holds for all its users.
const KEYCHAIN: &str = "Library/Keychains/System.keychain";

/// The trust store of a system.
#[derive(Debug)]
pub(super) enum Store {
    /// Authorities are files, and a program makes one bundle of them.
    Files { layout: &'static Layout, root: PathBuf, program: PathBuf },
    /// Authorities are in a keychain, and a program is asked for all of it.
    Keychain { keychain: PathBuf, program: PathBuf },
}

impl Store {
    /// That of the system whose files lie below `root`; `None`: one of a kind that is not known here.
    pub(super) fn detect(root: &Path) -> Option<Self> {
        let files = LAYOUTS.iter().find_map(|layout| {
            let has_anchors = root.join(layout.anchors).is_dir();
            let program = find_program(root, layout.program).filter(|_| has_anchors)?;
            Some(Self::Files { layout, root: root.to_owned(), program })
        });
        files.or_else(|| {
            let keychain = root.join(KEYCHAIN);
            let program = find_program(root, "security").filter(|_| keychain.exists())?;
            Some(Self::Keychain { keychain, program })
        })
    }

    /// The file of this installation, or the keychain that holds its certificate.
    pub(super) fn place(&self, instance: InstanceId) -> PathBuf {
        match self {
            Self::Files { layout, root, .. } => root.join(layout.anchors).join(format!("harbor-{instance}.crt")),
            Self::Keychain { keychain, .. } => keychain.clone(),
        }
    }

    /// What this installation has added, PEM; empty where it has added nothing.
    pub(super) async fn added(&self, instance: InstanceId) -> anyhow::Result<String> {
        match self {
            Self::Files { .. } => read(&self.place(instance)),
            Self::Keychain { keychain, program } => {
                let mut arguments = owned(&["find-certificate", "-a", "-p", "-c"]);
                arguments.extend([common_name(instance), keychain.to_string_lossy().into_owned()]);
                // it fails where there is none
                Ok(String::from_utf8_lossy(&step::output(program, &arguments).await?.stdout).into_owned())
            }
        }
    }

    /// The authorities that the system trusts, PEM; of a keychain those of this installation alone.
    pub(super) async fn trusted(&self, instance: InstanceId) -> anyhow::Result<String> {
        match self {
            Self::Files { layout, root, .. } => read(&root.join(layout.bundle)),
            Self::Keychain { .. } => self.added(instance).await,
        }
    }

    /// How the certificate in `file` is added, where this installation has added another one before or none.
    pub(super) fn to_add(&self, instance: InstanceId, file: &Path, has_other: bool) -> Vec<Step> {
        match self {
            Self::Files { layout, program, .. } => vec![
                Step::Copy { from: file.to_owned(), to: self.place(instance) },
                Step::Run { program: program.clone(), arguments: owned(layout.after_adding) },
            ],
            Self::Keychain { keychain, program } => {
                let mut steps = if has_other { self.to_remove(instance) } else { Vec::new() };
                let mut arguments = owned(&["add-trusted-cert", "-d", "-r", "trustRoot", "-k"]);
                arguments.extend([keychain.as_path(), file].map(|path| path.to_string_lossy().into_owned()));
                steps.push(Step::Run { program: program.clone(), arguments });
                steps
            }
        }
    }

    /// How what this installation added is removed.
    pub(super) fn to_remove(&self, instance: InstanceId) -> Vec<Step> {
        match self {
            Self::Files { layout, program, .. } => vec![
                Step::Remove(self.place(instance)),
                Step::Run { program: program.clone(), arguments: owned(layout.after_removing) },
            ],
            Self::Keychain { keychain, program } => {
                let mut arguments = owned(&["delete-certificate", "-t", "-c"]);
                arguments.extend([common_name(instance), keychain.to_string_lossy().into_owned()]);
                vec![Step::Run { program: program.clone(), arguments }]
            }
        }
    }
}

/// The authorities that a system of an unknown kind trusts, as far as it keeps them where others do.
pub(super) fn trusted_anywhere(root: &Path) -> anyhow::Result<String> {
    LAYOUTS.iter().map(|layout| read(&root.join(layout.bundle))).collect()
}

/// What the certificate authority calls itself, by which a keychain finds it.
pub(super) fn common_name(instance: InstanceId) -> String {
    format!("Harbor local authority {instance}")
}

fn find_program(root: &Path, name: &str) -> Option<PathBuf> {
    PROGRAMS.iter().map(|folder| root.join(folder).join(name)).find(|file| file.is_file())
}

/// The text of `path`, whose comments may be in any encoding; empty where there is no such file.
fn read(path: &Path) -> anyhow::Result<String> {
    match fs::read(path) {
        Ok(content) => Ok(String::from_utf8_lossy(&content).into_owned()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
}

fn owned(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}
