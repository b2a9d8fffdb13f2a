//! The built binary, typed at as documents and scripts do. Each case has a data directory of its own.

#![expect(clippy::unwrap_used, reason = "a test ends where something is not as it must be")]

mod ending;
mod logs;
mod output;
mod values;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use rustix::fs::{FlockOperation, flock};
use tempfile::TempDir;

struct Case {
    home: TempDir,
    variables: BTreeMap<&'static str, String>,
}

struct Answer {
    code: i32,
    out: String,
    err: String,
}

impl Case {
    fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        let data = home.path().join("data").to_str().unwrap().to_owned();
        Self { home, variables: BTreeMap::from([("HARBOR_DATA_DIR", data)]) }
    }

    fn with(mut self, name: &'static str, value: &str) -> Self {
        self.variables.insert(name, value.to_owned());
        self
    }

    fn data(&self) -> PathBuf {
        self.home.path().join("data")
    }

    fn config_file(&self) -> String {
        fs::read_to_string(self.data().join("config.toml")).unwrap()
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_harbor"));
        command
            .args(arguments)
            .env_clear()
            .envs(std::env::var_os("PATH").map(|path| ("PATH", path)))
            .env("HOME", self.home.path())
            .envs(&self.variables)
            .current_dir(self.home.path())
            .stdin(Stdio::null());
        command
    }

    fn run(&self, arguments: &[&str]) -> Answer {
        let Output { status, stdout, stderr } = self.command(arguments).output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Answer { code: status.code().unwrap(), out: text(stdout), err: text(stderr) }
    }
}

#[track_caller]
fn check_get(case: &Case, key: &str, value: &str) {
    let Answer { code, out, err } = case.run(&["config", "get", key]);
    assert_eq!((code, out.as_str()), (0, format!("{value}\n").as_str()), "{err}");
}

#[test]
fn help_mentions_every_command() {
    let help = Case::new().run(&["--help"]);
    assert_eq!(help.code, 0);
    let commands = "up down ps logs status env url open pull config doctor trust prune service uninstall completions \
                    version";
    for command in commands.split(' ') {
        assert!(
            help.out.lines().any(|line| line.trim_start().starts_with(command)),
            "{command} is missing:\n{}",
            help.out
        );
        let own = Case::new().run(&[command, "--help"]);
        assert_eq!(own.code, 0, "{command}");
        assert!(own.out.contains("Usage: harbor"), "{command}: {}", own.out);
    }
    let up = Case::new().run(&["up", "--help"]).out;
    for words in ["--host-port", "HARBOR_DAYTONA_HOST_PORT", "default: 35000", "--foreground", "--open"] {
        assert!(up.contains(words), "{words}");
    }
    assert!(!up.contains("--admin-api-key"), "a secret on the command line is visible to all users");
}

#[test]
fn nothing_is_coloured_where_no_person_looks() {
    for arguments in [&["--help"][..], &["ps"], &["config", "ls"], &["status"]] {
        let Answer { out, err, .. } = Case::new().run(arguments);
        assert!(!out.contains('\x1b') && !err.contains('\x1b'), "{arguments:?}");
    }
}

#[test]
fn documented_values_are_answered_bare() {
    let case = Case::new();
    check_get(&case, "daytona.host_port", "35000");
    check_get(&case, "HARBOR_DAYTONA_PROXY_HOST_PORT", "35001");
    check_get(&case, "daytona.default_snapshot", "daytonaio/sandbox:v0.185.0-amd64");
    check_get(&case, "daytona.jaeger_version", "1.67.0");
    check_get(&case, "docker_host", "");
    assert!(!case.data().exists(), "reading makes nothing");
}

#[test]
fn a_removed_components_key_says_what_replaced_it() {
    let Answer { code, out, err } = Case::new().run(&["config", "get", "daytona.db_host_port"]);
    assert_eq!((code, out.as_str()), (0, "35007\n"));
    assert!(err.contains("database is a file"), "{err}");
}

