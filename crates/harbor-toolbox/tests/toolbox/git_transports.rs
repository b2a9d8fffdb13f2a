//! The ways to a remote: TLS, ssh, history cut short, much data, and a caller who goes away.

use std::io::Write as _;
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;

use serde_json::json;

use crate::client::{Toolbox, eventually};
use crate::git_engine::Engine;
use crate::git_remote::Remote;

with_both! {
    certificates_are_verified,
    ssh_is_the_images_own,
    history_can_be_cut_short,
    much_can_be_pushed,
    who_goes_away_ends_a_pull,
}

/// How many commits the history of a clone tells.
fn commits(toolbox: &Toolbox, path: &str) -> usize {
    toolbox.get(&format!("/git/history?path={path}")).json().as_array().unwrap().len()
}

fn certificates_are_verified(engine: Engine) {
    let toolbox = engine.toolbox_with_remote(5);
    let remote = Remote::encrypted(&toolbox, "ann:S3cretWord");
    let login = json!({"url": remote.url("x.git"), "path": "c", "username": "ann", "password": "S3cretWord"});
    let refused = toolbox.post("/git/clone", &login);
    assert_eq!(refused.refusal(), (502, "GIT_TRANSPORT_FAILED".to_owned()), "{refused:?}");
    assert_eq!(remote.seen(), "", "nothing is told to a server nobody vouches for");

    let mut careless = login.clone();
    careless["insecure_skip_tls"] = true.into();
    careless["path"] = "careless".into();
    toolbox.post("/git/clone", &careless).empty(200);
    toolbox.shell(&format!("git config --global http.sslCAInfo {}", remote.certificate().display()));
    toolbox.post("/git/clone", &login).empty(200);
    assert_eq!(commits(&toolbox, "c"), 5);

    if engine == Engine::BuiltIn {
        toolbox.shell("git config --global --unset http.sslCAInfo");
        let with = |file: &str| toolbox.set_environment(&json!({"PATH": "/nowhere", "SSL_CERT_FILE": file}));
        with(remote.certificate().to_str().unwrap());
        let order = json!({"url": remote.url("x.git"), "path": "d", "username": "ann", "password": "S3cretWord"});
        toolbox.post("/git/clone", &order).empty(200);
        with("/nowhere.pem");
        let refused = toolbox.post("/git/pull", &json!({"path": "d"}));
        assert_eq!(refused.status, 502);
        assert!(refused.message().contains("no certificate authority in /nowhere.pem"), "{refused:?}");
    }
}

fn ssh_is_the_images_own(engine: Engine) {
    let toolbox = engine.toolbox_with_remote(5);
    let machine = std::env::var("PATH").unwrap();
    // Connects to this machine, and notes what it was told.
    let script = format!(
        "#!/bin/sh\nexport PATH={machine}\necho \"$@\" >> {seen}\nfor word; do command=$word; done\n\
         case \"$*\" in *closed*) echo 'x@closed: Permission denied (publickey).' >&2; exit 255;; esac\n\
         exec sh -c \"$command\"\n",
        seen = toolbox.at("seen").display()
    );
    toolbox.write("bin/ssh", &script);
    std::fs::set_permissions(toolbox.at("bin/ssh"), std::fs::Permissions::from_mode(0o755)).unwrap();
    let path = engine.path(Some(toolbox.at("bin").to_str().unwrap()));
    toolbox.set_environment(&json!({"PATH": path}));

    let directory = toolbox.at("remotes").display().to_string();
    let url = format!("ssh://ann@host.example:2222{directory}/x.git");
    toolbox.post("/git/clone", &json!({"url": url, "path": "c", "depth": 2})).empty(200);
    assert_eq!(commits(&toolbox, "c"), 2);
    toolbox.post("/git/clone", &json!({"url": format!("ann@host.example:{directory}/x.git"), "path": "d"})).empty(200);
    toolbox.shell("cd d; git commit -q --allow-empty -m new");
    toolbox.post("/git/push", &json!({"path": "d"})).empty(200);
    toolbox.post("/git/pull", &json!({"path": "c"})).empty(200);
    assert_eq!(toolbox.shell("git -C c log -1 --format=%s"), "new\n");
    let seen = toolbox.shell("cat seen");
    let expected = format!("-p 2222 ann@host.example git-upload-pack '{directory}/x.git'");
    assert!(seen.contains(&expected), "{seen}");

    let closed = json!({"url": format!("x@closed:{directory}/x.git"), "path": "e"});
    assert_eq!(toolbox.post("/git/clone", &closed).refusal(), (401, "GIT_AUTH_FAILED".to_owned()));
    let missing = json!({"url": format!("ssh://h{directory}/none.git"), "path": "e"});
    assert_eq!(toolbox.post("/git/clone", &missing).refusal(), (404, "GIT_REPO_NOT_FOUND".to_owned()));
    assert!(!toolbox.at("e").exists());
}

