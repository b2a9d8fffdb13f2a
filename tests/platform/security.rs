//! From the attacker's side: code in a sandbox, as its user and as root by `sudo`, and hostile requests.

use std::time::Duration;

use harbor_model::secrets::Secret;
use harbor_store::{EncryptionKey, Store};
use harbor_tests::{Harbor, Sandbox, docker, inspect, within};
use reqwest::Method;
use serde_json::json;
use tokio::net::TcpListener;

/// As the sandbox's user and as root.
const RIGHTS: [&str; 2] = ["", "sudo "];

/// Runs `program` in Python with each of [`RIGHTS`]; it must be refused: whatever it raises, it must not print `done`.
async fn assert_refused(sandbox: &Sandbox, what: &str, program: &str) {
    for rights in RIGHTS {
        let command = format!("{rights}timeout 10 python3 - <<'END' 2>&1\n{program}\nprint('d' + 'one')\nEND");
        let done = sandbox.run(&command).await;
        assert!(done.code != 0 && !done.output.contains("done"), "{what}, {rights}works: {}", done.output);
    }
}

/// The secret between harbor and the sandbox's toolbox, which nobody in the sandbox may see. It lies in the database,
/// encrypted.
async fn toolbox_token(harbor: &Harbor, sandbox: &Sandbox) -> String {
    let setting = async |key: &str| Secret::new(harbor.run(&["config", "get", key]).await.output.trim());
    let key =
        EncryptionKey::derive(&setting("daytona.encryption_key").await, &setting("daytona.encryption_salt").await);
    let store = Store::open(&harbor.data().join("harbor.db"), &key).expect("the database");
    let row = store.sandbox(sandbox.id.parse().expect("an id")).await.expect("an answer").expect("a row");
    row.toolbox_token.reveal().to_owned()
}

#[tokio::test]
async fn configure_is_harbors_alone() {
    let harbor = Harbor::shared().await;
    let sandbox = harbor.client().started().await;
    let attempt = |header: &str| {
        format!(
            "curl -s -o /dev/null -w '%{{http_code}}' -X POST http://127.0.0.1:2280/.harbor/configure {header} \
             -H 'Content-Type: application/json' -d '{{\"protocol\":1,\"sandbox\":\"{}\",\"token\":\"mine\"}}'",
            sandbox.id
        )
    };
    let guesses = ["", "-H 'x-harbor-token;'", "-H 'x-harbor-token: guessed'", "-H 'x-harbor-token: mine'"];
    for (guess, rights) in guesses.into_iter().flat_map(|guess| RIGHTS.map(|rights| (guess, rights))) {
        assert_eq!(sandbox.output(&format!("{rights}{}", attempt(guess))).await, "401", "{rights}{guess}");
    }
    let others = "curl -s -o /dev/null -w '%{http_code}' http://127.0.0.1:2280/work-dir";
    assert_eq!(sandbox.output(others).await, "401", "other routes without a token");
    assert_eq!(sandbox.output(&format!("{others} -H 'x-harbor-token: mine'")).await, "401");
    assert_eq!(sandbox.output("echo still harbors").await, "still harbors");
}