#[test]
fn an_unknown_key_is_one_line_and_no_output() {
    for arguments in [&["config", "get", "daytona.hostport"][..], &["config", "set", "daytona.hostport", "1"]] {
        let Answer { code, out, err } = Case::new().run(arguments);
        assert_ne!(code, 0);
        assert_eq!(out, "");
        assert_eq!(err.lines().count(), 1, "{err}");
        assert!(err.contains("did you mean daytona.host_port?"), "{err}");
    }
}

#[test]
fn a_set_value_is_kept_and_an_empty_one_clears() {
    let case = Case::new();
    let set = |key, value| case.run(&["config", "set", key, value]).code;
    assert_eq!(set("daytona.host_port", "36000"), 0);
    check_get(&case, "daytona.host_port", "36000");
    assert_eq!(fs::metadata(case.data()).unwrap().permissions().mode() & 0o777, 0o700);
    fs::write(case.data().join("config.toml"), format!("# mine\n{}", case.config_file())).unwrap();
    assert_eq!(set("daytona.minio_bucket", "contexts"), 0);
    assert!(case.config_file().starts_with("# mine\n"), "{}", case.config_file());
    assert_eq!(set("daytona.host_port", ""), 0);
    check_get(&case, "daytona.host_port", "35000");
    check_get(&case, "daytona.minio_bucket", "contexts");
    let case = case.with("HARBOR_DAYTONA_MINIO_BUCKET", "other");
    check_get(&case, "daytona.minio_bucket", "other");
}

#[test]
fn a_wrong_value_is_refused_and_a_wrong_file_can_be_put_right() {
    let case = Case::new();
    let refused = case.run(&["config", "set", "daytona.host_port", "http"]);
    assert_ne!(refused.code, 0);
    assert!(refused.err.contains("must be a port number"), "{}", refused.err);
    fs::create_dir_all(case.data()).unwrap();
    fs::write(case.data().join("config.toml"), "[daytona]\nhost_port = 99999\n").unwrap();
    let refused = case.run(&["config", "get", "daytona.host_port"]);
    assert_eq!((refused.out.as_str(), refused.err.lines().count()), ("", 1), "{}", refused.err);
    assert!(refused.err.contains("config.toml: daytona.host_port must be a port number"), "{}", refused.err);
    assert_eq!(case.run(&["config", "set", "daytona.host_port", "36000"]).code, 0);
    check_get(&case, "daytona.host_port", "36000");
}

#[test]
fn a_wrong_file_disables_no_command_that_does_not_need_it() {
    for (text, reason) in [("nonsense = 1\n", "unknown key `nonsense`"), ("bind = \"\"\n[daytona\n", ", line 2: ")] {
        let case = Case::new();
        fs::create_dir(case.data()).unwrap();
        let file = case.data().join("config.toml");
        fs::write(&file, text).unwrap();
        let path = case.run(&["config", "path"]);
        assert_eq!((path.code, path.out.trim_end()), (0, file.to_str().unwrap()), "{}", path.err);
        assert_eq!(case.run(&["down"]).out, "harbor is not running\n");
        assert_eq!(case.run(&["ps"]).code, 0);
        assert!(case.run(&["logs"]).err.contains("no logs yet"));
        let status = case.run(&["status"]);
        assert_eq!(status.out, "harbor is stopped\n");
        let list = case.run(&["config", "ls"]);
        assert!(list.code == 1 && list.out.contains("daytona.host_port"), "{}", list.out);
        let start = case.run(&["up"]);
        assert_eq!(start.code, 1);
        for err in [status.err, list.err, start.err] {
            assert!(err.contains(file.to_str().unwrap()) && err.contains(reason), "{err}");
        }
    }
}

