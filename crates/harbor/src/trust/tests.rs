//! Systems of each kind below a directory of their own; their update programs are scripts that note how they were
//! called and make a bundle of what lies in the directory of added authorities.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tempfile::TempDir;

use super::*;
use crate::secrets::authority::Authority;

/// What makes a system one of its kind.
struct Kind {
    anchors: &'static str,
    program: &'static str,
    bundle: &'static str,
}

const DEBIAN: Kind = Kind {
    anchors: "usr/local/share/ca-certificates",
    program: "usr/sbin/update-ca-certificates",
    bundle: "etc/ssl/certs/ca-certificates.crt",
};

const FEDORA: Kind = Kind {
    anchors: "etc/pki/ca-trust/source/anchors",
    program: "usr/bin/update-ca-trust",
    bundle: "etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
};

const ARCH: Kind = Kind {
    anchors: "etc/ca-certificates/trust-source/anchors",
    program: "usr/bin/update-ca-trust",
    bundle: "etc/ca-certificates/extracted/tls-ca-bundle.pem",
};

const OPENSUSE: Kind = Kind {
    anchors: "etc/pki/trust/anchors",
    program: "usr/sbin/update-ca-certificates",
    bundle: "var/lib/ca-certificates/ca-bundle.pem",
};

/// An installation that was started once, on a system of some kind.
struct System {
    root: TempDir,
    data: TempDir,
    instance: InstanceId,
}

impl System {
    /// One of no kind.
    fn bare() -> Self {
        let (root, data) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let system = Self { root, data, instance: InstanceId::random() };
        system.directories().create().unwrap();
        fs::write(system.directories().instance(), format!("{}\n", system.instance)).unwrap();
        system.make_authority();
        system
    }

    fn of(kind: &Kind) -> Self {
        let system = Self::bare();
        let (anchors, program, bundle) =
            (system.path(kind.anchors), system.path(kind.program), system.path(kind.bundle));
        fs::create_dir_all(&anchors).unwrap();
        for file in [&program, &bundle] {
            fs::create_dir_all(file.parent().unwrap()).unwrap();
        }
        let (anchors, bundle, calls) = (anchors.display(), bundle.display(), system.path("calls"));
        let update = format!(
            "#!/bin/sh\necho \"${{0##*/}} $*\" >> '{}'\ncat '{anchors}'/*.crt > '{bundle}' 2>/dev/null\nexit 0\n",
            calls.display()
        );
        script(&program, &update);
        system
    }

    fn path(&self, below: &str) -> PathBuf {
        self.root.path().join(below)
    }

    fn directories(&self) -> Directories {
        Directories::new(self.data.path(), None)
    }

    /// Makes an authority where there is none, and returns its certificate.
    fn make_authority(&self) -> String {
        Authority::load_or_generate(&self.directories().keys(), self.instance, &[]).unwrap().certificate
    }

    fn trust(&self, is_root: bool) -> Trust {
        Trust::open_below(self.root.path(), &self.directories(), is_root).unwrap()
    }

    async fn standing(&self) -> Standing {
        standing_below(self.root.path(), &self.directories()).await.unwrap()
    }

    /// How update programs were called, and no longer.
    fn calls(&self) -> Vec<String> {
        let calls = fs::read_to_string(self.path("calls")).unwrap_or_default();
        _ = fs::remove_file(self.path("calls"));
        calls.lines().map(|call| call.trim_end().to_owned()).collect()
    }

    fn files(&self, directory: &str) -> Vec<String> {
        let entries = fs::read_dir(self.path(directory)).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }
}

/// Written by another process: a file that this one has open for writing as it starts a program cannot be run.
fn script(path: &Path, content: &str) {
    let written = Command::new("sh")
        .args(["-c", "printf %s \"$1\" > \"$0\" && chmod 755 \"$0\""])
        .arg(path)
        .arg(content)
        .status();
    assert!(written.unwrap().success());
}