#[tokio::test]
async fn the_token_is_nowhere_to_be_found() {
    let harbor = Harbor::shared().await;
    let secret = "an-environment-secret-0123456789";
    let sandbox = harbor.client().started_as(&json!({"env": {"PASSWORD": secret}})).await;
    let token = toolbox_token(&harbor, &sandbox).await;
    for name in [sandbox.container(), sandbox.infra()] {
        let shown = docker(&["inspect", &name]).await + &docker(&["logs", &name]).await;
        assert!(!shown.contains(&token) && !shown.contains(secret), "{name}: docker shows it");
    }
    let log = harbor.log();
    assert!(!log.contains(&token) && !log.contains(secret) && !log.contains(harbor.client().key()), "the log has it");
    for rights in RIGHTS {
        // in two halves, so that the search does not find itself
        let (head, tail) = token.split_at(token.len() / 2);
        let search = format!(
            "{rights}python3 - <<'END'\nimport os\nneedle = ('{head}' + '{tail}').encode()\nfound = []\n\
             for top in ('/proc', '/home', '/tmp', '/run', '/var', '/etc', '/opt', '/dev/shm', '/root'):\n  \
             for folder, folders, names in os.walk(top):\n    \
             if folder.startswith('/proc/%d' % os.getpid()): continue\n    \
             for name in names:\n      path = os.path.join(folder, name)\n      \
             if name in ('kmsg', 'kcore', 'pagemap', 'clear_refs', 'mem') or not os.path.isfile(path): continue\n      \
             try:\n        with open(path, 'rb') as file:\n          \
             if needle in file.read(1 << 22): found.append(path)\n      except OSError: pass\nprint(found)\nEND"
        );
        // the shell's own input is the text of the search
        let found = sandbox.output(&search).await;
        assert_eq!(found, "[]", "{rights}");
        let environment = sandbox.output(&format!("{rights}env")).await;
        assert!(!environment.contains(&token), "{environment}");
        for file in ["environ", "mem", "maps", "fd/", "exe", "cwd/", "root/", "map_files/"] {
            let read = sandbox
                .run(&format!("{rights}ls -l /proc/1/{file} >/dev/null && {rights}head -c 1 /proc/1/{file}"))
                .await;
            assert_ne!(read.code, 0, "{rights}reads /proc/1/{file}: {}", read.output);
        }
    }
    let arguments = sandbox.output("tr '\\0' ' ' </proc/1/cmdline").await;
    assert_eq!(arguments.trim(), "/opt/harbor/current/harbor-toolbox");
    assert_refused(
        &sandbox,
        "tracing process 1",
        "import ctypes\nlibc = ctypes.CDLL(None, use_errno=True)\nassert libc.ptrace(16, 1, 0, 0) == 0",
    )
    .await;
    let vm_read = "import ctypes\nlibc = ctypes.CDLL(None, use_errno=True)\n\
                   class V(ctypes.Structure): _fields_ = [('b', ctypes.c_void_p), ('n', ctypes.c_size_t)]\n\
                   mine = ctypes.create_string_buffer(8)\n\
                   to, there = V(ctypes.addressof(mine), 8), V(0x400000, 8)\n\
                   libc.process_vm_readv(1, ctypes.byref(to), 1, ctypes.byref(there), 1, 0)\n\
                   assert ctypes.get_errno() != 1";
    assert_refused(&sandbox, "reading process 1's memory", vm_read).await;
}

#[tokio::test]
async fn the_network_cannot_be_changed_or_listened_to() {
    let harbor = Harbor::shared().await;
    let sandbox = harbor.client().started().await;
    let attempts = [
        ("a packet socket", "import socket\nsocket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))"),
        (
            "a cooked packet socket",
            "import socket\nsocket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(3))",
        ),
        ("a raw socket", "import socket\nsocket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_TCP)"),
        ("a raw IPv6 socket", "import socket\nsocket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_TCP)"),
        (
            "switching an interface off",
            "import fcntl, socket, struct\ns = socket.socket()\nfcntl.ioctl(s, 0x8914, struct.pack('16sH14x', b'lo', 0))",
        ),
        (
            "a firewall table",
            // NFT_MSG_NEWTABLE inside a batch, as nft sends it
            "import socket, struct\ns = socket.socket(16, socket.SOCK_RAW, 12)\ns.bind((0, 0))\ns.settimeout(2)\n\
             def m(t, f, q, d): return struct.pack('=IHHII', 16 + len(d), t, f, q, 0) + d\n\
             g = lambda family, res: struct.pack('>BBH', family, 0, res)\n\
             a = struct.pack('=HH', 8, 1) + b'own\\0'\n\
             s.send(m(16, 1, 0, g(0, 10)) + m(0x0a00, 0x405, 1, g(2, 0) + a) + m(17, 1, 2, g(0, 10)))\n\
             answer = s.recv(4096)\nassert struct.unpack_from('=i', answer, 16)[0] == 0, answer",
        ),
        (
            "another network namespace",
            "import ctypes, os\nlibc = ctypes.CDLL(None, use_errno=True)\nassert libc.unshare(0x40000000) == 0",
        ),
        ("a kernel setting", "open('/proc/sys/net/ipv4/ip_forward', 'w').write('1')"),
    ];
    for (what, program) in attempts {
        assert_refused(&sandbox, what, program).await;
    }
}

