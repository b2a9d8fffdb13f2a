//! A harbor of a test's own, or one that many tests share.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use reqwest::Method;
use serde_json::Value;
use tokio::process::Command;

use crate::client::Client;
use crate::engine::docker;
use crate::janitor::Janitor;
use crate::wait::{stretched, within};

/// The longest that `harbor up` may take in a test: the default image is there.
const START: Duration = Duration::from_mins(1);

/// A harbor with a data directory of its own, on ports that the system chose. Dropping it removes all that it made.
#[derive(Debug)]
pub struct Harbor {
    data: PathBuf,
    variables: Vec<(String, String)>,
    address: Mutex<Option<Address>>,
    janitor: Janitor,
}

/// What `harbor up --json` says.
#[derive(Clone, Debug)]
struct Address {
    api: String,
    proxy: String,
    key: String,
}

/// How a command of the binary ended.
#[derive(Clone, Debug)]
pub struct Said {
    /// Whether its exit code was 0.
    pub success: bool,
    /// Its standard output.
    pub output: String,
    /// Its standard error, without the end of the last line.
    pub error: String,
}

impl Said {
    /// The one line of the error; anything else fails the test.
    pub fn one_line(&self) -> &str {
        assert!(!self.success, "it succeeded: {}", self.output);
        assert!(!self.error.is_empty() && !self.error.contains('\n'), "not one line: {:?}", self.error);
        &self.error
    }
}

/// The harbor of all tests that change nothing about it.
static SHARED: tokio::sync::Mutex<Weak<Harbor>> = tokio::sync::Mutex::const_new(Weak::new());

impl Harbor {
    /// The harbor that tests share while at least one of them runs.
    pub async fn shared() -> Arc<Self> {
        let mut shared = SHARED.lock().await;
        if let Some(harbor) = shared.upgrade() {
            return harbor;
        }
        let harbor = Arc::new(Self::started().await);
        *shared = Arc::downgrade(&harbor);
        harbor
    }

    /// One of the test's own, running.
    pub async fn started() -> Self {
        let harbor = Self::installed();
        harbor.up().await;
        harbor
    }

    /// One of the test's own that has never been started.
    pub fn installed() -> Self {
        let janitor = Janitor::new();
        let data = janitor.place().join("data");
        // 0: the system chooses, so that tests never meet
        let ports = ["HOST_PORT", "PROXY_HOST_PORT", "SSH_HOST_PORT", "REGISTRY_HOST_PORT", "MINIO_HOST_PORT"];
        let mut variables = ports.map(|port| (format!("HARBOR_DAYTONA_{port}"), "0".to_owned())).to_vec();
        // tests count containers, and most are about cold starts
        variables.push(("HARBOR_WARM_POOL_SIZE".to_owned(), "0".to_owned()));
        Self { data, variables, address: Mutex::new(None), janitor }
    }

    /// The same with an environment variable more.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.variables.retain(|(set, _)| set != name);
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Its data directory.
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// A directory that is removed with it.
    pub fn place(&self) -> &Path {
        self.janitor.place()
    }

    /// Starts it, which must succeed.
    pub async fn up(&self) {
        let patience = stretched(START).as_secs().saturating_sub(1).to_string();
        let said = self.run(&["up", "--json", "--wait", &patience]).await;
        assert!(said.success, "harbor up failed: {}", said.error);
        let told: Value = serde_json::from_str(&said.output).expect("harbor up --json prints JSON");
        let field = |name: &str| told[name].as_str().unwrap_or_else(|| panic!("no {name} in {told}")).to_owned();
        // the preview domain does not resolve everywhere, its port is that of the toolbox too
        let proxy = field("proxy_url");
        let port = proxy.rsplit(':').next().unwrap_or_default().trim_end_matches('/');
        let address =
            Address { api: field("api_url"), proxy: format!("http://127.0.0.1:{port}"), key: field("api_key") };
        *self.address.lock().unwrap_or_else(PoisonError::into_inner) = Some(address);
    }

    /// Runs a command of the binary on this data directory.
    pub async fn run(&self, arguments: &[&str]) -> Said {
        let output = tokio::time::timeout(stretched(START), self.command(arguments).output()).await;
        let output = output.unwrap_or_else(|_| panic!("harbor {arguments:?} did not end within {START:?}"));
        let output = output.expect("the binary starts");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end().to_owned();
        Said { success: output.status.success(), output: text(&output.stdout), error: text(&output.stderr) }
    }

