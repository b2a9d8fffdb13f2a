//! Infra in its container, beside a sandbox, on a real engine.
//!
//! Needs the static binary, as `scripts/build` makes it (or its path in `HARBOR_INFRA_BINARY`), Docker and a static busybox.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use harbor_protocol::infra::{Failure, Reply, Request, SOCKET, STREAM_PORT, TOKEN_FILE};
use rustix::fs::{Gid, Uid, chown};
use tempfile::TempDir;

use crate::client::{Client, greet, hello};

const TOKEN: &str = "99aabbccddeeff00112233445566778899";

/// Runs the Docker client; its output.
#[track_caller]
fn docker(arguments: &[&str]) -> String {
    let output = Command::new("docker").args(arguments).output().expect("docker is installed");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "docker {arguments:?}: {said}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// Two containers as harbor makes them; everything is removed when dropped.
struct Pair {
    name: String,
    /// `binaries/current/harbor-infra`, and the socket directory `run`.
    directory: TempDir,
}

impl Pair {
    /// Images and directories; no container yet.
    fn prepare(name: &str) -> Self {
        let pair = Self { name: format!("harbor-infra-test-{name}-{}", std::process::id()), directory: directory() };
        pair.import("empty", &[]);
        pair.import("busybox", &["-C", "/", "bin/busybox"]);
        pair
    }

    fn import(&self, kind: &str, content: &[&str]) {
        let archive = self.directory.path().join(format!("{kind}.tar"));
        let content = if content.is_empty() { &["--files-from", "/dev/null"] } else { content };
        let status = Command::new("tar").args(["--dereference", "-cf"]).arg(&archive).args(content).status().unwrap();
        assert!(status.success());
        let file = std::fs::File::open(archive).unwrap();
        let import = ["import", "--change", "LABEL harbor.test=1", "-", &self.image(kind)];
        let status = Command::new("docker").args(import).stdin(file).stdout(Stdio::null()).status().unwrap();
        assert!(status.success());
    }

    fn image(&self, kind: &str) -> String {
        format!("{}:{kind}", self.name)
    }

    fn container(&self, kind: &str) -> String {
        format!("{}-{kind}", self.name)
    }

    fn socket_directory(&self) -> PathBuf {
        self.directory.path().join("run")
    }

    /// Creates infra's container, with exactly the rights it is to have.
    fn create_infra(&self, options: &[&str]) {
        let binaries = format!("{}:/opt/harbor:ro", self.directory.path().join("binaries").display());
        let sockets = format!("{}:/run/harbor", self.socket_directory().display());
        let (name, image) = (self.container("infra"), self.image("empty"));
        let mut arguments = vec!["create", "--label", "harbor.test=1", "--name", &name];
        arguments.extend(["--cap-drop", "ALL", "--cap-add", "NET_ADMIN", "--cap-add", "DAC_OVERRIDE"]);
        arguments.extend(["-v", &binaries, "-v", &sockets]);
        arguments.extend(options);
        arguments.extend([image.as_str(), "/opt/harbor/current/harbor-infra"]);
        docker(&arguments);
    }

    /// Starts infra and waits until it answers.
    fn start_infra(&self) -> Client {
        docker(&["start", &self.container("infra")]);
        let deadline = Instant::now() + Duration::from_secs(5);
        loop {
            match Client::connect(&self.socket_directory()) {
                Ok(client) if matches!(client.ask(&Request::Ready).0, Reply::Ready { .. }) => return client,
                _ if Instant::now() > deadline => panic!("no answer: {}", docker(&["logs", &self.container("infra")])),
                _ => std::thread::sleep(Duration::from_millis(5)),
            }
        }
    }

    /// Runs a shell in a container that joins infra's network.
    fn sandbox(&self, kind: &str, script: &str) {
        let (name, network, image) =
            (self.container(kind), format!("container:{}", self.container("infra")), self.image("busybox"));
        let mut arguments = vec!["run", "-d", "--label", "harbor.test=1", "--name", &name, "--network", &network];
        arguments.extend([
            "--cap-drop",
            "ALL",
            "--user",
            "1000:1000",
            "--tmpfs",
            "/tmp",
            &image,
            "/bin/busybox",
            "sh",
            "-c",
            script,
        ]);
        docker(&arguments);
    }

    /// A line of infra's `/proc/…/status`.
    fn status(&self, field: &str) -> String {
        let process = docker(&["inspect", "--format", "{{.State.Pid}}", &self.container("infra")]);
        let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(field)).unwrap();
        line.trim_start_matches(':').trim().to_owned()
    }
}

impl Drop for Pair {
    fn drop(&mut self) {
        let quietly = |arguments: &[&str]| {
            let _best_effort =
                Command::new("docker").args(arguments).stdout(Stdio::null()).stderr(Stdio::null()).status();
        };
        for kind in ["server", "attacker", "infra"] {
            quietly(&["rm", "-f", &self.container(kind)]);
        }
        for kind in ["empty", "busybox"] {
            quietly(&["rmi", &self.image(kind)]);
        }
    }
}

/// The binary where the container looks for it, and a socket directory that is closed to infra's user by its mode.
fn directory() -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    let current = directory.path().join("binaries/current");
    std::fs::create_dir_all(&current).unwrap();
    std::fs::copy(binary(), current.join("harbor-infra")).unwrap();
    let sockets = directory.path().join("run");
    std::fs::create_dir(&sockets).unwrap();
    std::fs::set_permissions(&sockets, PermissionsExt::from_mode(0o700)).unwrap();
    if rustix::process::geteuid().is_root() {
        chown(&sockets, Some(Uid::from_raw(1000)), Some(Gid::from_raw(1000))).unwrap();
    }
    directory
}