/// Adds twice and removes twice, with the calls that each first time makes.
async fn check(kind: &Kind, adding: &str, removing: &str) {
    let system = System::of(kind);
    let file = format!("harbor-{}.crt", system.instance);
    assert_eq!(system.standing().await, Standing::Untrusted);
    assert_eq!(system.trust(true).remove().await.unwrap(), Outcome::Already);

    assert_eq!(system.trust(true).add().await.unwrap(), Outcome::Done);
    assert_eq!(system.calls(), [adding]);
    assert_eq!(system.standing().await, Standing::Trusted);
    assert_eq!(system.files(kind.anchors), [file.as_str()], "and nothing beside it");
    let place = system.trust(true).place();
    assert_eq!(place, system.path(kind.anchors).join(&file));
    assert_eq!(fs::read_to_string(&place).unwrap(), system.make_authority(), "the certificate alone");
    assert_eq!(fs::metadata(&place).unwrap().permissions().mode() & 0o777, 0o644);
    assert_eq!(system.trust(true).add().await.unwrap(), Outcome::Already);
    assert_eq!(system.calls(), [""; 0]);

    assert_eq!(system.trust(true).remove().await.unwrap(), Outcome::Done);
    assert_eq!(system.calls(), [removing]);
    assert_eq!(system.standing().await, Standing::Untrusted);
    assert_eq!(system.files(kind.anchors), [""; 0]);
    assert_eq!(system.trust(true).remove().await.unwrap(), Outcome::Already);
    assert_eq!(system.calls(), [""; 0]);
}

#[tokio::test]
async fn debian_is_told_to_drop_the_links_of_a_file_that_is_gone() {
    check(&DEBIAN, "update-ca-certificates", "update-ca-certificates --fresh").await;
}

#[tokio::test]
async fn fedora_extracts() {
    check(&FEDORA, "update-ca-trust extract", "update-ca-trust extract").await;
}

#[tokio::test]
async fn arch_has_the_program_of_fedora_and_another_directory() {
    check(&ARCH, "update-ca-trust", "update-ca-trust").await;
}

#[tokio::test]
async fn opensuse_has_the_program_of_debian_and_another_directory() {
    check(&OPENSUSE, "update-ca-certificates", "update-ca-certificates").await;
}

#[tokio::test]
async fn a_system_of_no_known_kind_is_told_what_to_do() {
    let system = System::bare();
    let refusal = Trust::open_below(system.root.path(), &system.directories(), true).unwrap_err().to_string();
    assert!(refusal.contains("`harbor trust --print`") && refusal.contains("ca-certificates"), "{refusal}");
    // the directory alone is not enough: nothing would read the file
    fs::create_dir_all(system.path(DEBIAN.anchors)).unwrap();
    assert!(Trust::open_below(system.root.path(), &system.directories(), true).is_err());
    assert_eq!(system.standing().await, Standing::Untrusted);
    let bundle = system.path(DEBIAN.bundle);
    fs::create_dir_all(bundle.parent().unwrap()).unwrap();
    fs::write(&bundle, format!("# others\n{}", system.make_authority())).unwrap();
    assert_eq!(system.standing().await, Standing::Trusted);
}

#[tokio::test]
async fn before_the_first_start_there_is_nothing_to_trust() {
    let system = System::of(&DEBIAN);
    fs::remove_file(system.directories().keys().join("authority.pem")).unwrap();
    assert_eq!(system.standing().await, Standing::NoAuthority);
    assert!(certificate(&system.directories()).unwrap_err().to_string().contains("`harbor up`"));
    assert!(system.trust(true).add().await.unwrap_err().to_string().contains("`harbor up`"));
    fs::remove_file(system.directories().instance()).unwrap();
    let refusal = Trust::open_below(system.root.path(), &system.directories(), true).unwrap_err().to_string();
    assert!(refusal.contains("`harbor up`"), "{refusal}");
}

#[tokio::test]
async fn without_root_nothing_changes_and_the_commands_do_it() {
    let system = System::of(&DEBIAN);
    let run = |outcome: Outcome| {
        let Outcome::NeedsRoot(commands) = outcome else { panic!("{outcome:?}") };
        assert_eq!(system.calls(), [""; 0]);
        for command in commands {
            let command = command.strip_prefix("sudo ").unwrap();
            assert!(Command::new("sh").args(["-c", command]).status().unwrap().success(), "{command}");
        }
    };
    let outcome = system.trust(false).add().await.unwrap();
    assert_eq!(system.files(DEBIAN.anchors), [""; 0]);
    run(outcome);
    assert_eq!(system.calls(), ["update-ca-certificates"]);
    assert_eq!(system.standing().await, Standing::Trusted);
    assert_eq!(system.trust(false).add().await.unwrap(), Outcome::Already);
    let copy = fs::read_to_string(system.directories().keys().join("authority.crt")).unwrap();
    assert_eq!(copy, system.make_authority());
    let outcome = system.trust(false).remove().await.unwrap();
    assert!(system.trust(false).has_added().await.unwrap());
    run(outcome);
    assert_eq!(system.standing().await, Standing::Untrusted);
    assert_eq!(system.trust(false).remove().await.unwrap(), Outcome::Already);
}

