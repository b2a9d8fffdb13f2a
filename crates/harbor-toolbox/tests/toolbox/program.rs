//! Shells and commands (contract, edges §2.3).

use harbor_protocol::remote::{INPUT_CREDIT, MAX_COMMAND, PROGRAM_PATH, PROGRAM_UPGRADE, Request, Size, Start};

use serde_json::json;

use crate::client::{Program, Said, TOKEN, Toolbox, eventually, lives};

const TERMINAL: Option<(u16, u16)> = Some((91, 17));

#[track_caller]
fn check(toolbox: &Toolbox, command: &str, output: &str, error_output: &str, end: Said) {
    let finished = toolbox.program(command, None, &[]).feed(b"");
    let said = (finished.output.as_str(), finished.error_output.as_str(), finished.end);
    assert_eq!(said, (output, error_output, Some(end)), "{command}");
}

#[test]
fn a_command_has_output_error_output_and_an_end() {
    let toolbox = Toolbox::start();
    check(&toolbox, "echo out; echo err >&2; exit 7", "out\n", "err\n", Said::Exited(7));
    check(&toolbox, "true", "", "", Said::Exited(0));
    check(&toolbox, "kill -KILL $$", "", "", Said::Killed("KILL".to_owned()));
    check(&toolbox, "kill -34 $$", "", "", Said::Killed("34".to_owned()));
    check(&toolbox, "no-such-program 2>/dev/null", "", "", Said::Exited(127));
    check(&toolbox, "test -t 0 || test -t 1 || test -t 2 || echo $0", "/bin/sh\n", "", Said::Exited(0));
}

#[test]
fn it_runs_in_the_work_directory_with_the_environment_asked_for() {
    let toolbox = Toolbox::start_with(&json!({"env": {"FROM": "sandbox"}}));
    let env = [("ONE", "eins $HOME"), ("", "x"), ("A=B", "x"), ("NUL", "a\0b")];
    let finished = toolbox.program("pwd; echo \"$ONE $FROM $A\"; env | grep -c NUL", None, &env).feed(b"");
    assert_eq!(
        finished.output,
        format!("{}\neins $HOME sandbox \n0\n", toolbox.at("").display().to_string().trim_end_matches('/'))
    );
    std::fs::remove_dir_all(toolbox.at("")).unwrap();
    assert_eq!(toolbox.program("pwd", None, &[]).feed(b"").output, "/\n", "somewhere, if everything else is gone");
}

#[test]
fn input_ends_and_output_still_comes() {
    let toolbox = Toolbox::start();
    let input: Vec<u8> = (0..3_000_000_u32).flat_map(|number| [b'a' + u8::try_from(number % 26).unwrap()]).collect();
    let finished = toolbox.program("cat; echo done", None, &[]).feed(&input);
    assert_eq!(finished.end, Some(Said::Exited(0)));
    assert!(finished.output.as_bytes() == [&input[..], b"done\n"].concat(), "{}", finished.output.len());
    let finished = toolbox.program("head -c 5; exec 0<&-; sleep 0.2; echo closed", None, &[]).feed(&input);
    assert_eq!(finished.output, "abcdeclosed\n", "input that nobody reads is no error");
}

#[test]
fn last_words_arrive_although_input_is_left_over() {
    let toolbox = Toolbox::start();
    for _ in 0..20 {
        let mut program = toolbox.program("head -c 20000 /dev/zero | tr '\\0' x", None, &[]);
        for _ in 0..INPUT_CREDIT >> 14 {
            program.send(Request::Input(&[b'x'; 1 << 14]));
        }
        let finished = program.finish();
        assert_eq!((finished.output.len(), finished.end), (20_000, Some(Said::Exited(0))));
    }
}

#[test]
fn a_shell_without_a_terminal_reads_a_script() {
    let toolbox = Toolbox::start();
    let finished = toolbox.program("", None, &[]).feed(b"echo $0; echo err >&2\nexit 3\n");
    assert_eq!((finished.output.as_str(), finished.error_output.as_str()), ("/bin/sh\n", "err\n"));
    assert_eq!(finished.end, Some(Said::Exited(3)));
}

