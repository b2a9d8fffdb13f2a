//! Commands, programs, and what process 1 owes to the rest of the sandbox.

use std::time::{Duration, Instant};

use crate::client::{TOKEN, Toolbox, eventually, finish, lives};
use serde_json::json;

#[test]
fn exit_codes_belong_to_their_commands_and_nothing_is_left_behind() {
    let toolbox = Toolbox::start();
    for round in 0..200 {
        let code = round % 256;
        // An orphan that dies at once, another that dies a little later, and a quick end of the command itself.
        let command = format!("(true &) >/dev/null 2>&1; (sleep 0.05 &) >/dev/null 2>&1; exit {code}");
        assert_eq!(toolbox.execute(&command), (code, String::new()));
    }
    eventually("orphans are reaped", || toolbox.children().is_empty());
}

#[test]
fn many_commands_at_once_get_their_own_results() {
    let toolbox = Toolbox::start();
    std::thread::scope(|scope| {
        for thread in 0..20 {
            let toolbox = &toolbox;
            scope.spawn(move || {
                for round in 0..10 {
                    let code = thread * 10 + round;
                    assert_eq!(toolbox.execute(&format!("echo {code}; exit {code}")), (code, format!("{code}\n")));
                }
            });
        }
    });
    assert_eq!(toolbox.children(), []);
}

#[test]
fn output_is_kept_as_written() {
    let toolbox = Toolbox::start();
    assert_eq!(toolbox.execute("echo out; echo err >&2; printf '  x \\n\\n'"), (0, "out\nerr\n  x \n\n".to_owned()));
    assert_eq!(toolbox.execute("printf 'a\\377b'"), (0, "a\u{fffd}b".to_owned()));
    assert_eq!(toolbox.execute("sh -c 'kill -9 $$'").0, 137);
    assert_eq!(toolbox.execute("kill -9 $$"), (-1, String::new()));
}

#[test]
fn a_hundred_megabytes_of_output_pass() {
    let toolbox = Toolbox::start();
    let (code, result) = toolbox.execute("head -c 104857600 /dev/zero | tr '\\0' x");
    assert_eq!((code, result.len()), (0, 104_857_600));
    assert!(result.bytes().all(|byte| byte == b'x'));
    drop(result);
    eventually("the memory is given back", || toolbox.resident_kib() < 12 << 10);
}

#[test]
fn output_without_end_is_refused_and_the_command_killed() {
    let toolbox = Toolbox::start();
    let answer = toolbox.post("/process/execute", &json!({"command": "yes"}));
    assert_eq!((answer.status, &answer.json()["code"]), (422, &json!("UNPROCESSABLE_ENTITY")));
    assert_eq!(toolbox.children(), []);
}

#[test]
fn a_long_command_is_read_while_it_writes() {
    let toolbox = Toolbox::start();
    let line = format!("echo {}\n", "y".repeat(1000));
    let (code, result) = toolbox.execute(&line.repeat(1000));
    assert_eq!((code, result.len()), (0, 1001 * 1000));
}

#[test]
fn a_time_limit_kills_the_process_group() {
    let toolbox = Toolbox::start();
    let answer = toolbox.post("/process/execute", &json!({"command": "echo x; sleep 4321 & sleep 4321", "timeout": 1}));
    assert_eq!(toolbox.children(), []);
    let body = answer.json();
    assert_eq!((answer.status, &body["code"]), (408, &json!("PROCESS_EXECUTION_TIMEOUT")));
    assert_eq!(body["message"], "request timeout: command execution timeout");
    assert_eq!((&body["path"], &body["method"]), (&json!("/process/execute"), &json!("POST")));
}

#[test]
fn a_caller_that_goes_away_takes_its_command_along() {
    let toolbox = Toolbox::start();
    let command = json!({"command": "sleep 4322 & sleep 4322"}).to_string();
    let stream = toolbox.ask("POST", "/process/execute", command.as_bytes());
    eventually("the command runs", || !toolbox.children().is_empty());
    drop(stream);
    eventually("the command is gone", || toolbox.children().is_empty());
    assert_eq!(toolbox.execute("echo still here"), (0, "still here\n".to_owned()));
}

#[test]
fn background_jobs_delay_the_answer_a_little_and_survive_it() {
    let toolbox = Toolbox::start();
    let begin = Instant::now();
    let (code, result) =
        toolbox.execute("(for i in 1 2 3 4 5 6; do sleep 1; echo tick || exit; done; touch survived) & echo begun");
    let waited = begin.elapsed();
    assert_eq!(code, 0);
    assert!(result.starts_with("begun\n"), "{result}");
    assert!(waited < Duration::from_secs(5), "{waited:?}");
    // It goes on writing to a pipe that nobody answers from any more.
    eventually("the job came to its end", || toolbox.home.path().join("survived").exists());

    let begin = Instant::now();
    assert_eq!(toolbox.execute("nohup sleep 5 >/dev/null 2>&1 & echo begun").1, "begun\n");
    assert!(begin.elapsed() < Duration::from_secs(10));
}

