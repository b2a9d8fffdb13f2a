//! Embeds the static builds of toolbox, its git, and infra, compressed; `scripts/build` makes them before this crate.
//!
//! Their paths come from the variables in `BINARIES`, else from where `scripts/build` puts them.
//! Without them this crate still builds, and says at run time which command to run; a release build refuses.

use std::env;
use std::fmt::Write;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

/// Crate name and the variable that holds the path of its binary.
const BINARIES: [(&str, &str); 3] = [
    ("harbor-toolbox", "HARBOR_TOOLBOX_BINARY"),
    ("harbor-git", "HARBOR_GIT_BINARY"),
    ("harbor-infra", "HARBOR_INFRA_BINARY"),
];

fn main() -> io::Result<()> {
    let out = PathBuf::from(variable("OUT_DIR")?);
    let mut contents = Vec::new();
    for (name, override_path) in BINARIES {
        println!("cargo::rerun-if-env-changed={override_path}");
        let path = env::var_os(override_path).map_or_else(|| built(name), |path| Ok(PathBuf::from(path)))?;
        println!("cargo::rerun-if-changed={}", path.display());
        match fs::read(&path) {
            Ok(bytes) => contents.push((name, bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound && env::var_os(override_path).is_none() => {}
            Err(error) => return Err(io::Error::new(error.kind(), format!("{}: {error}", path.display()))),
        }
    }
    let complete = contents.len() == BINARIES.len();
    if !complete && variable("PROFILE")? == "release" {
        return Err(io::Error::other("toolbox, git and infra are not built; a release is made by ./scripts/build"));
    }
    let code = if complete { embed(&out, &contents)? } else { "None".to_owned() };
    fs::write(out.join("embedded.rs"), code)
}

/// Where `scripts/build` leaves the static build of this crate.
fn built(name: &str) -> io::Result<PathBuf> {
    let triple = variable("TARGET")?;
    let manifest = PathBuf::from(variable("CARGO_MANIFEST_DIR")?);
    let workspace = manifest.ancestors().nth(2).map(Path::to_path_buf);
    let workspace = workspace.ok_or_else(|| io::Error::other("this crate lies outside of its workspace"))?;
    Ok(workspace.join("target/embedded").join(triple).join("embedded").join(name))
}

/// Writes the compressed binaries and returns the expression that names them.
fn embed(out: &Path, contents: &[(&str, Vec<u8>)]) -> io::Result<String> {
    // The smallest form takes seconds to make, which only a release is worth.
    let level = if variable("PROFILE")? == "release" { 19 } else { 3 };
    let mut whole = Sha256::new();
    let mut binaries = String::new();
    for (name, bytes) in contents {
        let file_name = format!("/{name}.zst");
        fs::write(out.join(&file_name[1..]), zstd::encode_all(bytes.as_slice(), level)?)?;
        let digest = hex(&Sha256::digest(bytes));
        whole.update(name);
        whole.update(&digest);
        write!(
            binaries,
            "Binary {{ name: {name:?}, size: {}, sha256: {digest:?}, compressed: include_bytes!(concat!(env!(\"OUT_DIR\"), {file_name:?})) }},",
            grouped(bytes.len()),
        )
        .map_err(io::Error::other)?;
    }
    let directory = &hex(&whole.finalize())[..16];
    Ok(format!("Some(Embedded {{ directory: {directory:?}, binaries: &[{binaries}] }})"))
}

/// A number as the lints want it read: `1_236_064`.
fn grouped(number: usize) -> String {
    if number < 1000 { number.to_string() } else { format!("{}_{:03}", grouped(number / 1000), number % 1000) }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

fn variable(name: &str) -> io::Result<String> {
    env::var(name).map_err(|error| io::Error::other(format!("{name}: {error}")))
}
