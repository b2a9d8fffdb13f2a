//! What is too much for a sandbox is an answer, and its toolbox lives on.

use std::time::{Duration, Instant};

use harbor_tests::{Harbor, Limit, Sandbox, inspect, within};
use reqwest::Method;
use serde_json::json;

use crate::MIB;

/// What a sandbox with a limit of one gibibyte is told.
const REACHED: &str = "reached its memory limit of 1024 MiB";

async fn assert_alive(sandbox: &Sandbox) {
    assert_eq!(sandbox.output("echo alive").await, "alive");
}

/// What has been killed may take a moment to be gone.
async fn assert_none_left(sandbox: &Sandbox, search: &str) {
    within(Duration::from_secs(10), search, async || {
        let found = sandbox.run(search).await.output;
        if found.is_empty() { Ok(()) } else { Err(format!("still there: {found}")) }
    })
    .await;
}

#[tokio::test]
async fn absurd_sizes_are_refused_and_leave_nothing() {
    let harbor = Harbor::shared().await;
    let client = harbor.client();
    let marker = "absurd-size";
    for size in ["cpu", "memory", "disk"] {
        for value in
            [json!(-1), json!(i64::MIN), json!(u32::MAX), json!(1_u64 << 40), json!(u64::MAX), json!(1e300), json!("9")]
        {
            let body = json!({"name": marker, size: value});
            let refused = client.ask(Method::POST, "/sandbox", Some(&body)).await.expect(400);
            assert!(refused.body.to_string().contains(size), "{size} {value} is not named: {refused}");
        }
    }
    let long = "x".repeat(2 * MIB);
    for body in [json!({"name": long}), json!({"name": marker, "env": {"LONG": "x".repeat(64 * MIB)}})] {
        match client.try_ask(Method::POST, "/sandbox", Some(&body)).await {
            Ok(refused) => assert!([400, 413].contains(&refused.status), "{refused}"),
            // hung up on before all of it was sent
            Err(error) => assert!(error.is_request() && !error.is_timeout(), "{error:?}"),
        }
    }
    let named = client.ask(Method::GET, &format!("/sandbox/{marker}"), None).await;
    assert_eq!(named.status, 404, "a refused one is left: {named}");
}

#[tokio::test]
async fn what_a_sandbox_was_given_is_what_the_kernel_grants() {
    let harbor = Harbor::shared().await;
    let sandbox = harbor.client().started_as(&json!({"cpu": 1, "memory": 1})).await;
    let limits = &inspect(&sandbox.container()).await["HostConfig"];
    assert_eq!(limits["NanoCpus"], 1_000_000_000_i64, "{limits}");
    assert_eq!(limits["Memory"], 1_i64 << 30, "{limits}");
    assert_eq!(limits["MemorySwap"], limits["Memory"], "swap comes on top: {limits}");
    assert!(limits["PidsLimit"].as_i64().is_some_and(|most| most > 0), "{limits}");
    // as root, who could raise a soft limit
    assert_ne!(sandbox.output("sudo sh -c 'ulimit -Hn'").await, "unlimited");
    assert_ne!(sandbox.run("sudo prlimit --nofile=100000000 true").await.code, 0, "files without limit");
}

#[tokio::test]
async fn a_command_that_exceeds_its_time_ends_with_all_its_processes() {
    let harbor = Harbor::shared().await;
    let sandbox = harbor.client().started().await;
    let started = Instant::now();
    let body = json!({"command": "trap '' TERM; sleep 4242 & sleep 4242", "timeout": 1});
    let refused = sandbox.toolbox(Method::POST, "/process/execute", Some(&body)).await.expect(408);
    assert!(refused.message().contains("timeout"), "{refused}");
    Limit::promised(Duration::from_secs(30)).check(started.elapsed(), "ending a command after its second");
    assert_none_left(&sandbox, "pgrep -fx 'sleep 4242'").await;
    assert_alive(&sandbox).await;
}

#[tokio::test]
async fn a_hundred_megabytes_of_output_arrive_whole() {
    let harbor = Harbor::shared().await;
    let sandbox = harbor.client().started().await;
    let size = 100 * MIB;
    let before = harbor.memory("VmRSS");
    let done = sandbox.run(&format!("head -c {size} /dev/zero | tr '\\0' x")).await;
    assert_eq!((done.code, done.output.len()), (0, size));
    assert!(done.output.bytes().all(|byte| byte == b'x'));
    let after = harbor.memory("VmRSS");
    assert!(after < before + 64, "harbor held what passes through it: {before} MiB, then {after}");
    assert_alive(&sandbox).await;
}

#[tokio::test]
async fn output_without_end_is_cut_off() {
    let harbor = Harbor::shared().await;
    let sandbox = harbor.client().started().await;
    let body = json!({"command": "yes", "timeout": 30});
    let done = sandbox.toolbox(Method::POST, "/process/execute", Some(&body)).await;
    assert!((400..=599).contains(&done.status) || done.status == 200, "{}", done.status);
    assert_none_left(&sandbox, "pgrep -x yes").await;
    assert_alive(&sandbox).await;
}

