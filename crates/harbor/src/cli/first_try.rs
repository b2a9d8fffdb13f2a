//! The lines that `up` prints for a first try. They run as printed: what is installed here decides which client they use.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use crate::invocation::on_path;

/// What the first try is made with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Client {
    /// The Python of this shell: a virtual environment is active, or the distribution lets pip install beside it.
    Pip,
    /// `uv`, which installs nothing that stays.
    Uv,
    /// A virtual environment made for this, since the distribution refuses packages beside its own (PEP 668).
    VirtualEnvironment,
    /// `npm` and `node`.
    Node,
    /// Nothing of these is here.
    Curl,
}

impl Client {
    /// The one that this user's shell has.
    pub(super) fn here() -> Self {
        let active = ["VIRTUAL_ENV", "CONDA_PREFIX"].iter().any(|name| std::env::var_os(name).is_some());
        Self::on(&std::env::var_os("PATH").unwrap_or_default(), active)
    }

    /// The one of a shell with this search path. `active` says whether a virtual environment is.
    fn on(path: &OsStr, active: bool) -> Self {
        let has = |name: &str| on_path(path, name).is_some();
        let library = on_path(path, "python3").as_deref().and_then(library);
        let library_has = |name: &str| library.as_ref().is_some_and(|library| library.join(name).exists());
        let python = has("python3") && has("pip");
        if active && python {
            Self::Pip
        } else if has("uv") {
            Self::Uv
        } else if library_has("ensurepip/__init__.py") {
            Self::VirtualEnvironment
        } else if python && !library_has("EXTERNALLY-MANAGED") {
            Self::Pip
        } else if has("node") && has("npm") {
            Self::Node
        } else {
            Self::Curl
        }
    }

    /// The lines, indented, under a heading. `environment` is the command that prints the variables of clients.
    pub(super) fn lines(self, environment: &str) -> String {
        let first = match self {
            Self::Pip => "  pip install daytona\n  python3 -c '",
            Self::Uv => "  uv run --no-project --with daytona python -c '",
            Self::VirtualEnvironment => {
                "  python3 -m venv ~/harbor-sdk && . ~/harbor-sdk/bin/activate\n  pip install daytona\n  python3 -c '"
            }
            Self::Node => {
                "  npm install --prefix ~/harbor-sdk @daytonaio/sdk\n  NODE_PATH=~/harbor-sdk/node_modules node -e '"
            }
            Self::Curl => CURL,
        };
        let program = match self {
            Self::Pip | Self::Uv | Self::VirtualEnvironment => PYTHON,
            Self::Node => JAVASCRIPT,
            Self::Curl => "",
        };
        format!("\nTry it:\n\n  eval \"$({environment})\"\n{first}{program}")
    }
}

/// The directory of the standard library of a Python, by its own name with a version: `/usr/lib/python3.11` for
/// `/usr/bin/python3`. None where the program is a script that chooses one.
fn library(python: &Path) -> Option<PathBuf> {
    let program = python.canonicalize().ok()?;
    let library = program.parent()?.parent()?.join("lib").join(program.file_name()?);
    library.join("os.py").is_file().then_some(library)
}

const PYTHON: &str = r#"
from daytona import Daytona
sandbox = Daytona().create()
print(sandbox.process.exec("echo hello from $(hostname)").result)
sandbox.delete()'
"#;

const JAVASCRIPT: &str = r#"
const { Daytona } = require("@daytonaio/sdk")
async function main() {
  const sandbox = await new Daytona().create()
  console.log((await sandbox.process.executeCommand("echo hello from $(hostname)")).result)
  await sandbox.delete()
}
main()'
"#;

const CURL: &str = r#"  ask() { curl -fsS -H "Authorization: Bearer $DAYTONA_API_KEY" -H "Content-Type: application/json" "$@"; echo; }
  ask "$DAYTONA_API_URL/sandbox" -d '{"name": "hello"}'
  ask "$DAYTONA_API_URL/toolbox/hello/toolbox/process/execute" -d '{"command": "echo hello from $(hostname)"}'
  ask "$DAYTONA_API_URL/sandbox/hello" -X DELETE
"#;

#[cfg(test)]
mod tests {
    use super::*;

    /// A root with these files.
    fn root(files: &[&str]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for file in files {
            let file = root.path().join(file);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, "").unwrap();
        }
        std::os::unix::fs::symlink("python3.11", root.path().join("bin/python3")).unwrap();
        root
    }

    fn chosen(files: &[&str], active: bool) -> Client {
        let root = root(files);
        Client::on(root.path().join("bin").as_os_str(), active)
    }

    #[test]
    fn what_is_installed_decides() {
        let debian =
            ["bin/python3.11", "lib/python3.11/os.py", "lib/python3.11/EXTERNALLY-MANAGED", "bin/pip", "bin/curl"];
        assert_eq!(chosen(&debian, false), Client::Curl);
        assert_eq!(chosen(&debian, true), Client::Pip);
        let with = |files: &[&'static str]| chosen(&[&debian, files].concat(), false);
        assert_eq!(with(&["bin/node"]), Client::Curl);
        assert_eq!(with(&["bin/node", "bin/npm"]), Client::Node);
        assert_eq!(with(&["bin/node", "bin/npm", "lib/python3.11/ensurepip/__init__.py"]), Client::VirtualEnvironment);
        assert_eq!(with(&["bin/uv", "lib/python3.11/ensurepip/__init__.py"]), Client::Uv);
        assert_eq!(chosen(&["bin/python3.11", "lib/python3.11/os.py", "bin/pip"], false), Client::Pip);
        assert_eq!(chosen(&["bin/curl"], false), Client::Curl);
    }
}