#[tokio::test]
async fn the_machine_is_out_of_reach() {
    let harbor = Harbor::shared().await;
    let sandbox = harbor.client().started().await;
    let attempts = [
        ("writing where harbor's binaries are", "open('/opt/harbor/x', 'w')"),
        ("writing over the toolbox", "open('/opt/harbor/current/harbor-toolbox', 'r+b')"),
        (
            "mounting it anew",
            "import ctypes\nlibc = ctypes.CDLL(None, use_errno=True)\nassert libc.mount(None, b'/opt/harbor', None, 32, None) == 0",
        ),
        (
            "mounting anything",
            "import ctypes\nlibc = ctypes.CDLL(None, use_errno=True)\nassert libc.mount(b'x', b'/mnt', b'tmpfs', 0, None) == 0",
        ),
        ("the magic key", "open('/proc/sysrq-trigger', 'w').write('s')"),
        ("the core pattern", "open('/proc/sys/kernel/core_pattern', 'w').write('|/x')"),
        (
            "the host's memory",
            "import os\nos.mknod('/tmp/mem', 0o20600, os.makedev(1, 1))\nopen('/tmp/mem', 'rb').read(1)",
        ),
        (
            "the host's disks",
            "import os\nfor major, minor in ((8, 0), (254, 0), (259, 0)):\n  try:\n    os.mknod('/tmp/disk%d' % major, 0o60600, os.makedev(major, minor))\n  \
             except PermissionError: continue\n  try:\n    open('/tmp/disk%d' % major, 'rb').read(1); break\n  except OSError: pass\nelse: raise SystemExit(1)",
        ),
        ("a release agent", "open('/sys/fs/cgroup/release_agent', 'r+').write('/x')"),
        ("a release agent of the first version", "open('/sys/fs/cgroup/memory/release_agent', 'r+').write('/x')"),
        ("its own limit", "open('/sys/fs/cgroup/memory/memory.limit_in_bytes', 'r+').write('-1')"),
        ("a kernel module", "import ctypes\nlibc = ctypes.CDLL(None)\nassert libc.syscall(313, 0, b'', 0) == 0"),
        ("the clock", "import time\ntime.clock_settime(time.CLOCK_REALTIME, time.time())"),
        ("the engine", "import socket\nsocket.socket(socket.AF_UNIX).connect('/var/run/docker.sock')"),
        ("infra's socket", "import socket\nsocket.socket(socket.AF_UNIX, 5).connect('/run/harbor/infra.sock')"),
    ];
    for (what, program) in attempts {
        assert_refused(&sandbox, what, program).await;
    }
    let sockets = sandbox.output("awk 'NR > 1 && $8 ~ /^@/ { print $8 }' /proc/net/unix").await;
    assert_eq!(sockets, "", "sockets that share its network namespace");
    let mounts = sandbox.output("awk '{ print $2 }' /proc/self/mounts").await;
    let strange: Vec<_> = mounts
        .lines()
        .filter(|place| !["/proc", "/sys", "/dev"].iter().any(|known| place.starts_with(known)))
        .filter(|place| !["/", "/opt/harbor", "/etc/resolv.conf", "/etc/hostname", "/etc/hosts"].contains(place))
        .collect();
    assert!(strange.is_empty(), "mounts from the host: {strange:?}");
    assert_eq!(sandbox.output("ps -e -o comm= | head -n 1").await, "harbor-toolbox", "processes of others");
}

