//! The crate graph is the architecture: who may name whom, and who alone may name a heavy dependency.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand};

/// Who may name whom. A new arrow is a design change: edit this table in a commit of its own.
const ARROWS: &[(&str, &[&str])] = &[
    ("harbor-model", &[]),
    ("harbor-protocol", &[]),
    ("harbor-store", &["harbor-model"]),
    ("harbor-blobs", &["harbor-model"]),
    ("harbor-layer", &[]),
    ("harbor-runner", &["harbor-layer", "harbor-model", "harbor-protocol"]),
    ("harbor-control", &["harbor-model", "harbor-store"]),
    ("harbor-reconcile", &["harbor-model", "harbor-runner", "harbor-store"]),
    ("harbor-serve", &[]),
    ("harbor-gateway", &["harbor-control", "harbor-model", "harbor-serve"]),
    ("harbor-api", &["harbor-control", "harbor-model", "harbor-serve"]),
    ("harbor-toolbox", &["harbor-protocol"]),
    ("harbor-infra", &["harbor-layer", "harbor-protocol"]),
    ("harbor-git", &["harbor-protocol"]),
    (
        "harbor",
        &[
            "harbor-api",
            "harbor-blobs",
            "harbor-control",
            "harbor-gateway",
            "harbor-model",
            "harbor-protocol",
            "harbor-reconcile",
            "harbor-runner",
            "harbor-serve",
            "harbor-store",
        ],
    ),
    ("harbor-tests", &[]),
];

/// Heavy dependencies, each kept in one spot. Black-box tests may use a client of their own.
const ALONE: &[(&str, &str)] = &[
    ("rusqlite", "harbor-store"),
    ("bollard", "harbor-runner"),
    ("clap", "harbor"),
    ("git2", "harbor-git"),
    ("s3s", "harbor-blobs"),
];

fn metadata() -> Metadata {
    MetadataCommand::new().no_deps().exec().expect("cargo metadata")
}

/// The files of a folder and of the folders in it.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

/// What each package of ours depends on outside its tests.
fn dependencies(metadata: &Metadata) -> BTreeMap<String, BTreeSet<String>> {
    let shipped = |kind: DependencyKind| kind == DependencyKind::Normal || kind == DependencyKind::Build;
    metadata
        .packages
        .iter()
        .map(|package| {
            let named = package.dependencies.iter().filter(|dependency| shipped(dependency.kind));
            (package.name.to_string(), named.map(|dependency| dependency.name.clone()).collect())
        })
        .collect()
}

#[test]
fn every_arrow_is_in_the_table() {
    let found = dependencies(&metadata());
    let ours: BTreeSet<&str> = ARROWS.iter().map(|(name, _)| *name).collect();
    let packages: BTreeSet<&str> = found.keys().map(String::as_str).collect();
    assert_eq!(packages, ours, "a package is not in the table, or the table names one that is not there");
    for (name, allowed) in ARROWS {
        let named: BTreeSet<&str> =
            found[*name].iter().map(String::as_str).filter(|dependency| ours.contains(dependency)).collect();
        let allowed: BTreeSet<&str> = allowed.iter().copied().collect();
        let extra: Vec<_> = named.difference(&allowed).collect();
        assert!(extra.is_empty(), "{name} names {extra:?}, which the architecture does not allow");
    }
}

#[test]
fn heavy_dependencies_stay_in_one_spot() {
    let found = dependencies(&metadata());
    for (dependency, home) in ALONE {
        let users = found.iter().filter(|(name, named)| named.contains(*dependency) && *name != "harbor-tests");
        let strangers: Vec<_> = users.map(|(name, _)| name).filter(|name| name != home).collect();
        assert!(strangers.is_empty(), "{dependency} belongs to {home} alone, but {strangers:?} name it");
        assert!(found[*home].contains(*dependency), "{home} no longer names {dependency}; mend this table");
    }
}

/// The one folder that speaks to the engine's client; the rest calls that folder.
#[test]
fn the_engines_client_stays_in_one_folder() {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates");
    let home = crates.join("harbor-runner/src/docker/objects");
    let sources = fs::read_dir(&crates).expect("the crates").map(|entry| entry.expect("a crate").path().join("src"));
    let names_it = |path: &PathBuf| fs::read_to_string(path).is_ok_and(|text| text.contains("bollard::"));
    let named: Vec<PathBuf> = sources.flat_map(|source| files(&source)).filter(names_it).collect();
    let strangers: Vec<_> = named.iter().filter(|path| !path.starts_with(&home)).collect();
    assert!(strangers.is_empty(), "only {} may name bollard, but {strangers:?} do", home.display());
    assert!(!named.is_empty(), "{} no longer names bollard; mend this test", home.display());
}

#[test]
fn model_does_no_io() {
    let found = dependencies(&metadata());
    for banned in ["tokio", "serde", "rusqlite", "hyper", "axum"] {
        assert!(!found["harbor-model"].contains(banned), "harbor-model names {banned}");
    }
    for banned in ["tokio", "hyper", "axum", "serde_json"] {
        assert!(!found["harbor-protocol"].contains(banned), "harbor-protocol names {banned}");
    }
}
