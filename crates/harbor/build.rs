//! Tells the binary which commit it is built from: `HARBOR_COMMIT` of the environment, else what git says.

use std::process::Command;

fn main() {
    println!("cargo::rerun-if-env-changed=HARBOR_COMMIT");
    println!("cargo::rerun-if-changed=build.rs");
    // what moves when a commit is made or another one is checked out; an unpacked archive has none
    if let Some(log) = git(&["rev-parse", "--path-format=absolute", "--git-path", "logs/HEAD"]) {
        println!("cargo::rerun-if-changed={log}");
    }
    let given = std::env::var("HARBOR_COMMIT").ok().filter(|commit| !commit.is_empty());
    if let Some(commit) = given.or_else(|| git(&["rev-parse", "--short=12", "HEAD"])) {
        println!("cargo::rustc-env=HARBOR_COMMIT={commit}");
    }
}

fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned()).filter(|text| !text.is_empty())
}