fn history_can_be_cut_short(engine: Engine) {
    let toolbox = engine.toolbox_with_remote(5);
    let remote = Remote::start(&toolbox, "");
    toolbox.shell("git -C remotes/x.git config uploadpack.allowReachableSHA1InWant true");
    let first = toolbox.shell("git -C r rev-parse main~3").trim().to_owned();
    let file = format!("file://{}", toolbox.at("remotes/x.git").display());
    for (name, url) in [("web", remote.url("x.git")), ("file", file)] {
        toolbox.post("/git/clone", &json!({"url": url, "path": name, "depth": 2})).empty(200);
        assert_eq!(commits(&toolbox, name), 2, "{name}");
        assert_eq!(
            toolbox.shell(&format!("git -C {name} rev-list --count HEAD; git -C {name} fsck --no-dangling")),
            "2\n"
        );
        let at = format!("{name}-at");
        toolbox.post("/git/clone", &json!({"url": url, "path": at, "depth": 1, "commit_id": first})).empty(200);
        assert_eq!(toolbox.shell(&format!("cat {at}/a")), "2\n");
    }
    toolbox.shell("cd r; git commit -q --allow-empty -m six; git push -q ../remotes/x.git main");
    for name in ["web", "file"] {
        toolbox.post("/git/pull", &json!({"path": name})).empty(200);
        assert_eq!(commits(&toolbox, name), 3, "{name}");
    }
}

fn much_can_be_pushed(engine: Engine) {
    let toolbox = engine.toolbox_with_remote(5);
    let remote = Remote::start(&toolbox, "ann:S3cretWord");
    let login = json!({"path": "c", "url": remote.url("x.git"), "username": "ann", "password": "S3cretWord"});
    toolbox.post("/git/clone", &login).empty(200);
    toolbox.shell("cd c; head -c 8000000 /dev/urandom > big; git add big; git commit -qm big");
    toolbox.post("/git/push", &login).empty(200);
    let sizes = "git -C remotes/x.git cat-file -s main:big; git -C remotes/x.git fsck";
    assert_eq!(toolbox.shell(sizes), "8000000\n");
}

fn who_goes_away_ends_a_pull(engine: Engine) {
    let toolbox = engine.toolbox_with_remote(5);
    toolbox.post("/git/clone", &json!({"url": "remotes/x.git", "path": "c"})).empty(200);
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    toolbox.shell(&format!("git -C c remote set-url origin http://{}/x.git", silent.local_addr().unwrap()));
    let caller: TcpStream = toolbox.ask("POST", "/git/pull", json!({"path": "c"}).to_string().as_bytes());
    let (mut asked, _) = silent.accept().unwrap();
    assert!(!toolbox.children().is_empty());
    drop(caller);
    eventually("git to be ended", || toolbox.children().is_empty());
    // Whether this succeeds depends on when the connection's end arrives.
    let _ = asked.write_all(b"HTTP/1.1 404 Not Found\r\n\r\n");
}