#[test]
fn what_cannot_be_started_is_a_result() {
    let toolbox = Toolbox::start();
    for cwd in ["missing", "~", "/etc/passwd"] {
        let body = toolbox.post("/process/execute", &json!({"command": "pwd", "cwd": cwd})).json();
        assert_eq!(body["exitCode"], -1, "{body}");
        assert!(body["result"].as_str().unwrap().contains(cwd), "{body}");
    }
}

#[test]
fn bad_requests_are_told_apart() {
    let toolbox = Toolbox::start();
    for body in ["", "{", "[]", "null", r#"{"command":" \n"}"#, r#"{"command":5}"#, "\u{feff}{\"command\":\"x\"}"] {
        let answer = toolbox.send_as(Some(TOKEN), "POST", "/process/execute", body.as_bytes());
        assert_eq!((answer.status, &answer.json()["code"]), (400, &json!("BAD_REQUEST")), "{body}");
    }
    let answer = toolbox.post("/process/execute", &json!({"command": "x", "envs": {"A-B": "1"}})).json();
    assert_eq!(answer["message"], "bad request: invalid environment variable name: 'A-B'");
    let answer = toolbox.post("/process/code-run", &json!({"code": "x", "language": "ruby"})).json();
    assert_eq!(answer["message"], "bad request: unsupported language: ruby");
    let answer = toolbox.post("/process/code-run", &json!({"code": "", "language": "python"})).json();
    assert_eq!(answer["code"], "INVALID_REQUEST_BODY");
}

#[test]
fn programs_run_with_their_arguments_and_environment() {
    let toolbox = Toolbox::start();
    let python = "import os, sys\nprint(sys.argv, os.environ['A'])\ntry: input()\nexcept EOFError: sys.exit(7)";
    let order = json!({"code": python, "language": "python", "argv": ["a b", "$x", "it's"], "envs": {"A": "1 2"}});
    let body = toolbox.post("/process/code-run", &order).json();
    assert_eq!(body, json!({"exitCode": 7, "result": "['-', 'a b', '$x', \"it's\"] 1 2\n"}));

    let order = json!({"code": "console.log(process.argv.slice(1))", "language": "javascript", "argv": ["a b"]});
    let body = toolbox.post("/process/code-run", &order).json();
    assert_eq!(body, json!({"exitCode": 0, "result": "[ 'a b' ]\n"}));
}

/// Without a shell and without interpreters, as in an image made from scratch.
#[test]
fn an_empty_image_has_clear_answers() {
    let toolbox = Toolbox::unconfigured_with(|command| command.env("PATH", "/nowhere"));
    toolbox.configure(None, &json!({"env": {"PATH": "/nowhere"}}));
    let body = toolbox.post("/process/code-run", &json!({"code": "1", "language": "python"})).json();
    assert_eq!(body["exitCode"], 127, "{body}");
    assert!(body["result"].as_str().unwrap().contains("python3"), "{body}");
}

#[test]
fn the_entrypoint_runs_once_and_its_output_is_kept() {
    let mut toolbox = Toolbox::unconfigured();
    let script = "echo $$ >> runs; echo out; echo err >&2; printf tail; trap 'echo bye > ended; exit 0' TERM; while :; do sleep 0.05; done";
    let entrypoint = json!({"entrypoint": ["sh", "-c", script]});
    toolbox.configure(None, &entrypoint);
    toolbox.configure(Some(TOKEN), &entrypoint);
    let log = "/process/session/entrypoint/logs";
    let raw = || toolbox.send("GET", log, "", b"");
    eventually("output is in the log", || ["out\n", "err\n"].iter().all(|line| raw().text().contains(line)));
    let raw = raw();
    assert_eq!(raw.header("content-type"), Some("text/plain; charset=utf-8"));
    assert!(raw.text().contains("\u{1}\u{1}\u{1}out\n"), "{raw:?}");
    assert!(raw.text().contains("\u{2}\u{2}\u{2}err\n"), "{raw:?}");
    let session = toolbox.get("/process/session/entrypoint").json();
    assert_eq!(session["sessionId"], "entrypoint");
    assert_eq!(session["commands"][0]["id"], "entrypoint_command");
    assert_eq!(session["commands"][0].get("exitCode"), None);
    let command = "/process/session/entrypoint/command/entrypoint_command";
    assert_eq!(toolbox.get(command).json(), session["commands"][0]);
    let combined = toolbox.send("GET", &format!("{command}/logs"), "", b"");
    assert!(combined.text().starts_with("out\n"), "combined without a version");
    assert_eq!(toolbox.send_as(Some(TOKEN), "DELETE", "/process/session/entrypoint", b"").status, 400);
    assert_eq!(toolbox.post("/process/session/entrypoint/exec", &json!({"command": "true"})).status, 400);

    assert!(toolbox.terminate().success());
    let file = |name: &str| std::fs::read_to_string(toolbox.home.path().join(name)).unwrap();
    assert_eq!((file("runs").lines().count(), file("ended").as_str()), (1, "bye\n"));
}