#[tokio::test]
async fn the_certificate_of_an_earlier_authority_is_replaced_and_a_neighbours_stays() {
    let system = System::of(&DEBIAN);
    let neighbour = system.path(DEBIAN.anchors).join(format!("harbor-{}.crt", InstanceId::random()));
    fs::write(&neighbour, "").unwrap();
    system.trust(true).add().await.unwrap();
    fs::remove_file(system.directories().keys().join("authority.pem")).unwrap();
    let new = system.make_authority();
    assert_eq!(system.standing().await, Standing::Untrusted);
    assert_eq!(system.trust(true).add().await.unwrap(), Outcome::Done);
    assert_eq!(fs::read_to_string(system.trust(true).place()).unwrap(), new);
    system.trust(true).remove().await.unwrap();
    assert!(neighbour.exists() && !system.trust(true).place().exists());
}

#[tokio::test]
async fn an_update_that_was_cut_short_is_made_good() {
    let system = System::of(&DEBIAN);
    system.trust(true).add().await.unwrap();
    fs::write(system.path(DEBIAN.bundle), "").unwrap();
    assert_eq!(system.trust(true).add().await.unwrap(), Outcome::Done);
    fs::remove_file(system.trust(true).place()).unwrap();
    assert_eq!(system.trust(true).remove().await.unwrap(), Outcome::Done);
    assert_eq!(system.standing().await, Standing::Untrusted);
}

#[tokio::test]
async fn what_a_failing_program_says_is_told() {
    let system = System::of(&DEBIAN);
    script(&system.path(DEBIAN.program), "#!/bin/sh\necho rehash: no space left >&2\nexit 3\n");
    let error = system.trust(true).add().await.unwrap_err().to_string();
    assert!(error.contains("rehash: no space left") && error.contains("update-ca-certificates"), "{error}");
    script(&system.path(DEBIAN.program), "#!/bin/sh\nexit 0\n");
    let error = system.trust(true).add().await.unwrap_err().to_string();
    assert!(error.contains("does not list it as trusted"), "{error}");
}

#[tokio::test]
async fn one_waits_for_another() {
    let system = System::of(&DEBIAN);
    let directory = std::fs::File::open(system.path(DEBIAN.anchors)).unwrap();
    rustix::fs::flock(&directory, rustix::fs::FlockOperation::LockExclusive).unwrap();
    let trust = system.trust(true);
    let mut added = std::pin::pin!(trust.add());
    assert!(tokio::time::timeout(Duration::from_millis(300), added.as_mut()).await.is_err());
    drop(directory);
    assert_eq!(added.await.unwrap(), Outcome::Done);
}

#[tokio::test]
async fn a_program_that_hangs_is_ended_with_those_that_it_started() {
    let system = System::bare();
    let program = system.path("hangs");
    script(&program, "#!/bin/sh\nsleep 600\n");
    let error = step::output_within(Duration::from_millis(200), &program, &[]).await.unwrap_err().to_string();
    assert!(error.contains("did not end within 0.2 seconds"), "{error}");
}

#[test]
fn a_keychain_finds_the_authority_by_the_name_it_has() {
    let system = System::bare();
    let certificate = certificate(&system.directories()).unwrap();
    let digits: String = certificate.body.split_whitespace().collect();
    let name = store::common_name(system.instance);
    let encoded = STANDARD.decode(digits).unwrap();
    assert!(encoded.windows(name.len()).any(|part| part == name.as_bytes()));
}

#[test]
fn a_certificate_is_found_however_its_lines_are_broken() {
    let system = System::bare();
    let certificate = certificate(&system.directories()).unwrap();
    assert_eq!(certificate.pem(), system.make_authority());
    let digits: String = certificate.body.split_whitespace().collect();
    assert!(certificate.is_in(&format!("# Harbor\r\n{BEGIN}\r\n{digits}\r\n{END}\r\n")));
    assert!(!certificate.is_in(&format!("{BEGIN}\nAAAA\n{END}\n{digits}")));
}