#[tokio::test]
async fn an_upload_over_the_space_is_an_error_and_leaves_nothing() {
    let harbor = Harbor::shared().await;
    let sandbox = harbor.client().started().await;
    let space: usize =
        sandbox.output("df --output=avail -B1 /dev/shm | tail -n 1").await.trim().parse().expect("bytes");
    let part = reqwest::multipart::Part::bytes(vec![b'x'; space + MIB]).file_name("big");
    let request = sandbox.toolbox_request(Method::POST, "/files/upload?path=/dev/shm/big");
    let form = reqwest::multipart::Form::new().part("file", part);
    let response = request.multipart(form).send().await.expect("harbor answers");
    let (status, text) = (response.status().as_u16(), response.text().await.unwrap_or_default());
    assert!((400..=599).contains(&status), "{status} {text}");
    assert!(text.to_lowercase().contains("space"), "it says why: {text}");
    assert_eq!(sandbox.output("ls -A /dev/shm").await, "", "half a file is left");
    assert_alive(&sandbox).await;
}

#[tokio::test]
async fn memory_and_processes_over_the_limit_hurt_only_the_sandbox() {
    let harbor = Harbor::shared().await;
    let client = harbor.client();
    let (sandbox, bystander) = (client.started().await, client.started().await);
    let hungry = "python3 -c 'x = bytearray(64 << 30)' 2>&1; python3 -c '
held = []
while True: held.append(bytearray(1 << 24))' >/dev/null 2>&1; echo $?";
    let done = sandbox.run(hungry).await;
    assert!(done.output.ends_with("137") || done.output.ends_with('1'), "{}", done.output);
    assert_alive(&bystander).await;
    assert_alive(&sandbox).await;
    let bomb = "python3 -c '
import os, time
made = 0
try:
    while made < 20000:
        if os.fork() == 0:
            time.sleep(5); os._exit(0)
        made += 1
except OSError: pass
print(made)'";
    let made: u32 = sandbox.run(bomb).await.output.lines().last().unwrap_or_default().parse().expect("a number");
    assert!(made < 4096, "no limit of processes: {made}");
    assert_alive(&bystander).await;
    tokio::time::sleep(Duration::from_secs(6)).await;
    assert_alive(&sandbox).await;
}

#[tokio::test]
async fn whoever_reaches_the_memory_limit_is_told_so() {
    let harbor = Harbor::shared().await;
    let sandbox = harbor.client().started_as(&json!({"memory": 1})).await;
    let program = "held = []\nwhile True: held.append(bytearray(1 << 24))";
    let command = format!("exec python3 -c '{program}'");
    let post = async |path: &str, body| sandbox.toolbox(Method::POST, path, Some(&body)).await;
    assert_eq!(post("/process/session", json!({"sessionId": "hungry"})).await.status, 201);
    let said = [
        post("/process/execute", json!({"command": command})).await.expect(200),
        post("/process/code-run", json!({"code": program, "language": "python"})).await.expect(200),
        post("/process/session/hungry/exec", json!({"command": format!("({command})")})).await.expect(200),
    ];
    for answer in said {
        assert_ne!(answer.body["exitCode"], 0, "{answer}");
        assert!(answer.body.to_string().contains(REACHED), "{answer}");
    }
    let done = sandbox.run("python3 -c 'raise SystemExit(137)'").await;
    assert_eq!((done.code, done.output.as_str()), (137, ""), "what did not reach it");
}

#[tokio::test]
async fn git_and_language_servers_that_reach_it_say_so_too() {
    let harbor = Harbor::shared().await;
    let sandbox = harbor.client().started_as(&json!({"memory": 1})).await;
    let hungry = "held = []\nwhile True: held.append(bytearray(1 << 24))";
    let prepare = format!(
        "mkdir -p ~/project && cd ~/project && git init -q . && printf '%s\\n' '{hungry}' >~/hungry.py &&
         git config filter.hungry.clean 'exec python3 ~/hungry.py' && git config filter.hungry.required true &&
         echo '*.big filter=hungry' >.gitattributes && echo x >a.big && echo 'import os' >a.py"
    );
    assert_eq!(sandbox.output(&prepare).await, "");
    let post = async |path: &str, body| sandbox.toolbox(Method::POST, path, Some(&body)).await;
    let refused = post("/git/add", json!({"path": "project", "files": ["a.big"]})).await;
    assert!(refused.status >= 400 && refused.message().contains(REACHED), "{refused}");

    let server = json!({"languageId": "python", "pathToProject": "project"});
    assert_eq!(post("/lsp/start", server.clone()).await.status, 200);
    // the kernel chooses the server, wherever it finds more
    sandbox.output("for server in $(pgrep -f pylsp); do echo 1000 >/proc/$server/oom_score_adj; done").await;
    let eating = sandbox.begin("python3 ~/hungry.py");
    let mut question = server;
    question["uri"] = json!("file://project/a.py");
    question["position"] = json!({"line": 0, "character": 9});
    let refused = within(Duration::from_mins(1), "the server ends", async || {
        let answer = post("/lsp/completions", question.clone()).await;
        if answer.status == 200 { Err(answer.to_string()) } else { Ok(answer) }
    })
    .await;
    assert!(refused.message().contains(REACHED), "{refused}");
    assert_eq!(eating.await.expect("the sandbox answers").status, 200);
    assert_alive(&sandbox).await;
}
