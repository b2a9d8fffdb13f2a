//! What `harbor up` was given is what every other command means, and is there at the next start.

use harbor_tests::{Harbor, Said};

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("its address").port()
}

async fn get(harbor: &Harbor, key: &str) -> String {
    let Said { success, output, error } = harbor.run(&["config", "get", key]).await;
    assert!(success, "{error}");
    output
}

#[tokio::test]
async fn flags_are_told_while_it_runs_and_kept_for_the_next_start() {
    let harbor = Harbor::installed();
    let port = free_port().to_string();
    let up = harbor.run(&["up", "--host-port", &port, "--infra-stock=1", "--wait", "60"]).await;
    assert!(up.success, "{}", up.error);
    assert!(up.error.contains("infra.stock = 1") && up.error.contains("kept in "), "{}", up.error);
    assert!(up.output.contains(&format!("harbor env --data-dir {}", harbor.data().display())), "{}", up.output);

    assert_eq!(get(&harbor, "daytona.host_port").await, port);
    assert_eq!(get(&harbor, "infra.stock").await, "1");
    let proxy: u16 = get(&harbor, "daytona.proxy_host_port").await.parse().expect("a port");
    assert_ne!(proxy, 0, "the system has chosen one");
    assert_eq!(harbor.run(&["url"]).await.output, format!("http://localhost:{port}"));
    assert!(harbor.run(&["env"]).await.output.contains(&format!("http://localhost:{port}/api ")));
    let doctor = harbor.run(&["doctor"]).await;
    for check in ["API port", "proxy port"] {
        let line = doctor.output.lines().find(|line| line.contains(check)).expect("a check of the port");
        assert!(line.contains("in use by this harbor"), "{line}");
    }

    assert!(harbor.run(&["up", "--infra-stock=1"]).await.success, "it was given the same");
    let refused = harbor.run(&["up", "--infra-stock=7"]).await;
    assert!(refused.one_line().contains("infra.stock 1"), "{}", refused.error);
    assert!(
        refused.error.contains(&format!("`harbor down --data-dir {}`", harbor.data().display())),
        "{}",
        refused.error
    );

    assert!(harbor.run(&["down"]).await.success);
    assert_eq!(get(&harbor, "infra.stock").await, "1", "kept");
    let env = harbor.run(&["env"]).await;
    assert!(env.one_line().contains("harbor does not run") && env.output.is_empty(), "{env:?}");
}

#[tokio::test]
async fn a_key_that_came_by_environment_is_told_while_it_runs() {
    let harbor = Harbor::installed();
    let key = "a-key-of-this-start-alone";
    let up = harbor.command(&["up", "--json", "--wait", "60"]).env("HARBOR_DAYTONA_ADMIN_API_KEY", key).output().await;
    let up = up.expect("the binary starts");
    assert!(up.status.success(), "{}", String::from_utf8_lossy(&up.stderr));
    let env = harbor.run(&["env"]).await;
    assert!(env.output.contains(&format!("DAYTONA_API_KEY={key}")), "{}", env.output);
    assert_eq!(get(&harbor, "daytona.admin_api_key").await, key);
    let listed = harbor.run(&["config", "ls"]).await;
    assert!(listed.success && !listed.output.contains(key), "{}", listed.output);
    assert!(!std::fs::read_to_string(harbor.data().join("run/state.json")).expect("a state").contains(key));
    assert!(!harbor.log().contains(key));
    assert!(harbor.run(&["down"]).await.success);
    assert!(!harbor.data().join("run/settings.json").exists());
    assert!(get(&harbor, "daytona.admin_api_key").await.starts_with("dtn_"), "the generated one");
}
