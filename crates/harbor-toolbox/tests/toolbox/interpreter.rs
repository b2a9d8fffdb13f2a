//! Python contexts (contract, toolbox §9).

use std::time::Duration;

use serde_json::{Value, json};

use crate::client::{CURRENT, Frame, Socket, Toolbox, eventually};

const EXECUTE: &str = "/process/interpreter/execute";
const CONTEXT: &str = "/process/interpreter/context";

/// What an execution told its client.
#[derive(Debug, Default, PartialEq, Eq)]
struct Told {
    stdout: String,
    stderr: String,
    /// Name, value and traceback.
    error: Option<[String; 3]>,
    control: Vec<String>,
    close: (u16, String),
}

fn listen(socket: &mut Socket) -> Told {
    let mut told = Told::default();
    loop {
        match socket.next() {
            Frame::Text(text) => {
                assert_eq!(told.control, Vec::<String>::new(), "nothing comes after the control chunk");
                let chunk: Value = serde_json::from_str(&text).unwrap();
                let field = |name: &str| chunk[name].as_str().unwrap().to_owned();
                assert_eq!(chunk.as_object().unwrap().len(), 5, "{chunk}");
                match chunk["type"].as_str().unwrap() {
                    "stdout" => told.stdout += &field("text"),
                    "stderr" => told.stderr += &field("text"),
                    "control" => told.control.push(field("text")),
                    "error" => {
                        let first = told.error.replace(["name", "value", "traceback"].map(field));
                        assert_eq!(first, None, "at most one error");
                    }
                    other => panic!("{other}"),
                }
            }
            Frame::Pong(_) => {}
            Frame::Close(code, reason) => {
                told.close = (code, reason);
                return told;
            }
            other => panic!("{other:?}"),
        }
    }
}

fn begin(toolbox: &Toolbox, request: &Value) -> Socket {
    let mut socket = toolbox.socket(EXECUTE, CURRENT);
    socket.json(request);
    socket
}

/// Waits until the order is taken: pings behind it are answered from then on.
#[track_caller]
fn is_queued(socket: &mut Socket) {
    socket.ping(b"queued?");
    assert_eq!(socket.next(), Frame::Pong(b"queued?".to_vec()));
}

fn run(toolbox: &Toolbox, request: &Value) -> Told {
    listen(&mut begin(toolbox, request))
}

/// Runs code that must complete; returns what it printed.
#[track_caller]
fn print(toolbox: &Toolbox, code: &str) -> String {
    let told = run(toolbox, &json!({"code": code}));
    let (control, close) = (vec!["completed".to_owned()], (1000, String::new()));
    let expected = Told { stdout: told.stdout.clone(), control, close, ..Told::default() };
    assert_eq!(told, expected, "{code}");
    told.stdout
}

fn create(toolbox: &Toolbox) -> String {
    let answer = toolbox.post(CONTEXT, &json!({}));
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()["id"].as_str().unwrap().to_owned()
}

#[test]
fn contexts_keep_their_state_apart() {
    let toolbox = Toolbox::start();
    let other = create(&toolbox);
    print(&toolbox, "x = 1");
    assert_eq!(print(&toolbox, "print(x, __name__)"), "1 __main__\n");
    let told = run(&toolbox, &json!({"code": "print(x)", "contextId": other}));
    let [name, value, traceback] = told.error.unwrap();
    assert_eq!((name.as_str(), value.as_str()), ("NameError", "name 'x' is not defined"));
    assert_eq!(
        traceback,
        "Traceback (most recent call last):\n  File \"<stdin>\", line 1\nNameError: name 'x' is not defined\n"
    );
    assert_eq!((told.control, told.close.0), (vec!["completed".to_owned()], 1000));
}

#[test]
fn much_output_arrives_whole_and_in_order() {
    let toolbox = Toolbox::start();
    let lines = print(&toolbox, "for i in range(20000): print(i)");
    let expected: String = (0..20_000).flat_map(|line| [line.to_string(), "\n".to_owned()]).collect();
    assert!(lines == expected, "{} of {} bytes", lines.len(), expected.len());
    let long = print(&toolbox, "print('aé€🙂' * 1000000)");
    assert!(long.trim_end() == "aé€🙂".repeat(1_000_000));
    let told = run(&toolbox, &json!({"code": "import sys\nfor i in range(300): print(i); print(-i, file=sys.stderr)"}));
    assert_eq!((told.stdout.lines().count(), told.stderr.lines().count()), (300, 300));
}