/// Whether somebody in the sandbox reaches a TCP port: `open`, `refused` or `silent`.
async fn reach(sandbox: &Sandbox, address: &str, port: u16) -> String {
    let program = format!(
        "python3 -c '
import socket
try:
    socket.create_connection((\"{address}\", {port}), timeout=2).close(); print(\"open\")
except ConnectionRefusedError: print(\"refused\")
except OSError: print(\"silent\")'"
    );
    sandbox.output(&program).await
}

async fn address(sandbox: &Sandbox, field: &str) -> String {
    let networks = inspect(&sandbox.infra()).await["NetworkSettings"]["Networks"].clone();
    let network = networks.as_object().and_then(|all| all.values().next().cloned()).expect("a network");
    network[field].as_str().expect("an address").to_owned()
}

#[tokio::test]
async fn other_sandboxes_are_out_of_reach() {
    let harbor = Harbor::shared().await;
    let client = harbor.client();
    let (victim, attacker) = (client.started().await, client.started().await);
    victim.output("nohup python3 -m http.server --bind 0.0.0.0 3000 >/dev/null 2>&1 &").await;
    let (own, gateway) = (address(&victim, "IPAddress").await, address(&attacker, "Gateway").await);
    within(Duration::from_secs(10), "the server itself works", async || {
        let found = reach(&victim, &own, 3000).await;
        if found == "open" { Ok(()) } else { Err(found) }
    })
    .await;
    for port in [3000, 2280, 2279, 22] {
        let found = reach(&attacker, &own, port).await;
        assert_ne!(found, "open", "port {port} of another sandbox");
    }
    for port in [2280, 2279] {
        assert_ne!(
            reach(&attacker, &address(&attacker, "IPAddress").await, port).await,
            "open",
            "{port} is on loopback"
        );
        assert_ne!(reach(&attacker, &gateway, port).await, "open", "{port} of the gateway");
    }
    assert_eq!(reach(&attacker, "127.0.0.1", 2279).await, "refused", "infra's streaming port");
}

#[tokio::test]
async fn harbors_own_ports_are_out_of_reach() {
    let harbor = Harbor::shared().await;
    let client = harbor.client();
    let sandbox = client.started().await;
    let gateway = address(&sandbox, "Gateway").await;
    for authority in [client.authority(), client.proxy_authority()] {
        let port = authority.rsplit(':').next().and_then(|port| port.parse().ok()).expect("a port");
        assert_ne!(reach(&sandbox, &gateway, port).await, "open", "harbor listens on loopback only");
        assert_ne!(reach(&sandbox, "127.0.0.1", port).await, "open");
    }
}

#[tokio::test]
#[ignore = "infra applies no policy yet (design D5, D6): ports that the host opens on all addresses are reachable"]
async fn the_hosts_other_ports_are_out_of_reach() {
    let harbor = Harbor::shared().await;
    let sandbox = harbor.client().started().await;
    let gateway = address(&sandbox, "Gateway").await;
    let listener = TcpListener::bind("0.0.0.0:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    assert_ne!(reach(&sandbox, &gateway, port).await, "open", "a port of the host");
    assert_ne!(reach(&sandbox, "169.254.169.254", 80).await, "open", "metadata of a cloud");
}

#[tokio::test]
async fn files_are_read_with_the_users_rights() {
    let harbor = Harbor::shared().await;
    let sandbox = harbor.client().started().await;
    for path in
        ["/etc/shadow", "../../etc/shadow", "..%2F..%2Fetc%2Fshadow", "/proc/1/root/etc/shadow", "//etc//./shadow"]
    {
        let read = sandbox.toolbox(Method::GET, &format!("/files/download?path={path}"), None).await;
        assert!([400, 403, 404].contains(&read.status), "{path}: {read}");
        assert!(!read.body.to_string().contains("root:"), "{path}: {read}");
    }
    sandbox.output("ln -s /etc/shadow ~/link").await;
    let read = sandbox.toolbox(Method::GET, "/files/download?path=link", None).await;
    assert!([400, 403, 404].contains(&read.status), "{read}");
}

#[tokio::test]
async fn hostile_text_is_text() {
    let harbor = Harbor::shared().await;
    let client = harbor.client();
    let marker = harbor.place().join("marker");
    let hostile = format!(
        "'\"`touch {0}`$(touch {0});touch {0}|touch {0}&\nforged {{\"level\":\"ERROR\"}} \u{1b}[31m",
        marker.display()
    );
    let body = json!({
        "labels": {hostile.clone(): hostile.clone()},
        "env": {"HOSTILE": hostile, "LD_PRELOAD": "/nonexistent.so", "PATH": "/nonexistent", "BASH_ENV": "/etc/shadow"},
        "target": hostile,
    });
    let refused = client.ask(Method::POST, "/sandbox", Some(&json!({"user": hostile}))).await;
    assert_eq!(refused.status, 400, "a user that is not in the image: {refused}");
    let sandbox = client.created(&body).await;
    harbor_tests::state_within(Duration::from_secs(30), &sandbox, &["started"]).await;
    let told = sandbox.get().await;
    assert_eq!(told.body["labels"][&hostile], hostile.as_str());
    let seen = sandbox.run("export PATH=/usr/bin:/bin; unset LD_PRELOAD; printf %s \"$HOSTILE\"").await;
    assert!(seen.output.contains(&hostile), "{}", seen.output);
    let plain = client.started().await;
    assert_eq!(plain.output("echo works; echo ${HOSTILE:-none}").await, "works\nnone", "it stays in its sandbox");
    for name in [hostile.as_str(), "../../etc", "a/b", "%2e%2e", "", " "] {
        let made = client.ask(Method::POST, "/sandbox", Some(&json!({"name": name}))).await;
        assert!([200, 400].contains(&made.status), "{name:?}: {made}");
    }
    assert!(!marker.exists(), "a shell on the host has run it");
    for line in harbor.log().lines() {
        let parsed = serde_json::from_str::<serde_json::Value>(line);
        assert!(parsed.is_ok_and(|value| value.is_object()), "a forged line: {line}");
        assert!(!line.contains('\u{1b}'), "an escape sequence: {line}");
    }
}