#[test]
fn an_admin_key_that_can_never_log_in_is_refused() {
    for key in ["a b", " lead", "ünï"] {
        let set = Case::new().run(&["config", "set", "daytona.admin_api_key", key]);
        assert_eq!((set.code, set.out.as_str(), set.err.lines().count()), (1, "", 1), "{}", set.err);
        assert!(set.err.contains("daytona.admin_api_key must be printable ASCII without blanks"), "{}", set.err);
        let case = Case::new().with("HARBOR_DAYTONA_ADMIN_API_KEY", key);
        for start in STARTS {
            check_refused(&case, start, &[], &["daytona.admin_api_key must be printable ASCII without blanks"]);
        }
        assert!(!case.data().exists());
    }
}

#[test]
fn lists_hide_secrets() {
    let case = Case::new().with("HARBOR_DAYTONA_ADMIN_PASSWORD", "hunter2");
    for arguments in [&["config", "ls"][..], &["config", "list"], &["config", "ls", "--json"]] {
        let Answer { code, out, .. } = case.run(arguments);
        assert_eq!(code, 0);
        assert!(out.contains("daytona.host_port") && out.contains("35000"), "{out}");
        assert!(!out.contains("hunter2"), "{out}");
    }
    check_get(&case, "daytona.admin_password", "hunter2");
}

#[test]
fn a_key_that_was_not_generated_yet_says_when_it_is() {
    let Answer { code, out, err } = Case::new().run(&["config", "get", "daytona.admin_api_key"]);
    assert_eq!((code, out.as_str(), err.lines().count()), (1, "", 1));
    assert!(err.contains("harbor up"), "{err}");
}

#[test]
fn components_are_listed_and_status_is_not_ready() {
    let case = Case::new();
    let ps = case.run(&["ps"]);
    assert_eq!(ps.code, 0);
    assert_eq!(ps.out.lines().filter(|line| line.contains("daytona")).count(), 14, "{}", ps.out);
    let redis = ps.out.lines().find(|line| line.starts_with("daytona-redis ")).unwrap();
    assert!(redis.contains("not needed"), "{redis}");
    let status = case.run(&["status", "--json"]);
    assert_eq!(status.code, 1);
    let object: serde_json::Value = serde_json::from_str(&status.out).unwrap();
    assert_eq!((&object["ready"], &object["state"]), (&false.into(), &"stopped".into()));
}

#[test]
fn stopping_what_does_not_run_is_fine_and_stopping_something_else_is_not() {
    let case = Case::new();
    assert_eq!(case.run(&["down"]).code, 0);
    assert_eq!(case.run(&["down", "daytona"]).code, 0);
    for handle in ["ollama", "daytona-runner"] {
        assert_eq!(case.run(&["down", handle]).code, 1, "{handle}");
    }
    let url = case.run(&["url", "daytona", "ollama"]);
    assert_eq!((url.code, url.out.as_str()), (0, "http://localhost:35000\n"));
    assert!(url.err.contains("ollama") && url.err.contains("harbor does not run"), "{}", url.err);
}

#[test]
fn logs_before_the_first_start_and_of_unknown_components() {
    let case = Case::new();
    let none = case.run(&["logs", "daytona-runner"]);
    assert_eq!((none.code, none.err.lines().count()), (1, 1), "{}", none.err);
    let unknown = case.run(&["logs", "ollama"]);
    assert!(unknown.code == 1 && unknown.err.contains("daytona-runner"), "{}", unknown.err);
}

