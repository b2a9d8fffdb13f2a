//! An instance of its own on the engine, with an image made on the spot.

use std::collections::BTreeMap;
use std::future::Future;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use bytes::Bytes;
use harbor_model::ids::{ContainerId, InstanceId, SandboxId};
use harbor_model::resources::Resources;
use harbor_model::secrets::Secret;
use harbor_runner::{Build, Config, Configuration, DockerEngine, SandboxSpec, Transport};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, UnixStream};

/// Debian's package `busybox-static`.
const BUSYBOX: &str = "/bin/busybox";

/// The entrypoint is there to be seen, the command to be dropped.
const DOCKERFILE: &str = "ARG path\nENV PATH=$path\nCOPY busybox /bin/busybox\nCOPY lower /lower\nEXPOSE 8080\n\
    HEALTHCHECK CMD false\nENTRYPOINT [\"/bin/busybox\", \"sleep\", \"1000\"]\nCMD [\"dropped\"]\n";

/// One instance.
pub(crate) struct Fixture {
    pub(crate) runner: DockerEngine,
    pub(crate) instance: InstanceId,
    pub(crate) image: String,
    directory: TempDir,
}

/// A sandbox that runs and is configured.
pub(crate) struct Started {
    pub(crate) id: SandboxId,
    pub(crate) container: ContainerId,
}

impl Fixture {
    /// Prepared to make sandboxes.
    pub(crate) async fn prepared() -> Self {
        let fixture = Self::with(None).await;
        fixture.runner.prepare().await.unwrap();
        fixture
    }

    /// Connected and with an image, nothing else.
    pub(crate) async fn with(transport: Option<Transport>) -> Self {
        Self::connected(transport, None).await
    }

    /// Connected over TCP, as to an engine of another machine, whose files are out of reach.
    pub(crate) async fn over_tcp() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("tcp://{}", listener.local_addr().unwrap());
        tokio::spawn(async move {
            while let Ok((mut near, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let mut far = UnixStream::connect(engine_socket()).await.unwrap();
                    let _either_end_may_close_first = tokio::io::copy_bidirectional(&mut near, &mut far).await;
                });
            }
        });
        Self::connected(Some(Transport::Passing), Some(address)).await
    }

    async fn connected(transport: Option<Transport>, docker_host: Option<String>) -> Self {
        let instance = InstanceId::random();
        let directory = tempfile::tempdir().unwrap();
        let config = Config { transport, docker_host, ..Config::new(instance, directory.path().join("run")) };
        let runner = DockerEngine::connect(config).await.unwrap();
        let image = format!("harbor-test/{instance}:1");
        let wanted = Build {
            tag: image.clone(),
            arguments: [("path".to_owned(), "/bin".to_owned())].into(),
            labels: [("harbor.test".to_owned(), "1".to_owned())].into(),
            ..Build::default()
        };
        let context = futures_util::stream::iter([Ok(Bytes::from(context(&instance)))]);
        let mut log = String::new();
        let built = runner.build(&wanted, Box::pin(context), |line| log.push_str(line)).await;
        built.unwrap_or_else(|error| panic!("{error}: {log}"));
        assert!(log.contains("COPY busybox"), "the build's log reaches the caller: {log}");
        Self { runner, instance, image, directory }
    }

    /// Another runner of the same instance, as after a restart of harbor: it remembers nothing.
    pub(crate) async fn again(&self) -> DockerEngine {
        DockerEngine::connect(Config::new(self.instance, self.run_directory())).await.unwrap()
    }

    pub(crate) fn run_directory(&self) -> std::path::PathBuf {
        self.directory.path().join("run")
    }

    /// Where layers are stored.
    pub(crate) fn layers(&self) -> std::path::PathBuf {
        self.directory.path().join("layers")
    }

    pub(crate) fn spec(&self) -> SandboxSpec {
        SandboxSpec {
            id: SandboxId::random(),
            image: self.image.clone(),
            filling: None,
            entrypoint: Vec::new(),
            resources: Resources { cpu: 1, memory_gib: 1, disk_gib: 3, gpu: 0 },
            link: None,
        }
    }

    pub(crate) async fn started(&self) -> Started {
        let spec = self.spec();
        let container = self.runner.create(&spec).await.unwrap();
        self.runner.start(&spec.id, &container).await.unwrap();
        self.runner.configure(&spec.id, &container, &configuration("token")).await.unwrap();
        Started { id: spec.id, container }
    }

    /// Runs a shell line in the sandbox, as its user, and returns what it says.
    pub(crate) fn shell(id: &SandboxId, line: &str) -> String {
        docker(&["exec", &format!("harbor-{id}"), "/bin/busybox", "sh", "-c", line])
    }

    /// Starts a web server on a loopback port and reads a file from it through the runner.
    pub(crate) async fn serves(runner: &DockerEngine, id: &SandboxId, port: u16) -> String {
        Self::shell(id, &format!("echo hello > /greeting; busybox httpd -p 127.0.0.1:{port} -h /"));
        get(runner, id, port, "/greeting").await
    }

    /// Removes all of it and makes sure that nothing is left.
    pub(crate) async fn finish(self) {
        self.runner.dismantle().await.unwrap();
        self.runner.dismantle().await.unwrap();
        docker(&["image", "rm", "-f", &self.image]);
        let label = format!("label=harbor.instance={}", self.instance);
        for what in [vec!["ps", "-aq"], vec!["volume", "ls", "-q"], vec!["network", "ls", "-q"]] {
            let left = docker(&[&what[..], &["--filter", &label]].concat());
            assert_eq!(left, "", "{what:?} still shows something of this instance");
        }
        let sockets = std::fs::read_dir(self.run_directory()).unwrap();
        let left: Vec<_> = sockets.map(|entry| entry.unwrap().file_name()).filter(|name| name != "engine").collect();
        assert!(left.is_empty(), "{left:?}");
    }
}