#[test]
fn a_command_on_a_terminal_knows_its_size() {
    let toolbox = Toolbox::start();
    let script = "test -t 0 && test -t 1 && test -t 2 && echo $TERM; stty size; read line; echo got $line; stty size";
    let mut program = toolbox.program(script, TERMINAL, &[]);
    assert!(program.until("17 91").contains("vt100"));
    program.send(Request::Resize(Size { columns: 120, rows: 40 }));
    program.send(Request::Input(b"a line\n"));
    let finished = program.finish();
    assert!(finished.output.contains("got a line\r\n40 120"), "{finished:?}");
    assert_eq!((finished.error_output.as_str(), finished.end), ("", Some(Said::Exited(0))));
}

#[test]
fn a_shell_on_a_terminal_is_interactive_and_has_a_real_end() {
    let toolbox = Toolbox::start();
    let mut program = toolbox.program("", TERMINAL, &[]);
    program.send(Request::Input(b"echo $((6*7)) \"[$SHELL]\"; tty; exit 5\n"));
    let finished = program.finish();
    assert!(finished.output.contains("42 [") && finished.output.contains("/dev/pts/"), "{finished:?}");
    assert_eq!(finished.end, Some(Said::Exited(5)));
}

#[test]
fn typed_characters_are_signals_and_the_end_of_input() {
    let toolbox = Toolbox::start();
    let mut program = toolbox.program("echo ready; exec sleep 1000", TERMINAL, &[]);
    program.until("ready");
    program.send(Request::Input(b"\x03"));
    assert_eq!(program.finish().end, Some(Said::Killed("INT".to_owned())));
    let mut program = toolbox.program("stty -echo; echo ready; cat; echo over", TERMINAL, &[]);
    program.until("ready");
    program.send(Request::Input(b"text\n"));
    program.send(Request::InputEnd);
    let finished = program.finish();
    assert!(finished.output.contains("text\r\nover"), "{finished:?}");
}

#[test]
fn signals_reach_the_process_group() {
    let toolbox = Toolbox::start();
    let mut program =
        toolbox.program("trap 'echo term; exit 9' TERM; echo ready; while :; do sleep 0.1; done", None, &[]);
    program.until("ready");
    program.send(Request::Signal("TERM"));
    let finished = program.finish();
    assert_eq!((finished.output.as_str(), finished.end), ("term\n", Some(Said::Exited(9))));
    let mut program = toolbox.program("sleep 1000 & echo $!; wait", None, &[]);
    let child = program.until("\n");
    program.send(Request::Signal("no such signal"));
    assert_eq!(program.finish().end, Some(Said::Killed("KILL".to_owned())));
    eventually("the child is gone", || !lives(&child));
}

#[test]
fn a_signal_does_not_wait_behind_input_that_nobody_reads() {
    let toolbox = Toolbox::start();
    let mut program = toolbox.program("echo ready; exec sleep 1000", None, &[]);
    program.until("ready");
    for _ in 0..INPUT_CREDIT >> 14 {
        program.send(Request::Input(&[b'x'; 1 << 14]));
    }
    program.send(Request::Signal("TERM"));
    assert_eq!(program.finish().end, Some(Said::Killed("TERM".to_owned())));
}

#[test]
fn more_input_than_allowed_ends_the_program() {
    let toolbox = Toolbox::start();
    let mut program = toolbox.program("echo $$; exec sleep 1000", None, &[]);
    let pid = program.until("\n");
    // What the pipe itself holds has been taken, and is not too much.
    for _ in 0..40 {
        program.send(Request::Input(&[b'x'; 1 << 14]));
    }
    assert_eq!(program.finish().end, None);
    eventually("the program is gone", || !lives(&pid));
}

