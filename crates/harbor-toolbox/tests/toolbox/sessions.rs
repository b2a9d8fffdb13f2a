//! Sessions: state, order, input, endings, limits.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::client::{Toolbox, eventually, long_sleep};

/// Runs a command that must be answered; returns exit code, standard output and standard error.
#[track_caller]
fn run(toolbox: &Toolbox, session: &str, command: &str) -> (i64, String, String) {
    let answer = toolbox.run(session, command);
    assert_eq!(answer.status, 200, "{answer:?}");
    let answer = answer.json();
    let text = |name: &str| answer[name].as_str().unwrap().to_owned();
    (answer["exitCode"].as_i64().unwrap(), text("stdout"), text("stderr"))
}

fn exit_code(toolbox: &Toolbox, session: &str, command: &str) -> Value {
    toolbox.get(&format!("/process/session/{session}/command/{command}")).json()["exitCode"].clone()
}

#[test]
fn a_shell_keeps_its_state_and_streams_stay_apart() {
    let toolbox = Toolbox::start();
    toolbox.session("s");
    assert_eq!(run(&toolbox, "s", "cd /; export A=1; f() { echo f$1; }"), (0, String::new(), String::new()));
    assert_eq!(run(&toolbox, "s", "pwd; f $A; echo e >&2; return 3"), (3, "/\nf1\n".to_owned(), "e\n".to_owned()));
    assert_eq!(run(&toolbox, "s", "printf 'a\\0b\\n\\nc'"), (0, "a\0b\n\nc\n".to_owned(), String::new()));
    let (code, _, error) = run(&toolbox, "s", "if then (");
    assert!(code != 0 && !error.is_empty());
    assert_eq!(run(&toolbox, "s", "cat; echo $?"), (0, "0\n".to_owned(), String::new()));
}

#[test]
fn nothing_of_ours_is_in_the_shell() {
    let toolbox = Toolbox::start();
    toolbox.session("s");
    assert_eq!(run(&toolbox, "s", "sleep 0.2 & wait; jobs; echo done").1, "done\n");
    let before =
        run(&toolbox, "s", "set | grep -v -E '^(_|BASH_|LINENO|PIPESTATUS|PPID|SECONDS|RANDOM|EPOCH|SRANDOM)'");
    let after = run(&toolbox, "s", "set | grep -v -E '^(_|BASH_|LINENO|PIPESTATUS|PPID|SECONDS|RANDOM|EPOCH|SRANDOM)'");
    assert_eq!(before, after);
    assert!(!before.1.contains("sessions/"), "{}", before.1);
    assert_eq!(run(&toolbox, "s", "echo() { printf 'mine\\n'; }; command() { :; }; echo").1, "mine\n");
    assert_eq!(run(&toolbox, "s", "exec >/dev/null; echo lost").1, "");
    assert_eq!(run(&toolbox, "s", "unset -f echo command; echo back").1, "back\n");
}

#[test]
fn the_end_of_the_shell_is_the_end_of_the_session() {
    let toolbox = Toolbox::start();
    let (sleep, holder) = (long_sleep(4711), format!("echo x; sleep {} & exit 2", long_sleep(4711)));
    for (id, command, code) in [
        ("exit", "echo x; exit 7", 7),
        ("exec", "echo x; exec sh -c 'exit 4'", 4),
        ("errexit", "echo x; set -e; false; echo y", 1),
        ("kill", "echo x; kill -9 $$", 137),
        ("holder", &holder, 2),
    ] {
        toolbox.session(id);
        assert_eq!(run(&toolbox, id, command), (code, "x\n".to_owned(), String::new()), "{id}");
        assert_eq!(toolbox.run(id, "echo y").refusal(), (410, "SESSION_ENDED".to_owned()), "{id}");
        let shown = toolbox.get(&format!("/process/session/{id}")).json();
        assert_eq!(
            (&shown["commands"][0]["command"], &shown["commands"][0]["exitCode"]),
            (&json!(command), &json!(code))
        );
    }
    // What the shell has left behind belongs to the session still.
    let is_there = || toolbox.execute(&format!("pgrep -cf '[s]leep {sleep}'")).0 == 0;
    assert!(is_there());
    assert_eq!(toolbox.delete("/process/session/holder").status, 204);
    assert!(!is_there());
}

#[test]
fn commands_take_turns_and_the_waiting_ones_are_bounded() {
    let toolbox = Toolbox::start();
    toolbox.session("s");
    let first = toolbox.run_async("s", "read go; echo first");
    let second = toolbox.run_async("s", "echo second");
    assert_eq!((exit_code(&toolbox, "s", &first), exit_code(&toolbox, "s", &second)), (Value::Null, Value::Null));
    let body = json!({"command": "true", "runAsync": true});
    let statuses: Vec<_> = (0..80).map(|_| toolbox.post("/process/session/s/exec", &body).status).collect();
    assert_eq!(statuses.iter().filter(|&&status| status == 202).count(), 63);
    assert_eq!(toolbox.post("/process/session/s/exec", &body).refusal(), (429, "TOO_MANY_REQUESTS".to_owned()));
    let path = format!("/process/session/s/command/{first}/input");
    assert_eq!(toolbox.post(&path, &json!({"data": "go"})).status, 204);
    eventually("there is room again", || toolbox.post("/process/session/s/exec", &body).status == 202);
    eventually("their turn has come", || exit_code(&toolbox, "s", &second) == json!(0));
    assert_eq!((exit_code(&toolbox, "s", &first), exit_code(&toolbox, "s", &second)), (json!(0), json!(0)));
}