    /// The same, not started yet.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(binary());
        for (name, _) in std::env::vars_os() {
            let known = name.to_string_lossy();
            if known.starts_with("HARBOR_") || known.starts_with("DAYTONA_") {
                command.env_remove(name);
            }
        }
        let variables = self.variables.iter().map(|(name, value)| (name, value));
        command.args(arguments).envs(variables).env("HARBOR_DATA_DIR", &self.data).stdin(Stdio::null());
        command
    }

    /// A client of it as it runs now.
    pub fn client(&self) -> Client {
        let address = self.address.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let Address { api, proxy, key } = address.expect("it has been started");
        Client::new(api, proxy, key)
    }

    /// The id of its process.
    pub fn process(&self) -> u32 {
        let text = std::fs::read_to_string(self.data.join("lock")).expect("it has been started");
        text.trim().parse().expect("a process id")
    }

    /// Ends it as a power loss would, without waiting until the kernel has taken it apart.
    pub async fn kill_and_go_on(&self) {
        let process = self.process().to_string();
        let killed = Command::new("kill").args(["-9", &process]).status().await.expect("kill is on PATH");
        assert!(killed.success(), "process {process} was not there to kill");
    }

    /// Ends it as a power loss would.
    pub async fn kill(&self) {
        let process = self.process().to_string();
        self.kill_and_go_on().await;
        within(Duration::from_secs(10), "the process ended", async || {
            // the lock is the kernel's: free means ended
            let free = Command::new("flock").arg("--nonblock").arg(self.data.join("lock")).arg("true").status().await;
            if free.expect("flock is on PATH").success() { Ok(()) } else { Err(process.clone()) }
        })
        .await;
    }

    /// This installation's id.
    pub fn instance(&self) -> String {
        std::fs::read_to_string(self.data.join("instance")).expect("it has been started").trim().to_owned()
    }

    /// Names and sandbox ids of its containers of this role on the engine, in whatever state.
    pub async fn containers(&self, role: &str) -> Vec<(String, String)> {
        let instance = format!("label=harbor.instance={}", self.instance());
        let role = format!("label=harbor.role={role}");
        let format = "{{.Names}} {{.Label \"harbor.sandbox\"}}";
        let listed = docker(&["ps", "--all", "--filter", &instance, "--filter", &role, "--format", format]).await;
        let mut all: Vec<_> = listed
            .lines()
            .filter_map(|line| line.split_once(' '))
            .map(|(name, sandbox)| (name.to_owned(), sandbox.to_owned()))
            .collect();
        all.sort();
        all
    }

    /// How many infra containers it keeps ready for sandboxes to come, once they all are.
    pub async fn full_stock(&self) -> Result<usize, String> {
        let told = self.client().ask(Method::GET, "/harbor/loops", None).await.expect(200);
        let loops = told.body.as_array().expect("a list");
        let stock = loops.iter().find(|one| one["name"] == "infra stock").expect("a loop over the stock");
        let outcome = stock["last"]["outcome"].as_str().unwrap_or_default();
        outcome.strip_suffix(" ready").and_then(|count| count.parse().ok()).ok_or_else(|| outcome.to_owned())
    }

    /// Everything that it has logged.
    pub fn log(&self) -> String {
        let mut files: Vec<_> = std::fs::read_dir(self.data.join("logs"))
            .expect("a directory of logs")
            .map(|entry| entry.expect("an entry").path())
            .collect();
        files.sort();
        files.iter().map(|file| std::fs::read_to_string(file).expect("a log")).collect()
    }

    /// MiB of memory: `VmRSS` now, `VmHWM` at most so far.
    pub fn memory(&self, field: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process())).expect("it runs");
        let line = status.lines().find(|line| line.starts_with(field)).expect("a field of /proc/PID/status");
        line.split_whitespace().nth(1).and_then(|number| number.parse::<u64>().ok()).expect("KiB") / 1024
    }
}

fn binary() -> PathBuf {
    let named = std::env::var_os("HARBOR_BINARY").map(PathBuf::from);
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| workspace().join("target"), PathBuf::from);
    let binary = named.unwrap_or_else(|| target.join("debug/harbor"));
    assert!(binary.is_file(), "there is no {}: ./scripts/build makes it", binary.display());
    binary
}

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().map(Path::to_owned).unwrap_or_default()
}