#[test]
fn an_entrypoint_that_ends_tells_how() {
    let toolbox = Toolbox::unconfigured();
    toolbox.configure(None, &json!({"entrypoint": ["sh", "-c", "exit 3"]}));
    let exit_code = || toolbox.get("/process/session/entrypoint").json()["commands"][0]["exitCode"].clone();
    eventually("it has ended", || exit_code() == 3);
    assert_eq!(toolbox.get("/version").status, 200);

    let toolbox = Toolbox::unconfigured();
    toolbox.configure(None, &json!({"entrypoint": ["/no/such/program"]}));
    let exit_code = || toolbox.get("/process/session/entrypoint").json()["commands"][0]["exitCode"].clone();
    eventually("it could not be started", || exit_code() == 127);
    assert!(toolbox.get("/process/session/entrypoint/logs").text().contains("/no/such/program"));
}

/// As a server does that goes into the background with the streams it was started with.
#[test]
fn an_entrypoint_that_leaves_a_daemon_behind_has_ended() {
    let mut toolbox = Toolbox::unconfigured();
    let script = "(until test -e go; do sleep 0.05; done; echo later; sleep 1000) & echo begun; exit 4";
    toolbox.configure(None, &json!({"entrypoint": ["sh", "-c", script]}));
    let exit_code = || toolbox.get("/process/session/entrypoint").json()["commands"][0]["exitCode"].clone();
    let log = || toolbox.get("/process/session/entrypoint/logs").text();
    eventually("it has ended", || exit_code() == 4);
    assert!(log().contains("begun"), "{}", log());
    std::fs::write(toolbox.home.path().join("go"), "").unwrap();
    eventually("the daemon's output is kept too", || log().contains("later"));
    assert!(toolbox.terminate().success());
}

#[test]
fn without_an_entrypoint_there_is_no_session() {
    let toolbox = Toolbox::start();
    assert_eq!(toolbox.get("/process/session/entrypoint").json()["code"], "PROCESS_NOT_FOUND");
}

/// Standard streams of a command that a stop cuts off: its caller is told, and it can still clean up.
#[test]
fn a_stop_ends_processes_at_once_and_tells_who_waits() {
    let mut toolbox = Toolbox::start();
    let script = "trap 'echo bye > ended; exit 0' TERM; touch begun; while :; do sleep 0.02; done";
    let stream = toolbox.ask("POST", "/process/execute", json!({"command": script}).to_string().as_bytes());
    eventually("the command runs", || toolbox.at("begun").exists());
    let started = Instant::now();
    assert!(toolbox.terminate().success());
    assert!(started.elapsed() < Duration::from_secs(3), "{:?}", started.elapsed());
    let answer = finish(stream);
    assert_eq!(answer.refusal(), (503, "SERVICE_UNAVAILABLE".to_owned()));
    assert!(answer.message().contains("being stopped"), "{}", answer.message());
    assert!(toolbox.at("ended").exists());
}

/// An interactive bash takes no SIGTERM.
#[test]
fn a_stop_ends_terminals_and_sessions_as_well() {
    let mut toolbox = Toolbox::start();
    assert_eq!(toolbox.post("/process/pty", &json!({"id": "t"})).status, 201);
    toolbox.session("s");
    toolbox.run_async("s", "sleep 1000");
    eventually("all run", || toolbox.children().len() >= 2);
    let started = Instant::now();
    assert!(toolbox.terminate().success());
    assert!(started.elapsed() < Duration::from_secs(3), "{:?}", started.elapsed());
}

/// As where a shell has started its next command just when it is asked to end.
#[test]
fn a_stop_ends_what_is_left_behind_meanwhile() {
    let mut toolbox = Toolbox::start();
    let script = "trap '(sleep 1000 & echo $! > left); exit 0' TERM; touch begun; while :; do sleep 0.02; done";
    toolbox.session("s");
    toolbox.run_async("s", script);
    eventually("the command runs", || toolbox.at("begun").exists());
    let started = Instant::now();
    assert!(toolbox.terminate().success());
    assert!(started.elapsed() < Duration::from_secs(3), "{:?}", started.elapsed());
    assert!(toolbox.at("left").exists());
}

