//! `harbor uninstall` removes what one installation made, and nothing of another one.

use harbor_tests::{Harbor, docker};

#[tokio::test]
async fn one_installation_goes_and_its_neighbour_stays() {
    let neighbour = Harbor::started().await;
    let harbor = Harbor::started().await;
    let client = harbor.client();
    let (running, stopped) = (client.started().await, client.stopped().await);
    let instance = format!("label=harbor.instance={}", harbor.instance());
    let dry = harbor.run(&["uninstall", "--dry-run"]).await;
    assert!(dry.success && dry.output.contains("2 sandboxes with all files"), "{dry:?}");
    assert!(dry.output.contains(&harbor.data().display().to_string()), "{}", dry.output);
    assert!(!dry.output.contains("image "), "the neighbour needs them: {}", dry.output);
    assert_eq!(running.output("echo works").await, "works");

    let said = harbor.run(&["uninstall", "--yes"]).await;
    assert!(said.success, "{}", said.error);
    for kind in ["container", "network", "volume"] {
        let list = if kind == "container" { "ps -aq" } else { "ls -q" };
        let mut arguments: Vec<&str> = if kind == "container" { Vec::new() } else { vec![kind] };
        arguments.extend(list.split(' '));
        arguments.extend(["--filter", &instance]);
        assert_eq!(docker(&arguments).await, "", "a {kind} is left");
    }
    assert!(!harbor.data().exists());
    drop(stopped);
    let sandbox = neighbour.client().started().await;
    assert_eq!(sandbox.output("echo works").await, "works");
}
