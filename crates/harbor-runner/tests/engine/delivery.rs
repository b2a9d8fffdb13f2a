//! Toolbox and infra reach the engine, and are replaced there under running sandboxes.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use harbor_runner::EngineError;

use harbor_runner::fixture::{Fixture, configuration, docker, eventually, get};

/// A shell line in a container that may write to the toolbox volume.
fn in_volume(fixture: &Fixture, line: &str) -> String {
    let volume = format!("harbor-toolbox-{}:/v", fixture.instance);
    let run = ["run", "--rm", "--label", "harbor.test=1", "--network", "none", "-v", &volume, "--entrypoint"];
    docker(&[&run[..], &["/bin/busybox", &fixture.image, "sh", "-c", line]].concat())
}

/// The file that process 1 of a container runs, seen from outside: inside nobody may look.
fn process_1(name: &str) -> String {
    let pid = docker(&["inspect", "--format", "{{.State.Pid}}", name]);
    std::fs::read_link(format!("/proc/{pid}/exe")).unwrap().display().to_string()
}

#[tokio::test]
async fn an_upgrade_reaches_a_sandbox_at_its_next_start() {
    let fixture = Fixture::prepared().await;
    let current = in_volume(&fixture, "busybox readlink /v/current");
    // an older version is the current one
    in_volume(
        &fixture,
        "busybox cp -a /v/$(busybox readlink /v/current) /v/older; busybox ln -sfn older /v/current; \
        busybox rm -r /v/[0-9a-f]*[0-9a-f]; busybox mkdir /v/oldest; busybox dd if=/dev/zero of=/v/oldest/f bs=1M count=80",
    );
    let started = fixture.started().await;
    let (id, container) = (started.id, started.container);
    let path = || process_1(&format!("harbor-{id}"));
    assert!(path().contains("/older/"), "{}", path());
    assert_eq!(Fixture::serves(&fixture.runner, &id, 3000).await, "hello\n");

    fixture.runner.prepare().await.unwrap();
    assert_eq!(in_volume(&fixture, "busybox readlink /v/current"), current);
    assert_eq!(get(&fixture.runner, &id, 3000, "/greeting").await, "hello\n", "the running one is not disturbed");
    fixture.runner.configure(&id, &container, &configuration("token")).await.unwrap();
    assert!(path().contains("/older/"), "{}", path());

    fixture.runner.stop(&id, &container, Duration::from_secs(5)).await.unwrap();
    fixture.runner.start(&id, &container).await.unwrap();
    assert!(path().contains(&format!("/{current}/")), "{}", path());
    fixture.runner.configure(&id, &container, &configuration("token")).await.unwrap();
    fixture.finish().await;
}

#[tokio::test]
async fn damage_is_noticed_and_repaired() {
    let fixture = Fixture::prepared().await;
    let damages = [
        "echo x >> /v/current/harbor-toolbox",
        "busybox rm /v/current/harbor-infra",
        "busybox rm /v/current/daytona",
        "busybox chmod 644 /v/current/harbor-toolbox",
        "busybox ln -sfn /nowhere /v/current",
        "busybox rm -r /v/*",
    ];
    for damage in damages {
        in_volume(&fixture, damage);
        fixture.runner.prepare().await.unwrap();
        assert_eq!(in_volume(&fixture, "busybox readlink /v/current/daytona"), "harbor-toolbox");
        let started = fixture.started().await;
        fixture.runner.remove(&started.id).await.unwrap();
    }
    fixture.finish().await;
}

#[tokio::test]
async fn an_emptied_volume_is_filled_again_when_a_start_fails_for_it() {
    let fixture = Fixture::prepared().await;
    let spec = fixture.spec();
    in_volume(&fixture, "busybox rm -r /v/*");
    let container = fixture.runner.create(&spec).await.unwrap();
    in_volume(&fixture, "busybox rm -r /v/*");
    fixture.runner.start(&spec.id, &container).await.unwrap();
    fixture.runner.configure(&spec.id, &container, &configuration("token")).await.unwrap();
    fixture.finish().await;
}

/// Takes a lease on every file of the volume, as root in a sandbox could that has no list of system calls of harbor's own,
/// and never lets go. Ended when dropped.
struct Holder(Child);

impl Holder {
    fn of(fixture: &Fixture) -> Self {
        let volume = format!("harbor-toolbox-{}", fixture.instance);
        let directory = docker(&["volume", "inspect", "--format", "{{.Mountpoint}}", &volume]);
        let program = "import fcntl, os, signal, sys\nsignal.signal(signal.SIGIO, signal.SIG_IGN)\nheld = []\n\
            for folder, folders, names in os.walk(sys.argv[1]):\n  for name in names:\n    \
            file = os.open(os.path.join(folder, name), os.O_RDONLY)\n    \
            try: fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_WRLCK); held.append(name)\n    \
            except BlockingIOError: pass\nprint(*held, flush=True)\nsignal.pause()";
        let mut child =
            Command::new("python3").args(["-c", program, &directory]).stdout(Stdio::piped()).spawn().unwrap();
        let mut held = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut held).unwrap();
        assert!(held.contains("harbor-git"), "as root there is a lease on it: {held}");
        Self(child)
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

#[tokio::test]
async fn a_volume_that_somebody_holds_keeps_nobody_waiting() {
    let fixture = Fixture::prepared().await;
    let before = in_volume(&fixture, "busybox readlink /v/current");
    let holder = Holder::of(&fixture);

    let runner = fixture.again().await;
    let begun = Instant::now();
    runner.prepare().await.unwrap();
    // breaking a lease takes the kernel 45 s
    assert!(begun.elapsed() < Duration::from_secs(25), "{:?}", begun.elapsed());
    let after = in_volume(&fixture, "busybox readlink /v/current");
    assert!(after.starts_with(&format!("{before}-")), "{after} after {before}");
    let started = fixture.started().await;
    fixture.runner.stop(&started.id, &started.container, Duration::from_secs(5)).await.unwrap();

    let begun = Instant::now();
    fixture.again().await.prepare().await.unwrap();
    assert!(begun.elapsed() < Duration::from_secs(8), "the new directory is nobody's: {:?}", begun.elapsed());
    drop(holder);
    let delivery = format!("name=harbor-delivery-{}", fixture.instance);
    eventually("without containers that it was delivered with", async || {
        docker(&["ps", "-aq", "--filter", &delivery]).is_empty()
    })
    .await;
    fixture.finish().await;
}

#[tokio::test]
async fn preparing_again_starts_nothing() {
    let fixture = Fixture::with(None).await;
    let first = happened(&fixture, fixture.runner.prepare()).await;
    assert!(first.contains("start"), "delivered, and tried out: {first}");
    let again = fixture.again().await;
    let second = happened(&fixture, again.prepare()).await;
    assert!(!second.contains("start"), "a start takes longer than all the rest: {second}");
    fixture.finish().await;
}

/// What the engine tells of containers of this instance while `call` runs, one word per line.
async fn happened(fixture: &Fixture, call: impl Future<Output = Result<(), EngineError>>) -> String {
    let now = || docker(&["system", "info", "--format", "{{.SystemTime}}"]);
    let since = now();
    call.await.unwrap();
    let label = format!("label=harbor.instance={}", fixture.instance);
    docker(&["events", "--since", &since, "--until", &now(), "--filter", &label, "--format", "{{.Type}} {{.Action}}"])
}