#[test]
fn input_is_echoed_reaches_the_command_and_ends_with_it() {
    let toolbox = Toolbox::start();
    toolbox.session("s");
    let command = toolbox.run_async("s", "read a; echo \"got $a\"");
    let input = format!("/process/session/s/command/{command}/input");
    // At once: the command may not have begun.
    assert_eq!(toolbox.post(&input, &json!({"data": "one"})).status, 204);
    eventually("the command is done", || exit_code(&toolbox, "s", &command) == json!(0));
    let log = toolbox.get(&format!("/process/session/s/command/{command}/logs")).json();
    assert_eq!(log["stdout"], "one\ngot one\n");
    let late = toolbox.post(&input, &json!({"data": "two"}));
    assert_eq!(late.refusal(), (410, "COMMAND_ALREADY_COMPLETED".to_owned()));
    assert_eq!(late.json()["message"], "gone: command has already completed with exit code 0");
    // More than a pipe holds, to a command that does not read.
    let deaf = toolbox.run_async("s", "sleep 1");
    let flood = json!({"data": "x".repeat(300_000)});
    assert_eq!(toolbox.post(&format!("/process/session/s/command/{deaf}/input"), &flood).status, 410);
    assert_eq!(toolbox.post("/process/session/s/command/none/input", &flood).refusal().0, 404);
    assert_eq!(toolbox.post("/process/session/none/command/x/input", &flood).refusal().0, 404);
}

#[test]
fn a_job_that_holds_the_output_keeps_its_command_open_but_not_the_shell() {
    let toolbox = Toolbox::start();
    toolbox.session("s");
    let server = toolbox.run_async("s", "(sleep 1.5; echo late) & echo early");
    assert_eq!(run(&toolbox, "s", "echo meanwhile").1, "meanwhile\n");
    assert_eq!(exit_code(&toolbox, "s", &server), Value::Null);
    eventually("the job is done", || exit_code(&toolbox, "s", &server) == json!(0));
    let log = toolbox.get(&format!("/process/session/s/command/{server}/logs")).json();
    assert_eq!(log["stdout"], "early\nlate\n");
}

#[test]
fn deletion_ends_every_process_and_whoever_waits() {
    let toolbox = Toolbox::start();
    toolbox.session("s");
    let (name, apart, waited) = (long_sleep(4712), long_sleep(4713), long_sleep(4714));
    let loops = "trap \"\" TERM; while :; do sleep 0.1; done";
    let stubborn = format!("sh -c '{loops}' stubborn{name} & setsid sleep {apart} & sleep {waited}");
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| toolbox.run("s", &stubborn));
        eventually("the processes run", || toolbox.execute(&format!("pgrep -f '[s]leep {waited}'")).0 == 0);
        let begun = Instant::now();
        assert_eq!(toolbox.delete("/process/session/s").status, 204);
        assert!(begun.elapsed() >= Duration::from_secs(4), "all are asked to end, and given time");
        assert_eq!(waiting.join().unwrap().refusal(), (410, "SESSION_ENDED".to_owned()));
    });
    let left = format!("pgrep -cf '[s]leep ({apart}|{waited})|[s]tubborn{name}'");
    assert_eq!(toolbox.execute(&left).1, "0\n");
    assert_eq!(toolbox.get("/process/session/s").refusal(), (404, "PROCESS_NOT_FOUND".to_owned()));
    assert_eq!(std::fs::read_dir(toolbox.home.path().join(".daytona/sessions")).unwrap().count(), 0);
}

#[test]
fn too_many_sessions_are_refused_and_the_others_unharmed() {
    let toolbox = Toolbox::start();
    let create = |number: usize| toolbox.post("/process/session", &json!({"sessionId": format!("s{number}")}));
    assert!((0..100).all(|number| create(number).status == 201));
    assert_eq!(create(100).refusal(), (429, "TOO_MANY_REQUESTS".to_owned()));
    assert_eq!(run(&toolbox, "s99", "echo well").1, "well\n");
    assert_eq!(toolbox.delete("/process/session/s0").status, 204);
    assert_eq!(create(100).status, 201);
}

#[test]
fn ids_that_are_no_names_are_refused() {
    let toolbox = Toolbox::start();
    for id in ["a/b", "..", "a..b", ".", "a\0b", &"x".repeat(256)] {
        let answer = toolbox.post("/process/session", &json!({"sessionId": id}));
        assert_eq!(answer.refusal(), (400, "BAD_REQUEST".to_owned()), "{id}");
    }
    assert_eq!(toolbox.get("/process/session/%ff").refusal(), (400, "BAD_REQUEST".to_owned()));
}