fn binary() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let built = format!("target/embedded/{}-unknown-linux-gnu/embedded/harbor-infra", std::env::consts::ARCH);
    let path = std::env::var_os("HARBOR_INFRA_BINARY").map_or_else(|| root.join(built), PathBuf::from);
    assert!(path.exists(), "{} is missing: run scripts/build, or set HARBOR_INFRA_BINARY", path.display());
    path
}

/// Waits until a server answers on `port`.
#[track_caller]
fn wait_for_port(client: &Client, port: u16) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !matches!(client.ask(&Request::Dial { port }).0, Reply::Dialled) {
        assert!(Instant::now() < deadline, "nothing serves on port {port}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[track_caller]
fn check_get(mut stream: TcpStream) {
    stream.write_all(b"GET /where HTTP/1.0\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.ends_with("\r\n\r\nhere"), "{answer}");
}

/// Serves `/where` on these loopback addresses alone.
fn servers(addresses: &[&str]) -> String {
    let servers = addresses.iter().map(|address| format!("/bin/busybox httpd -p {address} -h /tmp; "));
    format!("echo -n here > /tmp/where; {} exec /bin/busybox sleep 1000", servers.collect::<String>())
}

#[test]
fn dials_servers_on_loopback_of_the_sandbox_beside_it() {
    let pair = Pair::prepare("passing");
    pair.create_infra(&["--network", "none", "--read-only", "--sysctl", "net.ipv6.conf.lo.disable_ipv6=0"]);
    let client = pair.start_infra();
    pair.sandbox("server", &servers(&["127.0.0.1:3000", "[::1]:3001"]));
    wait_for_port(&client, 3000);
    wait_for_port(&client, 3001);
    check_get(client.dial(3000));
    check_get(client.dial(3001));
    let mut times: Vec<_> = (0..200)
        .map(|_| {
            let begun = Instant::now();
            let stream = client.dial(3000);
            let took = begun.elapsed();
            check_get(stream); // or the server's short queue overflows, and TCP waits a second
            took
        })
        .collect();
    times.sort_unstable();
    let (median, slow) = (times[times.len() / 2], times[times.len() * 99 / 100]);
    println!("dial through infra: p50 {median:?}, p99 {slow:?}; RSS {}", pair.status("VmRSS"));
    assert!(median < Duration::from_millis(2), "p50 {median:?}");
    let resident: u32 = pair.status("VmRSS").trim_end_matches(" kB").parse().unwrap();
    assert!(resident <= 3 * 1024, "{resident} kB");
    assert_eq!(pair.status("CapEff"), "0000000000001000", "CAP_NET_ADMIN alone");
    assert_eq!(pair.status("CapPrm"), "0000000000001000", "CAP_NET_ADMIN alone");

    drop(client);
    let begun = Instant::now();
    docker(&["stop", "--time", "5", &pair.container("infra")]);
    println!("docker stop took {:?}", begun.elapsed());
    assert!(begun.elapsed() < Duration::from_secs(3), "process 1 did not heed SIGTERM");
    assert_eq!(docker(&["inspect", "--format", "{{.State.ExitCode}}", &pair.container("infra")]), "0");
    assert!(pair.socket_directory().join(SOCKET).exists(), "a stale socket is what the restart has to find");
    pair.start_infra();
}

#[test]
fn a_sandbox_cannot_keep_harbor_from_streaming() {
    let pair = Pair::prepare("streaming");
    let published = format!("127.0.0.1::{STREAM_PORT}");
    pair.create_infra(&["-p", &published]);
    let token = pair.directory.path().join("token");
    std::fs::write(&token, TOKEN).unwrap();
    let place = format!("{}:{TOKEN_FILE}", pair.container("infra"));
    docker(&["cp", token.to_str().unwrap(), &place]);
    let client = pair.start_infra();
    pair.sandbox("server", &servers(&["127.0.0.1:3000"]));
    wait_for_port(&client, 3000);
    let port = docker(&["port", &pair.container("infra"), &STREAM_PORT.to_string()]);
    let address: SocketAddr = port.lines().next().unwrap().parse().unwrap();

    let (reply, stream) = hello(address, TOKEN, Request::Dial { port: 3000 });
    assert_eq!(reply, Reply::Dialled);
    check_get(stream);
    assert!(is_unauthorized(&hello(address, "not the token at all", Request::Ready).0));

    // From here an early bird of harbor says nothing while the sandbox storms; its place is not the sandbox's to take.
    let early = TcpStream::connect(address).unwrap();
    let storm = "while :; do for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do \
                 /bin/busybox sleep 1 | /bin/busybox nc 127.0.0.1 2279 >/dev/null 2>&1 & done; wait; done";
    pair.sandbox("attacker", storm);
    std::thread::sleep(Duration::from_secs(2));
    assert!(is_open(&early), "the sandbox displaced a connection from outside");
    let begun = Instant::now();
    for _ in 0..20 {
        let (reply, stream) = hello(address, TOKEN, Request::Dial { port: 3000 });
        assert_eq!(reply, Reply::Dialled);
        check_get(stream);
        check_get(client.dial(3000));
    }
    println!("20 rounds under attack: {:?}", begun.elapsed());
    let (reply, _) = greet(address, b"nonsense\n");
    assert!(matches!(reply, Reply::Failed { reason: Failure::Unsupported, .. }));
}

fn is_unauthorized(reply: &Reply) -> bool {
    matches!(reply, Reply::Failed { reason: Failure::Unauthorized, .. })
}

/// Nothing, not even an end, can be read.
fn is_open(stream: &TcpStream) -> bool {
    stream.set_nonblocking(true).unwrap();
    stream.peek(&mut [0]).is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock)
}