#[test]
fn code_waits_for_a_client_that_reads_slowly() {
    let toolbox = Toolbox::start();
    let code = "import os\nfor i in range(4000): print('x' * 10000)\nopen('done', 'w').close()";
    let mut socket = begin(&toolbox, &json!({"code": code}));
    std::thread::sleep(Duration::from_secs(1));
    assert!(!toolbox.at("done").exists(), "40 MB fit in no buffer");
    assert_eq!(listen(&mut socket).stdout.len(), 4000 * 10_001);
    assert!(toolbox.peak_memory() < 24 << 20, "{}", toolbox.peak_memory());
}

#[test]
fn pings_are_answered_during_a_flood() {
    let toolbox = Toolbox::start();
    let code = "import os\nwhile not os.path.exists('stop'): print('x' * 100)";
    let mut socket = begin(&toolbox, &json!({"code": code}));
    assert!(matches!(socket.next(), Frame::Text(_)));
    socket.ping(b"now");
    while socket.next() != Frame::Pong(b"now".to_vec()) {}
    toolbox.write("stop", "");
    assert_eq!(listen(&mut socket).close.0, 1000);
}

#[test]
fn writes_past_the_interpreter_do_not_break_it() {
    let toolbox = Toolbox::start();
    let code = "import os, sys, subprocess\n\
                os.write(1, b'd\\x00stray')\nos.write(2, b'stray')\nos.system('echo stray; echo stray >&2')\n\
                subprocess.run(['echo', 'stray'])\n\
                for number in range(3, 64):\n    try: os.fstat(number)\n    except OSError: continue\n\
                print('before')\n\
                try: input()\nexcept EOFError: print('no input')";
    assert_eq!(print(&toolbox, code), "before\nno input\n");
    assert_eq!(print(&toolbox, "sys.stdout.buffer.write(b'bytes\\n'); sys.stdout.close()"), "bytes\n");
    assert_eq!(print(&toolbox, "print('open again')"), "open again\n");
    let inherited = "print(subprocess.run(['ls', '/proc/self/fd'], stdout=-1).stdout.split())";
    assert_eq!(print(&toolbox, inherited), "[b'0', b'1', b'2', b'3']\n", "three streams and the listing's own");
}

#[test]
fn forks_neither_answer_nor_linger() {
    let toolbox = Toolbox::start();
    let code = "import os\nchild = os.fork()\nif child: os.waitpid(child, 0)\nprint('one' if child else 'two')";
    assert_eq!(print(&toolbox, code), "two\none\n");
    assert_eq!(print(&toolbox, "print('still one')"), "still one\n");
    let pool = "from multiprocessing import Pool\ndef square(n): return n * n\n\
                with Pool(2) as pool: print(pool.map(square, range(5)))";
    assert_eq!(print(&toolbox, pool), "[0, 1, 4, 9, 16]\n");
}

#[test]
fn files_of_the_work_dir_do_not_stand_in_for_the_library() {
    let toolbox = Toolbox::start();
    for module in ["io", "os", "signal", "traceback", "json", "linecache"] {
        toolbox.write(&format!("{module}.py"), "raise SystemError('not me')");
    }
    toolbox.write("mine.py", "here = 'found'");
    assert_eq!(print(&toolbox, "import mine\nprint(mine.here)"), "found\n");
}

#[test]
fn a_timeout_interrupts_and_keeps_the_state() {
    let toolbox = Toolbox::start();
    // the second counts from the request, and on a busy machine an interpreter may take longer to start
    assert_eq!(print(&toolbox, "print('begun')"), "begun\n");
    let code = "import time, subprocess\nkept = 1\nprint('a')\nsubprocess.run(['sleep', '77'])";
    let told = run(&toolbox, &json!({"code": code, "timeout": 1}));
    let expected = Told { stdout: "a\n".to_owned(), close: (4008, String::new()), ..Told::default() };
    assert_eq!(told, expected, "and no control chunk");
    assert_eq!(print(&toolbox, "print(kept)"), "1\n");
}