#[test]
fn a_thousand_commands_leave_nothing_behind() {
    let toolbox = Toolbox::start();
    toolbox.session("s");
    for _ in 0..50 {
        run(&toolbox, "s", "echo x");
    }
    let (descriptors, threads, resident) = toolbox.usage();
    for _ in 0..1000 {
        assert_eq!(run(&toolbox, "s", "echo x").1, "x\n");
    }
    let after = toolbox.usage();
    assert!(after.0 <= descriptors + 1 && after.1 <= threads + 4, "{after:?} after {descriptors} {threads}");
    assert!(after.2 < resident + 4096, "{after:?} after {resident} KiB: four for a command that stays listed");
    let shown = toolbox.get("/process/session/s").json();
    assert_eq!(shown["commands"].as_array().unwrap().len(), 1000);
}

#[test]
fn a_large_log_passes_in_little_memory_and_old_clients_get_theirs() {
    let toolbox = Toolbox::start();
    toolbox.session("s");
    let (code, stdout, _) = run(&toolbox, "s", "head -c 30000000 /dev/zero | tr '\\0' x");
    assert_eq!((code, stdout.len()), (0, 30_000_001));
    assert!(toolbox.usage().2 < 24 << 10, "{:?}", toolbox.usage());
    let command = toolbox.run_async("s", "echo o; echo e >&2");
    eventually("the command is done", || exit_code(&toolbox, "s", &command) == json!(0));
    let path = format!("/process/session/s/command/{command}/logs");
    let combined = toolbox.send("GET", &path, "", b"");
    assert_eq!(combined.header("content-type"), Some("text/plain; charset=utf-8"));
    assert!(matches!(combined.body.as_slice(), b"o\ne\n" | b"e\no\n"), "{combined:?}");
    let raw = toolbox.send("GET", &path, "x-daytona-sdk-version: 0.100.0\r\n", b"").body;
    assert!(matches!(raw.as_slice(), b"\x01\x01\x01o\n\x02\x02\x02e\n" | b"\x02\x02\x02e\n\x01\x01\x01o\n"), "{raw:?}");
}

/// A command may take away what the shell tells exit codes with.
#[test]
fn a_session_survives_the_loss_of_builtins() {
    let toolbox = Toolbox::start();
    for (number, loss) in
        ["builtin() { :; }", "command() { :; }", "alias builtin=true", "shopt -s expand_aliases; alias builtin=true"]
            .iter()
            .enumerate()
    {
        let session = format!("s{number}");
        toolbox.session(&session);
        assert_eq!(run(&toolbox, &session, "true").0, 0);
        assert_eq!(toolbox.run(&session, loss).status, 200, "{loss}");
        // It ran and is told, or it did not run and that is told.
        let answer = toolbox.run(&session, "touch made; (exit 3)");
        let (code, made) = (answer.json()["exitCode"].as_i64(), toolbox.at("made").exists());
        assert!((code, made) == (Some(3), true) || (code != Some(0) && !made), "{loss}: {answer:?} {made}");
        let _ = std::fs::remove_file(toolbox.at("made"));
    }
}

#[test]
fn a_shell_that_runs_nothing_any_more_is_given_up() {
    let toolbox = Toolbox::start();
    toolbox.session("s");
    assert_eq!(run(&toolbox, "s", "true").0, 0);
    let started = Instant::now();
    let answer = toolbox.run("s", "echo before; set -n").json();
    assert_eq!((answer["exitCode"].as_i64(), answer["stdout"].as_str()), (Some(-1), Some("before\n")));
    assert!(answer["stderr"].as_str().unwrap().contains("the session has ended"), "{answer}");
    assert!(started.elapsed() < Duration::from_secs(15), "{:?}", started.elapsed());
    assert_eq!(toolbox.run("s", "echo later").refusal(), (410, "SESSION_ENDED".to_owned()));
}

#[test]
fn a_shell_that_keeps_an_output_keeps_no_caller_waiting() {
    let toolbox = Toolbox::start();
    toolbox.session("s");
    assert_eq!(run(&toolbox, "s", "echo a; exec 3>&1"), (0, "a\n".to_owned(), String::new()));
    // What is written there later is nobody's, but hurts nobody.
    assert_eq!(run(&toolbox, "s", "echo b >&3; echo c; exec 3>&-"), (0, "c\n".to_owned(), String::new()));
}

#[test]
fn a_long_command_is_not_taken_for_a_lost_one() {
    let toolbox = Toolbox::start();
    toolbox.session("s");
    assert_eq!(run(&toolbox, "s", "sleep 3; (exit 5)").0, 5);
    assert_eq!(run(&toolbox, "s", "read line; echo \"[$line]\"").1, "[]\n");
}