#[test]
fn versions_and_completions() {
    let case = Case::new();
    let expected = format!("harbor {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(case.run(&["--version"]).out, expected);
    for shell in ["bash", "zsh", "fish"] {
        let script = case.run(&["completions", shell]);
        assert!(script.code == 0 && script.out.contains("doctor"), "{shell}");
    }
    let script = case.run(&["completions", "bash"]).out;
    let path = case.home.path().join("completion");
    fs::write(&path, script).unwrap();
    assert!(Command::new("bash").arg("-n").arg(path).status().unwrap().success());
}

/// Both ways to start, which report alike.
const STARTS: [&[&str]; 2] = [&["up", "--foreground"], &["up"]];

#[track_caller]
fn check_refused(case: &Case, start: &[&str], more: &[&str], words: &[&str]) {
    let Answer { code, out, err } = case.run(&[start, more].concat());
    assert_eq!(code, 1, "{err}");
    assert_eq!(out, "");
    let refusal =
        err.lines().find(|line| line.starts_with("harbor: ")).unwrap_or_else(|| panic!("no reason in {err:?}"));
    for word in words {
        assert!(refusal.contains(word), "{word:?} is not in {refusal:?}");
    }
}

#[test]
fn a_second_harbor_on_the_same_data_is_told_about_the_first() {
    let case = Case::new();
    fs::create_dir(case.data()).unwrap();
    let lock = fs::File::create(case.data().join("lock")).unwrap();
    fs::write(case.data().join("lock"), "4711\n").unwrap();
    flock(&lock, FlockOperation::LockExclusive).unwrap();
    check_refused(&case, STARTS[0], &[], &["already running", "process 4711"]);
}

#[test]
fn a_data_directory_that_cannot_be_is_one_line() {
    let case = Case::new();
    let file = case.home.path().join("file");
    fs::write(&file, "").unwrap();
    let below = file.join("data");
    for start in STARTS {
        check_refused(&case, start, &["--data-dir", below.to_str().unwrap()], &["data directory", "--data-dir"]);
    }
}

#[test]
fn a_port_in_use_names_its_holder_and_the_key() {
    for start in STARTS {
        let case = Case::new();
        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = taken.local_addr().unwrap().port();
        let holder = format!("process {}", std::process::id());
        let words = [format!("port {port} is in use"), holder, "harbor config set daytona.proxy_host_port".to_owned()];
        let words: Vec<_> = words.iter().map(String::as_str).collect();
        check_refused(&case, start, &["--host-port=0", &format!("--proxy-host-port={port}")], &words);
        check_nothing_left(&case.data());
    }
}

#[test]
fn two_equal_ports_name_both_keys() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    drop(taken);
    let words = [format!("daytona.host_port and daytona.proxy_host_port are both {port}")];
    let case = Case::new();
    for start in STARTS {
        let flags = [format!("--host-port={port}"), format!("--proxy-host-port={port}")];
        check_refused(&case, start, &flags.each_ref().map(String::as_str), &words.each_ref().map(String::as_str));
        check_nothing_left(&case.data());
    }
}

#[test]
fn a_colon_in_the_data_directory_is_named() {
    let case = Case::new();
    let data = case.home.path().join("co:lon");
    for start in STARTS {
        check_refused(&case, start, &["--data-dir", data.to_str().unwrap()], &["without a colon", "--data-dir"]);
    }
    assert!(!data.exists());
}

/// After a failed start the lock is free and the keys that were made stay.
#[track_caller]
fn check_nothing_left(data: &Path) {
    let lock = fs::File::open(data.join("lock")).unwrap();
    flock(&lock, FlockOperation::NonBlockingLockExclusive).unwrap();
    assert!(!data.join("run/state.json").exists());
    assert!(data.join("keys/admin_api_key").exists());
}

#[test]
fn published_keys_are_refused_where_others_can_connect() {
    let case = Case::new().with("HARBOR_DAYTONA_ADMIN_API_KEY", "harbor-daytona-admin-key");
    for start in STARTS {
        check_refused(&case, start, &["--bind=0.0.0.0"], &["daytona.admin_api_key", "harbor config set"]);
    }
    assert!(!case.data().join("keys").exists());
}

#[test]
fn a_foreign_directory_is_left_alone() {
    let case = Case::new();
    fs::create_dir(case.data()).unwrap();
    fs::write(case.data().join("thesis.txt"), "").unwrap();
    for start in STARTS {
        check_refused(&case, start, &[], &["thesis.txt"]);
    }
    assert_eq!(fs::read_dir(case.data()).unwrap().count(), 1);
}