#[test]
fn a_closed_stream_ends_the_process_group() {
    let toolbox = Toolbox::start();
    for terminal in [None, TERMINAL] {
        let mut program = toolbox.program("trap '' HUP; sleep 1000 & echo $$ $!; wait", terminal, &[]);
        let said = program.until("\n");
        let pids: Vec<&str> = said.split_whitespace().collect();
        assert!(pids.len() == 2 && pids.iter().all(|pid| lives(pid)), "{said}");
        drop(program);
        eventually("both ignored the hang-up and were killed", || !pids.iter().any(|pid| lives(pid)));
    }
    let mut program =
        toolbox.program("trap 'echo hup >hup; exit' HUP; echo ready; while :; do sleep 0.1; done", None, &[]);
    program.until("ready");
    drop(program);
    eventually("one that listens has time to clean up", || toolbox.at("hup").exists());
}

#[test]
fn output_waits_for_who_reads_it_and_memory_stays() {
    const SIZE: usize = 50_000_000;
    let toolbox = Toolbox::start();
    let mut program = toolbox.program(&format!("head -c {SIZE} /dev/zero; touch written"), None, &[]);
    assert_eq!(program.next(), Some(Said::Started));
    eventually("it has begun", || matches!(program.next(), Some(Said::Output(_))));
    // What fits into sockets and pipes is far less than all of it.
    std::thread::sleep(std::time::Duration::from_millis(500));
    assert!(!toolbox.at("written").exists());
    let finished = program.finish();
    assert!(finished.output.len() > SIZE / 2 && finished.end == Some(Said::Exited(0)), "{}", finished.output.len());
    assert!(toolbox.at("written").exists());
    assert!(toolbox.peak_memory() < 32 << 20, "{}", toolbox.peak_memory());
}

#[test]
fn what_a_program_left_running_may_still_write() {
    let toolbox = Toolbox::start();
    let mut program = toolbox.program("(until test -e go; do sleep 0.05; done; echo late) & exit 4", None, &[]);
    assert_eq!([program.next(), program.next()], [Some(Said::Started), Some(Said::Exited(4))]);
    std::fs::write(toolbox.at("go"), "").unwrap();
    assert_eq!(program.finish().output, "late\n");
}

#[test]
fn what_is_no_request_is_refused() {
    let toolbox = Toolbox::start();
    assert_eq!(toolbox.ask_for_stream(PROGRAM_PATH, PROGRAM_UPGRADE, "wrong").0, 401);
    assert_eq!(toolbox.ask_for_stream(PROGRAM_PATH, "websocket", TOKEN).0, 400);
    let mut program = Program::open(&toolbox);
    program.start(&Start { protocol: 2, env: [].into(), terminal: None });
    assert!(matches!(program.next(), Some(Said::Refused(reason)) if reason.contains("version 1")));
    assert_eq!(program.next(), None);
    for frame in [b"\x00\0\0\0\0" as &[u8], b"\x03\0\0\0\x01x", b"\x81\0\0\0\0", b"\x01\xff\xff\xff\xff"] {
        let mut program = Program::open(&toolbox);
        program.send_bytes(frame);
        assert_eq!(program.next(), None, "{frame:?}");
    }
    let mut program = Program::open(&toolbox);
    program.send_bytes(b"\x02\0\0\0\x02{]");
    assert!(matches!(program.next(), Some(Said::Refused(_))));
}

#[test]
fn a_command_is_as_long_as_the_kernel_takes_it() {
    let toolbox = Toolbox::start();
    let run = |length: usize| {
        let command = format!("echo $((7)) #{}", "x".repeat(length - 13));
        let mut program = Program::open(&toolbox);
        for part in command.as_bytes().chunks(50_000) {
            program.send(Request::Command(part));
        }
        program.start(&Start { protocol: 1, env: [].into(), terminal: None });
        program.finish()
    };
    assert_eq!(run(MAX_COMMAND).output, "7\n");
    assert_eq!(run(MAX_COMMAND + 1).end, None);
}
