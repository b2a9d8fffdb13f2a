//! harbor in the foreground, as a service manager or a person at a terminal runs it.

use std::process::Stdio;
use std::time::Duration;

use harbor_tests::{Harbor, Limit};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};

const START: Limit = Limit::promised(Duration::from_secs(30));

/// Runs it until it has said that it is ready, then ends it; answers what it said.
async fn said(harbor: &Harbor, arguments: &[&str], last_line: &str) -> String {
    let mut command = harbor.command(&[&["up", "--foreground"], arguments].concat());
    let mut child =
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true).spawn().expect("it starts");
    let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
    let mut said = String::new();
    let reading = async {
        while let Some(line) = lines.next_line().await.expect("text") {
            said.push_str(&line);
            said.push('\n');
            if line.contains(last_line) {
                return;
            }
        }
    };
    let in_time = tokio::time::timeout(START.stretched(), reading).await.is_ok();
    let _ended_by_itself = harbor.run(&["down"]).await;
    let status = tokio::time::timeout(START.stretched(), child.wait()).await.expect("it ends").expect("a status");
    let mut errors = String::new();
    child.stderr.take().expect("a pipe").read_to_string(&mut errors).await.expect("text");
    assert!(in_time && said.contains(last_line) && status.success(), "{status}: {said}{errors}");
    said
}

#[tokio::test]
async fn says_where_it_is_and_serves_until_it_is_told_to_end() {
    let harbor = Harbor::installed();
    let first = said(&harbor, &[], " env").await;
    assert!(first.contains("API key") && first.contains("/api"), "{first}");
    let told: Value = serde_json::from_str(&said(&harbor, &["--json"], "}").await).expect("JSON");
    assert_eq!(told["ready"], true, "{told}");
    assert_eq!(told["first_start"], false, "{told}");
}
