//! Commands beside a harbor that was killed and that the kernel is still taking apart: the lock is held, the state file
//! says that it serves, and nobody answers.

use std::fs::{self, File};
use std::net::TcpListener;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::{Answer, Case};

/// What `arguments` answer while such a process ends, which takes it a second and a half.
fn beside_a_dying_one(case: &Case, arguments: &[&str]) -> Answer {
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap(); // the kernel takes connections, nobody reads them
    let services = json!([{"service": "api", "addresses": [nobody.local_addr().unwrap()]}]);
    beside(json!({"phase": "ready", "services": services, "engine": "Docker"}), case, arguments)
}

/// The same beside a process that says that it is in this `phase`.
fn beside(phase: Value, case: &Case, arguments: &[&str]) -> Answer {
    let pid = std::process::id();
    for directory in ["run", "keys"] {
        fs::create_dir_all(case.data().join(directory)).unwrap();
    }
    fs::write(case.data().join("keys/admin_api_key"), "dtn_0123456789").unwrap();
    let mut state = phase;
    state["pid"] = pid.into();
    state["version"] = "0".into();
    fs::write(case.data().join("run/state.json"), state.to_string()).unwrap();
    fs::write(case.data().join("lock"), format!("{pid}\n")).unwrap();
    let lock = File::open(case.data().join("lock")).unwrap();
    flock(&lock, FlockOperation::LockExclusive).unwrap();
    thread::scope(|scope| {
        scope.spawn(move || {
            thread::sleep(Duration::from_millis(1500));
            drop(lock);
        });
        case.run(arguments)
    })
}

#[test]
fn up_waits_for_its_end_and_starts_one() {
    for more in [&["--foreground"][..], &[]] {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = taken.local_addr().unwrap().port();
        // that it tries, and why it cannot, shows that it has started one of its own
        let flags = ["up", "--host-port=0", &format!("--proxy-host-port={port}")];
        let Answer { code, out, err } = beside_a_dying_one(&Case::new(), &[&flags, more].concat());
        assert_eq!((code, out.as_str()), (1, ""), "{err}");
        assert!(err.contains(&format!("port {port} is in use")), "{err}");
    }
}

#[test]
fn up_starts_one_after_another_has_stopped_or_failed_to_start() {
    for (phase, says) in [("stopping", "which is stopping"), ("starting", "pulling an image")] {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = taken.local_addr().unwrap().port();
        let flags = ["up", "--host-port=0", &format!("--proxy-host-port={port}")];
        let phase = json!({"phase": phase, "what": "pulling an image"});
        let Answer { code, out, err } = beside(phase, &Case::new(), &flags);
        assert_eq!((code, out.as_str()), (1, ""), "{err}");
        assert!(err.contains(says) && err.contains(&format!("port {port} is in use")), "{err}");
    }
}

#[test]
fn others_do_not_take_it_for_ready() {
    let status = beside_a_dying_one(&Case::new(), &["status"]);
    assert_eq!((status.code, status.out.as_str()), (1, "harbor is stopped\n"), "{}", status.err);
    let ps = beside_a_dying_one(&Case::new(), &["ps", "daytona"]);
    assert!(ps.out.contains("stopped") && !ps.out.contains("healthy"), "{}", ps.out);
    let env = beside_a_dying_one(&Case::new(), &["env"]);
    assert!(env.err.contains("harbor does not run"), "{}", env.err);
}

#[test]
fn an_interrupted_start_says_that_it_goes_on() {
    let case = Case::new();
    let pid = std::process::id();
    fs::create_dir_all(case.data().join("run")).unwrap();
    let state = json!({"pid": pid, "version": "0", "phase": "starting", "what": "pulling an image"});
    fs::write(case.data().join("run/state.json"), state.to_string()).unwrap();
    fs::write(case.data().join("lock"), format!("{pid}\n")).unwrap();
    let lock = File::open(case.data().join("lock")).unwrap();
    flock(&lock, FlockOperation::LockExclusive).unwrap();
    let waiting = case.command(&["up"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    thread::sleep(Duration::from_secs(1));
    kill_process(Pid::from_child(&waiting), Signal::INT).unwrap();
    let ended = waiting.wait_with_output().unwrap();
    let said = String::from_utf8(ended.stderr).unwrap();
    assert_eq!(ended.status.code(), Some(130), "{said}");
    assert!(said.contains("pulling an image") && said.contains("goes on in the background"), "{said}");
    assert!(said.contains("`harbor logs -f --data-dir "), "{said}");
}

#[test]
fn an_engine_that_is_not_there_is_told_without_the_layers_of_a_client() {
    let case = Case::new().with("HARBOR_DOCKER_HOST", "tcp://127.0.0.1:9");
    let up = case.run(&["up", "--host-port=0", "--proxy-host-port=0"]);
    let doctor = case.run(&["doctor"]);
    for said in [up.err, doctor.out] {
        assert!(said.contains("Connection refused") && said.contains("tcp://127.0.0.1:9"), "{said}");
        assert!(!said.contains("hyper") && !said.contains("client error"), "{said}");
    }
}

#[test]
fn another_installations_database_is_refused() {
    let case = Case::new().with("HARBOR_DOCKER_HOST", "tcp://127.0.0.1:9");
    let up = || case.run(&["up", "--host-port=0", "--proxy-host-port=0"]).err;
    up();
    let file = case.data().join("instance");
    let owner = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, "6f6e7c04-0f3c-4c3a-9d6f-3a1f4a0c5b11\n").unwrap();
    let (refused, prune) = (up(), case.run(&["prune", "--orphans"]).err);
    let remedy = format!("echo {} > ", owner.trim());
    assert!(refused.contains(&remedy) && refused.contains("6f6e7c04-"), "{refused}");
    assert!(prune.contains(&format!("belongs to the installation {}", owner.trim())), "{prune}");
    std::fs::write(&file, owner).unwrap();
    assert!(up().contains("Connection refused"));
}

#[test]
fn a_low_limit_of_open_files_is_told() {
    let case = Case::new().with("HARBOR_DOCKER_HOST", "tcp://127.0.0.1:9");
    let doctor = case.command(&["doctor"]);
    for (limit, said) in [
        ("400", "may have 400 files open and harbor needs 512"),
        ("1000", "1000 for harbor (300 before it raises its limit): 328 connections at a time"),
    ] {
        let mut limited = Command::new("sh");
        limited
            .args(["-c", "ulimit -S -n 300 && ulimit -H -n \"$1\" && exec \"$0\" doctor"])
            .arg(doctor.get_program())
            .arg(limit)
            .env_clear();
        limited.envs(doctor.get_envs().filter_map(|(name, value)| Some((name, value?))));
        let output = String::from_utf8(limited.output().unwrap().stdout).unwrap();
        let line = output.lines().find(|line| line.contains("open files")).unwrap_or_else(|| panic!("{output}"));
        assert!(line.contains(said), "{line}");
        assert!(output.contains("LimitNOFILE in a systemd unit"), "{output}");
    }
}
