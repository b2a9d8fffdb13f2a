//! `harbor logs` on a log file that is there.

use std::fs;

use crate::Case;

const LINES: &str = r#"{"time":"2026-01-01T00:00:00.000Z","level":"info","component":"daytona","message":"old"}
{"time":"2026-01-02T00:00:00.000Z","level":"warn","component":"daytona-runner","sandbox":"0a1b","message":"odd"}
{"time":"2026-01-03T00:00:00.000Z","level":"debug","component":"daytona-proxy","sandbox":"ffff","message":"new"}
"#;

fn logged() -> Case {
    let case = Case::new();
    fs::create_dir_all(case.data().join("logs")).unwrap();
    fs::write(case.data().join("logs/harbor.log"), LINES).unwrap();
    case
}

#[track_caller]
fn check(arguments: &[&str], messages: &[&str]) {
    let answer = logged().run(&[&["logs", "--json"], arguments].concat());
    assert_eq!(answer.code, 0, "{}", answer.err);
    let message = |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap()["message"].to_string();
    let shown: Vec<_> = answer.out.lines().map(message).collect();
    assert_eq!(shown, messages.iter().map(|message| format!("\"{message}\"")).collect::<Vec<_>>(), "{arguments:?}");
}

#[test]
fn they_end_and_are_filtered() {
    check(&[], &["old", "odd", "new"]);
    check(&["--no-follow"], &["old", "odd", "new"]);
    check(&["-n", "1"], &["new"]);
    check(&["--since", "2026-01-02T00:00:00Z"], &["odd", "new"]);
    check(&["--since", "1h"], &[]);
    check(&["--level", "warn"], &["odd"]);
    check(&["--level", "info", "-n", "1"], &["odd"]);
    check(&["--sandbox", "0a"], &["odd"]);
    check(&["daytona-proxy"], &["new"]);
}

#[test]
fn a_wrong_filter_says_what_is_right() {
    for (arguments, says) in [(["--since", "yesterday"], "10m"), (["--level", "loud"], "warn")] {
        let answer = logged().run(&[&["logs"], &arguments[..]].concat());
        assert!(answer.code == 2 && answer.err.contains(says), "{}", answer.err);
    }
}