impl Drop for Fixture {
    /// A test that failed does not get to `finish`.
    fn drop(&mut self) {
        if !std::thread::panicking() {
            return;
        }
        let label = format!("harbor.instance={}", self.instance);
        let line = format!(
            "docker rm -fv $(docker ps -aq --filter label={label}); docker network rm $(docker network ls -q --filter \
             label={label}); docker volume rm $(docker volume ls -q --filter label={label}); docker image rm -f {}",
            self.image
        );
        let _best_effort = Command::new("sh").args(["-c", &line]).output();
    }
}

pub(crate) fn configuration(token: &str) -> Configuration {
    Configuration {
        token: Secret::new(token),
        previous: None,
        env: BTreeMap::from([("GREETING".to_owned(), "hello".to_owned())]),
    }
}

/// The engine under test.
fn engine_socket() -> String {
    let host = std::env::var("DOCKER_HOST").unwrap_or_default();
    host.strip_prefix("unix://").unwrap_or("/var/run/docker.sock").to_owned()
}

/// `GET` of a path over a dialled connection: the body.
pub(crate) async fn get(runner: &DockerEngine, id: &SandboxId, port: u16, path: &str) -> String {
    let mut stream = runner.dial(id, port).await.unwrap();
    stream.write_all(format!("GET {path} HTTP/1.0\r\n\r\n").as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer.split_once("\r\n\r\n").unwrap().1.to_owned()
}

/// Runs the engine's own client and returns its trimmed output.
#[track_caller]
pub(crate) fn docker(arguments: &[&str]) -> String {
    let output = Command::new("docker").args(arguments).output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "docker {arguments:?}: {error}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// Awaits a condition for up to ten seconds.
pub(crate) async fn eventually<F: Future<Output = bool>>(what: &str, mut condition: impl FnMut() -> F) {
    let started = Instant::now();
    while !condition().await {
        assert!(started.elapsed() < Duration::from_secs(10), "never {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A build context of an instance of its own: no two tests share cached layers, which one would remove under the other.
fn context(instance: &InstanceId) -> Vec<u8> {
    let dockerfile = format!("FROM scratch\nLABEL harbor.test.instance={instance}\n{DOCKERFILE}");
    let mut archive = tar::Builder::new(Vec::new());
    let mut file = |path: &str, bytes: &[u8], mode| {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(mode);
        archive.append_data(&mut header, path, bytes).unwrap();
    };
    file("Dockerfile", dockerfile.as_bytes(), 0o644);
    let busybox = std::fs::read(Path::new(BUSYBOX)).expect("Debian's busybox-static is installed");
    file("busybox", &busybox, 0o755);
    for name in ["kept", "deleted", "directory/one", "directory/two"] {
        file(&format!("lower/{name}"), name.as_bytes(), 0o644);
    }
    archive.into_inner().unwrap()
}