#[test]
fn code_that_swallows_the_interrupt_is_killed() {
    let toolbox = Toolbox::start();
    let code = "import time\nkept = 1\nwhile True:\n    try: time.sleep(1)\n    except KeyboardInterrupt: print('no')";
    let told = run(&toolbox, &json!({"code": code, "timeout": 1}));
    assert_eq!((told.control, told.close), (vec![], (4008, String::new())));
    assert_eq!(print(&toolbox, "print('kept' in globals())"), "False\n");
}

#[test]
fn a_timeout_counts_for_a_client_that_does_not_read() {
    let toolbox = Toolbox::start();
    let mut socket = begin(&toolbox, &json!({"code": "while True: print('x' * 10000)", "timeout": 1}));
    std::thread::sleep(Duration::from_millis(2500));
    assert_eq!(print(&toolbox, "print('next')"), "next\n", "the context is free again");
    assert_eq!(listen(&mut socket).close, (4008, String::new()));
}

#[test]
fn interrupts_and_exits_of_the_code_itself_are_no_timeouts() {
    let toolbox = Toolbox::start();
    let told = run(&toolbox, &json!({"code": "raise KeyboardInterrupt()"}));
    assert_eq!((told.error.unwrap()[0].as_str(), told.close.0), ("KeyboardInterrupt", 1000));
    print(&toolbox, "import sys\nsys.exit(3)");
    print(&toolbox, "sys.exit(0)");
}

#[test]
fn a_worker_that_dies_frees_the_queue_at_once() {
    let toolbox = Toolbox::start();
    let mut first = begin(
        &toolbox,
        &json!({"code": "import os, time\nprint('begun')\nwhile not os.path.exists('go'): time.sleep(0.01)\nos._exit(3)"}),
    );
    assert!(matches!(first.next(), Frame::Text(_)));
    let mut second = begin(&toolbox, &json!({"code": "print('fresh', 'os' in globals())"}));
    is_queued(&mut second);
    toolbox.write("go", "");
    assert_eq!(listen(&mut first).close, (1001, "worker process ended".to_owned()));
    assert_eq!(listen(&mut second).stdout, "fresh False\n");

    let context = create(&toolbox);
    run(&toolbox, &json!({"code": "import os\nos._exit(0)", "contextId": context}));
    assert_eq!(toolbox.get(CONTEXT).json()["contexts"][0]["active"], false);
    assert_eq!(run(&toolbox, &json!({"code": "print(1)", "contextId": context})).stdout, "1\n");
    assert_eq!(toolbox.get(CONTEXT).json()["contexts"][0]["active"], true);
}

#[test]
fn deleting_a_context_ends_its_worker_and_whoever_waits() {
    let toolbox = Toolbox::start();
    let context = create(&toolbox);
    let order = json!({"code": "import time\nprint('begun')\ntime.sleep(78)", "contextId": context});
    let mut running = begin(&toolbox, &order);
    assert!(matches!(running.next(), Frame::Text(_)));
    let mut waiting = begin(&toolbox, &order);
    is_queued(&mut waiting);
    assert_eq!(toolbox.delete_with(&format!("{CONTEXT}/{context}"), &json!({})).status, 200);
    for socket in [&mut running, &mut waiting] {
        assert_eq!(listen(socket).close, (1001, "context shutdown".to_owned()));
    }
    eventually("its worker is gone", || toolbox.children().is_empty());
    assert_eq!(toolbox.get(CONTEXT).json(), json!({"contexts": []}));
    assert_eq!(toolbox.delete_with(&format!("{CONTEXT}/{context}"), &json!({})).refusal().0, 404);
    let closed = run(&toolbox, &json!({"code": "1", "contextId": context})).close;
    assert_eq!(closed, (1008, format!("context not found: {context}")));
}

