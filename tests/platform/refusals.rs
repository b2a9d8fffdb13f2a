//! Starts that cannot work: one clear line each, and nothing left running.

use harbor_tests::{Harbor, Line};
use std::os::unix::fs::PermissionsExt as _;
use tokio::process::Command;

#[tokio::test]
async fn starts_at_the_same_time_are_one_harbor() {
    let harbor = Harbor::installed();
    let starts: Vec<_> =
        (0..4).map(|_| harbor.command(&["up", "--json", "--wait", "60"]).output()).map(tokio::spawn).collect();
    let mut addresses = Vec::new();
    for start in starts {
        let output = start.await.expect("it ends").expect("the binary starts");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let told: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
        addresses.push((told["api_url"].to_string(), told["api_key"].to_string()));
    }
    addresses.dedup();
    assert_eq!(addresses.len(), 1, "more than one harbor: {addresses:?}");
    let second = harbor.run(&["up", "--foreground"]).await;
    assert!(second.error.contains(&harbor.process().to_string()), "the holder is named: {}", second.error);
}

#[tokio::test]
async fn a_taken_port_is_named_with_its_key_or_its_holder() {
    let holder = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = holder.local_addr().expect("an address").port().to_string();
    let harbor = Harbor::installed().with("HARBOR_DAYTONA_HOST_PORT", &port);
    let said = harbor.run(&["up"]).await;
    let line = said.one_line();
    assert!(line.contains(&port), "{line}");
    assert!(line.contains("host_port") || line.contains(&std::process::id().to_string()), "{line}");
    assert!(!harbor.run(&["status"]).await.success, "something runs");
    drop(holder);
    harbor.up().await;
    assert_eq!(harbor.client().authority().rsplit(':').next(), Some(port.as_str()));
}

#[tokio::test]
async fn without_an_engine_its_address_is_named() {
    let harbor = Harbor::installed();
    let nowhere = format!("unix://{}/nowhere.sock", harbor.place().display());
    let harbor = harbor.with("DOCKER_HOST", &nowhere);
    let said = harbor.run(&["up"]).await;
    let reason = said.error.lines().last().unwrap_or_default();
    assert!(!said.success && reason.contains(&nowhere), "{}", said.error);
    assert!(!harbor.run(&["status"]).await.success, "something runs");
    // given an engine, the same data directory works
    let harbor = harbor.with("DOCKER_HOST", &format!("unix://{}", harbor_tests::engine_socket().display()));
    harbor.up().await;
    assert_eq!(harbor.client().started().await.output("echo works").await, "works");
}

#[tokio::test]
async fn a_data_directory_of_somebody_else_is_named() {
    let harbor = Harbor::installed();
    std::fs::create_dir(harbor.data()).expect("a directory");
    std::fs::set_permissions(harbor.place(), std::fs::Permissions::from_mode(0o755)).expect("its mode");
    std::fs::set_permissions(harbor.data(), std::fs::Permissions::from_mode(0o555)).expect("its mode");
    // root may write everywhere, so as nobody
    let command = harbor.command(&["up"]);
    let program = command.as_std().get_program().to_owned();
    let variables: Vec<_> =
        command.as_std().get_envs().filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned()))).collect();
    let copied = harbor.place().join("harbor");
    std::fs::copy(program, &copied).expect("a copy that nobody may run");
    let as_nobody = ["--reuid", "65534", "--regid", "65534", "--clear-groups"];
    let root = Command::new("id").arg("-u").output().await.expect("id").stdout == b"0\n";
    let mut command = if root { Command::new("setpriv") } else { Command::new("env") };
    if root {
        command.args(as_nobody);
    }
    let output = command.arg(copied).arg("up").envs(variables).output().await.expect("it starts");
    let said = String::from_utf8_lossy(&output.stderr).trim_end().to_owned();
    assert!(!output.status.success() && !said.contains('\n') && !said.is_empty(), "not one line: {said}");
    assert!(said.contains("/data"), "{said}");
}

#[tokio::test]
async fn an_engine_that_hangs_at_the_start_is_told_and_does_not_hold_it_for_ever() {
    let harbor = Harbor::installed();
    let mut line = Line::open(&harbor.place().join("engine.sock"));
    line.hold();
    let harbor = harbor.with("DOCKER_HOST", &line.docker_host());
    let said = harbor.run(&["up"]).await;
    // a line of progress comes first
    let reason = said.error.lines().last().unwrap_or_default();
    assert!(!said.success && reason.contains("engine") && reason.contains("hangs"), "{}", said.error);
    assert!(!harbor.run(&["status"]).await.success, "something runs");
    line.mend();
    harbor.up().await;
    assert_eq!(harbor.client().started().await.output("echo works").await, "works");
}
