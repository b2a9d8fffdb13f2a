//! What a sandbox is given, and what it is not.

use harbor_runner::SandboxSpec;

use harbor_runner::fixture::{Fixture, configuration, docker};

/// One field of a container's inspect output.
fn inspect(name: &str, field: &str) -> String {
    docker(&["inspect", "--format", &format!("{{{{json {field}}}}}"), name])
}

#[tokio::test]
async fn a_sandbox_has_few_rights_and_limits() {
    let fixture = Fixture::prepared().await;
    let started = fixture.started().await;
    let name = format!("harbor-{}", started.id);
    assert_eq!(inspect(&name, ".HostConfig.Privileged"), "false");
    assert_eq!(inspect(&name, ".HostConfig.Binds"), "null");
    assert_eq!(inspect(&name, ".HostConfig.Memory"), (1_u64 << 30).to_string());
    assert_eq!(inspect(&name, ".HostConfig.MemorySwap"), (1_u64 << 30).to_string());
    assert_eq!(inspect(&name, ".HostConfig.NanoCpus"), "1000000000");
    assert_eq!(inspect(&name, ".HostConfig.PidsLimit"), "4096");
    assert_eq!(inspect(&name, ".Config.Healthcheck.Test"), "[\"NONE\"]");
    // NET_RAW is bit 13 and NET_ADMIN bit 12, SYS_ADMIN bit 21, MKNOD bit 27
    let bounding = Fixture::shell(&started.id, "busybox grep CapBnd /proc/1/status");
    let bounding = u64::from_str_radix(bounding.split_whitespace().nth(1).unwrap(), 16).unwrap();
    assert_eq!(bounding & (1 << 13 | 1 << 12 | 1 << 21 | 1 << 27), 0, "{bounding:x}");
    assert_ne!(bounding & (1 << 7), 0, "SETUID, for sudo: {bounding:x}");
    // 2: by a list of system calls
    assert_eq!(
        Fixture::shell(&started.id, "busybox grep -w Seccomp: /proc/1/status").split_whitespace().nth(1),
        Some("2")
    );
    let made = "busybox mknod /node c 1 1 2>&1 && echo made || echo refused";
    assert!(Fixture::shell(&started.id, made).ends_with("refused"));
    let mounts = inspect(&name, ".Mounts");
    assert!(mounts.contains("/opt/harbor") && mounts.contains("\"RW\":false"), "{mounts}");
    assert_eq!(mounts.matches("\"Destination\"").count(), 1, "{mounts}");
    let write = Fixture::shell(&started.id, "busybox touch /opt/harbor/x 2>&1 || echo refused");
    assert!(write.ends_with("refused"), "{write}");
    assert_eq!(Fixture::shell(&started.id, "busybox hostname"), started.id.to_string());
    fixture.finish().await;
}

#[tokio::test]
async fn infra_has_no_more_than_it_needs() {
    let fixture = Fixture::prepared().await;
    let id = fixture.spec().id;
    fixture.runner.reserve(&id).await.unwrap();
    let name = format!("harbor-infra-{id}");
    assert_eq!(inspect(&name, ".HostConfig.ReadonlyRootfs"), "true");
    assert_eq!(inspect(&name, ".HostConfig.SecurityOpt"), "[\"no-new-privileges\"]");
    let added = inspect(&name, ".HostConfig.CapAdd");
    assert!(
        added.contains("NET_ADMIN") && added.contains("DAC_OVERRIDE") && added.matches(',').count() == 1,
        "{added}"
    );
    let directory = fixture.run_directory().join(id.to_string());
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(directory).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o700);
    fixture.finish().await;
}