#[test]
fn a_stop_kills_what_does_not_end() {
    let mut toolbox = Toolbox::start();
    toolbox.session("s");
    toolbox.run_async("s", "trap '' TERM; touch begun; while :; do sleep 0.02; done");
    eventually("the command runs", || toolbox.at("begun").exists());
    let child = toolbox.children()[0].0;
    assert!(toolbox.terminate().success());
    eventually("it is gone", || !lives(&child.to_string()));
}

/// Parallel commands, each of which stays below what one may keep.
#[test]
fn outputs_share_one_budget() {
    let toolbox = Toolbox::start();
    let command = json!({"command": "head -c 90000000 /dev/zero | tr '\\0' x; sleep 5"}).to_string();
    let streams: Vec<_> = (0..4).map(|_| toolbox.ask("POST", "/process/execute", command.as_bytes())).collect();
    let answers: Vec<_> = streams.into_iter().map(finish).collect();
    let refused: Vec<_> = answers.iter().filter(|answer| answer.status == 422).collect();
    assert!((1..4).contains(&refused.len()), "{:?}", answers.iter().map(|answer| answer.status).collect::<Vec<_>>());
    for answer in refused {
        assert!(answer.message().contains("together"), "{}", answer.message());
    }
    assert_eq!(toolbox.execute("head -c 90000000 /dev/zero | tr '\\0' x").1.len(), 90_000_000, "it is free again");
}

/// What start-up files read is nothing of the command's (§6.3).
#[test]
fn start_up_files_do_not_eat_commands() {
    let toolbox = Toolbox::start();
    toolbox.write("start", "read -r line; started=yes; export EATEN=\"[$line]\"; greet() { echo hello; }\n");
    // no interpreter that is itself a script of bash's: that reads its start-up file by itself
    toolbox.set_environment(&json!({"BASH_ENV": "$HOME/start", "PATH": "/usr/bin:/bin"}));
    for (command, result) in [
        ("echo one; echo two", "one\ntwo\n"),
        ("echo \"$EATEN $started $BASH_ENV\"; greet", "[] yes $HOME/start\nhello\n"),
        ("read line\ndata\necho \"got $line\"", "got data\n"),
    ] {
        assert_eq!(toolbox.execute(command), (0, result.to_owned()), "{command}");
    }
    let program = json!({"language": "python", "code": "import os\nprint(6 * 7, os.environ['EATEN'])"});
    assert_eq!(toolbox.post("/process/code-run", &program).json()["result"], "42 []\n");
    toolbox.session("s");
    let answer = toolbox.run("s", "touch made; greet; false").json();
    assert_eq!((answer["exitCode"].as_i64(), answer["stdout"].as_str()), (Some(1), Some("hello\n")));
    assert!(toolbox.at("made").exists());
}

/// Python runs files of its user's before the program: one that reads it is told of, and not taken for a program that ends.
#[test]
fn a_start_up_file_of_python_that_eats_the_program_is_told() {
    let toolbox = Toolbox::start();
    let site = toolbox.execute("python3 -m site --user-site").1;
    let site = site.trim().strip_prefix(toolbox.home.path().to_str().unwrap()).unwrap().trim_start_matches('/');
    let program = json!({"language": "python", "code": "print(6 * 7)"});
    for eaten in ["sys.stdin.buffer.read()", "sys.stdin.readline()", "sys.stdin.buffer.read(1)"] {
        toolbox.write(&format!("{site}/usercustomize.py"), &format!("import sys\n{eaten}\n"));
        let answer = toolbox.post("/process/code-run", &program).json();
        assert_eq!(answer["exitCode"], 1, "{eaten}: {answer}");
        assert!(answer["result"].as_str().unwrap().starts_with("harbor: a start-up file of Python"), "{answer}");
    }
    toolbox.write(&format!("{site}/usercustomize.py"), "print('hello')\n");
    assert_eq!(toolbox.post("/process/code-run", &program).json()["result"], "hello\n42\n");
}

/// As in a sandbox that a fork bomb holds at its limit of processes.
#[test]
fn files_are_served_where_no_thread_can_be_started() {
    let toolbox = Toolbox::start();
    std::fs::write(toolbox.home.path().join("f"), "content").unwrap();
    toolbox.leave_no_room_for_threads();
    // Idle threads end after ten seconds unless they are told to stay.
    std::thread::sleep(Duration::from_secs(12));
    assert!(toolbox.threads() > 1, "a thread for files is there");
    assert_eq!(toolbox.get("/files/download?path=f").text(), "content");
    assert_eq!(toolbox.get("/version").status, 200);
}