#[test]
fn contexts_are_bounded_and_failed_ones_take_no_place() {
    let toolbox = Toolbox::start();
    assert_eq!(toolbox.post(CONTEXT, &json!({"cwd": "nowhere"})).status, 500);
    let contexts: Vec<_> = (0..50).map(|_| create(&toolbox)).collect();
    let refused = || toolbox.post(CONTEXT, &json!({})).refusal();
    assert_eq!(refused(), (429, "TOO_MANY_REQUESTS".to_owned()));
    assert_eq!(print(&toolbox, "print(1)"), "1\n", "the default context is not among them");
    assert_eq!(toolbox.delete_with(&format!("{CONTEXT}/{}", contexts[7]), &json!({})).status, 200);
    create(&toolbox);
    assert_eq!(refused().0, 429);
}

#[test]
fn an_execution_goes_on_without_its_client() {
    let toolbox = Toolbox::start();
    let code =
        "import time\nfor i in range(20):\n    print('x' * 100000)\n    time.sleep(0.05)\nopen('ended', 'w').close()";
    let mut socket = begin(&toolbox, &json!({"code": code}));
    assert!(matches!(socket.next(), Frame::Text(_)));
    drop(socket);
    eventually("the code came to its end", || toolbox.at("ended").exists());
}

#[test]
fn variables_hold_for_one_execution() {
    let toolbox = Toolbox::start();
    let order =
        json!({"code": "import os\nprint(os.environ['A'], os.environ['B'])", "envs": {"A": "1 =\nü", "B": null}});
    assert_eq!(run(&toolbox, &order).stdout, "1 =\nü \n");
    assert_eq!(print(&toolbox, "print('A' in os.environ, 'B' in os.environ)"), "False False\n");
    assert_eq!(run(&toolbox, &json!({"code": "1", "envs": {"A=": "1"}})).close.0, 1008);
}

#[test]
fn wrong_orders_are_told_apart() {
    let toolbox = Toolbox::start();
    let reason = |order: Value| run(&toolbox, &order).close;
    assert_eq!(reason(json!({})), (1008, "code is required".to_owned()));
    assert_eq!(reason(json!({"code": "1", "timeout": -1})).1, "timeout must be greater than or equal to 0");
    assert_eq!(reason(json!({"code": "1", "contextId": ""})), (1008, "context not found: ".to_owned()));
    assert_eq!(reason(json!({"code": "1", "timeout": i64::MAX})), (1000, String::new()));
    assert_eq!(reason(json!({"code": 1})), (1002, "invalid JSON payload".to_owned()));
    assert_eq!(reason(json!([])), (1002, "invalid JSON payload".to_owned()));
    assert_eq!(toolbox.get(EXECUTE).status, 400);
}

#[test]
fn without_python_the_answer_says_so() {
    let toolbox = Toolbox::with_path("/nowhere");
    let answer = toolbox.post(CONTEXT, &json!({}));
    assert_eq!(answer.status, 500);
    assert!(answer.message().contains("no python3"), "{answer:?}");
    let (code, reason) = run(&toolbox, &json!({"code": "1"})).close;
    assert!(code == 1011 && reason.starts_with("failed to get default context: there is no python3"), "{reason}");
}

#[test]
fn the_worker_is_written_for_old_pythons() {
    let toolbox = Toolbox::start();
    let worker = concat!(env!("CARGO_MANIFEST_DIR"), "/src/interpreter/worker.py");
    print(&toolbox, &format!("import ast\nast.parse(open({worker:?}).read(), feature_version=(3, 6))"));
}

/// Java's client takes a close that crosses its own for a failure.
#[test]
fn a_client_that_closes_by_itself_is_let_go_first() {
    let toolbox = Toolbox::start();
    for (headers, waits) in [("", true), (CURRENT, false)] {
        let mut socket = toolbox.socket(EXECUTE, headers);
        socket.json(&json!({"code": "print(1)"}));
        while !matches!(socket.next(), Frame::Text(text) if text.contains("completed")) {}
        let quiet = socket.is_quiet(Duration::from_millis(100));
        assert_eq!(quiet, waits, "{headers:?}");
        assert_eq!(socket.next(), Frame::Close(1000, String::new()));
    }
}