#[tokio::test]
async fn nothing_secret_is_in_inspect_or_the_environment() {
    let fixture = Fixture::prepared().await;
    let spec = fixture.spec();
    let container = fixture.runner.create(&spec).await.unwrap();
    fixture.runner.start(&spec.id, &container).await.unwrap();
    let token = "a-very-secret-token-0123456789";
    let mut configuration = configuration(token);
    configuration.env.insert("PASSWORD".to_owned(), "a-very-secret-password".to_owned());
    fixture.runner.configure(&spec.id, &container, &configuration).await.unwrap();
    for name in [format!("harbor-{}", spec.id), format!("harbor-infra-{}", spec.id)] {
        let shown = docker(&["inspect", &name]) + &docker(&["logs", &name]);
        assert!(!shown.contains("a-very-secret"), "{shown}");
    }
    let environ = Fixture::shell(&spec.id, "busybox cat /proc/1/environ /proc/1/cmdline 2>/dev/null || true");
    assert!(!environ.contains("a-very-secret"), "{environ}");
    assert!(!format!("{configuration:?}").contains(token));
    fixture.finish().await;
}

#[tokio::test]
async fn sandboxes_do_not_reach_each_other() {
    let fixture = Fixture::prepared().await;
    let (one, two) = (fixture.started().await, fixture.started().await);
    Fixture::shell(&one.id, "busybox httpd -p 0.0.0.0:3000 -h /");
    let address = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}";
    let address = docker(&["inspect", "--format", address, &format!("harbor-infra-{}", one.id)]);
    let reach = format!("busybox nc -w 3 {address} 3000 </dev/null && echo reached || echo refused");
    assert_eq!(Fixture::shell(&one.id, &reach), "reached", "the server itself works");
    assert_eq!(Fixture::shell(&two.id, &reach), "refused");
    fixture.finish().await;
}

#[tokio::test]
async fn servers_may_bind_the_ipv6_loopback() {
    let fixture = Fixture::prepared().await;
    let one = fixture.started().await;
    Fixture::shell(&one.id, "busybox httpd -p '[::1]:3000' -h /");
    let reach = "busybox nc -w 3 ::1 3000 </dev/null && echo reached || echo refused";
    assert_eq!(Fixture::shell(&one.id, reach), "reached");
    fixture.finish().await;
}

#[tokio::test]
async fn an_image_name_that_moved_is_noticed() {
    let fixture = Fixture::prepared().await;
    fixture.runner.create(&fixture.spec()).await.unwrap();
    let other = "FROM scratch\nENTRYPOINT [\"/other\"]\nWORKDIR /work\n";
    let build = format!("printf '{other}' | DOCKER_BUILDKIT=0 docker build -q -t {} -", fixture.image);
    assert!(std::process::Command::new("sh").args(["-c", &build]).output().unwrap().status.success());
    let spec = fixture.spec();
    let container = fixture.runner.create(&spec).await.unwrap();
    let facts = "{{index .Config.Labels \"harbor.entrypoint\"}} {{index .Config.Labels \"harbor.home-as-work-dir\"}} {{.Image}}";
    let image = docker(&["image", "inspect", "--format", "{{.Id}}", &fixture.image]);
    assert_eq!(docker(&["inspect", "--format", facts, container.as_str()]), format!("[\"/other\"] false {image}"));
    fixture.finish().await;
}

#[tokio::test]
async fn the_snapshots_entrypoint_goes_before_the_images() {
    let fixture = Fixture::prepared().await;
    let label = |name: &str, label: &str| {
        docker(&["inspect", "--format", &format!("{{{{index .Config.Labels \"{label}\"}}}}"), name])
    };
    let own = fixture.spec();
    fixture.runner.create(&own).await.unwrap();
    let name = format!("harbor-{}", own.id);
    assert_eq!(
        label(&name, "harbor.entrypoint"),
        r#"["/bin/busybox","sleep","1000"]"#,
        "the image's, without its command"
    );
    assert_eq!(label(&name, "harbor.home-as-work-dir"), "true");
    let other =
        SandboxSpec { entrypoint: ["/bin/busybox", "sleep", "2 0"].map(str::to_owned).to_vec(), ..fixture.spec() };
    fixture.runner.create(&other).await.unwrap();
    assert_eq!(label(&format!("harbor-{}", other.id), "harbor.entrypoint"), r#"["/bin/busybox","sleep","2 0"]"#);
    fixture.finish().await;
}
