//! Git routes against real repositories, on disk and over HTTP (contract, toolbox §12): every case with the image's git
//! and with the one delivered beside the toolbox.

use serde_json::{Value, json};

use crate::client::Toolbox;
use crate::git_engine::Engine;
use crate::git_remote::Remote;

const LOGIN: &str = "ann:S3cretWord";

with_both! {
    a_private_remote_takes_the_login_and_nobody_else_sees_it,
    a_login_in_the_address_works_and_is_not_kept,
    a_redirect_does_not_carry_the_login_to_another_host,
    stored_credentials_are_used_when_none_are_given,
    a_clone_follows_one_branch_and_is_published,
    a_clone_can_stand_at_a_commit,
    a_failed_clone_leaves_nothing_behind,
    a_clone_keeps_the_files_that_are_there,
    pushes_say_why_they_are_refused,
    pulls_move_forward_or_not_at_all,
    branches_come_and_go,
    a_repository_begins_empty,
    paths_are_taken_literally_and_missing_ones_told,
    names_are_any_bytes,
    changes_can_be_taken_back,
    nothing_beyond_a_link_is_taken_back,
    remotes_and_settings_are_kept,
    what_git_refuses_is_the_callers_matter,
    a_remote_whose_head_leads_nowhere_is_not_empty,
    large_files_stay_pointers_where_nothing_fetches_them,
}

/// A toolbox with a remote of three commits and a clone of its `main` in `c`.
fn toolbox_with_clone(engine: Engine) -> Toolbox {
    let toolbox = engine.toolbox_with_remote(3);
    toolbox.post("/git/clone", &json!({"url": "remotes/x.git", "path": "c"})).empty(200);
    toolbox
}

fn status(toolbox: &Toolbox, path: &str) -> Value {
    let answer = toolbox.get(&format!("/git/status?path={path}"));
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()
}

#[track_caller]
fn refused(toolbox: &Toolbox, path: &str, body: &Value, status: u16, code: &str) {
    let answer = toolbox.post(path, body);
    assert_eq!(answer.refusal(), (status, code.to_owned()), "{path} {body} {answer:?}");
}

fn a_private_remote_takes_the_login_and_nobody_else_sees_it(engine: Engine) {
    let toolbox = engine.toolbox_with_remote(3);
    let remote = Remote::start(&toolbox, LOGIN);
    let url = remote.url("x.git");
    refused(&toolbox, "/git/clone", &json!({"url": url, "path": "c"}), 401, "GIT_AUTH_FAILED");
    let wrong = json!({"url": url, "path": "c", "username": "ann", "password": "WrongWord"});
    refused(&toolbox, "/git/clone", &wrong, 401, "GIT_AUTH_FAILED");
    assert!(!toolbox.post("/git/clone", &wrong).message().contains("WrongWord"));
    assert!(!toolbox.at("c").exists());

    // A helper of the user's must not learn it either.
    toolbox.shell("git config --global credential.helper store");
    let login = json!({"path": "c", "url": url, "username": "ann", "password": "S3cretWord"});
    toolbox.post("/git/clone", &login).empty(200);
    toolbox.shell("git -C c commit -q --allow-empty -m new");
    refused(&toolbox, "/git/push", &json!({"path": "c"}), 401, "GIT_AUTH_FAILED");
    toolbox.post("/git/push", &login).empty(200);
    toolbox.post("/git/pull", &login).empty(200);
    assert_eq!(toolbox.shell("git -C remotes/x.git log -1 --format=%s main"), "new\n");
    assert!(remote.seen().contains("authorization: yes"));
    assert!(!remote.seen().contains("leak"), "{}", remote.seen());
    assert_eq!(toolbox.shell("grep -rl S3cretWord c .git-credentials .gitconfig 2>&1 | grep -v 'No such' || true"), "");
}

fn a_login_in_the_address_works_and_is_not_kept(engine: Engine) {
    let toolbox = engine.toolbox_with_remote(3);
    let remote = Remote::start(&toolbox, LOGIN);
    let url = remote.url_with("ann:S3cretWord", "x.git");
    toolbox.post("/git/clone", &json!({"url": url, "path": "c"})).empty(200);
    let remotes = toolbox.get("/git/remotes?path=c").json();
    assert_eq!(remotes, json!({"remotes": [{"name": "origin", "url": remote.url("x.git")}]}));
    assert!(!remote.seen().contains("leak"), "{}", remote.seen());
    let missing = json!({"url": remote.url_with("ann:S3cretWord", "none.git"), "path": "n"});
    let answer = toolbox.post("/git/clone", &missing);
    assert_eq!(answer.refusal(), (404, "GIT_REPO_NOT_FOUND".to_owned()));
    assert!(!answer.message().contains("S3cret"), "{answer:?}");
}

fn a_redirect_does_not_carry_the_login_to_another_host(engine: Engine) {
    let toolbox = engine.toolbox_with_remote(3);
    let other = Remote::start(&toolbox, LOGIN);
    let first = Remote::redirecting(&toolbox, &other);
    let order = json!({"url": first.url("x.git"), "path": "c", "username": "ann", "password": "S3cretWord"});
    refused(&toolbox, "/git/clone", &order, 401, "GIT_AUTH_FAILED");
    assert!(other.seen().contains("authorization: no") && !other.seen().contains("authorization: yes"));
}

fn stored_credentials_are_used_when_none_are_given(engine: Engine) {
    let toolbox = engine.toolbox_with_remote(3);
    let remote = Remote::start(&toolbox, LOGIN);
    let host = remote.url("").trim_start_matches("http://").trim_end_matches('/').to_owned();
    let login = json!({"username": "ann", "password": "S3cretWord", "host": host, "protocol": "http"});
    toolbox.post("/git/credentials", &login).empty(200);
    toolbox.post("/git/credentials", &login).empty(200);
    assert_eq!(toolbox.shell("git config --global --get-all credential.helper"), "store\n");
    toolbox.post("/git/clone", &json!({"url": remote.url("x.git"), "path": "c"})).empty(200);
    assert!(!remote.seen().contains("leak"), "{}", remote.seen());
    refused(&toolbox, "/git/credentials", &json!({"username": "a", "password": "b\nc"}), 400, "BAD_REQUEST");
}

fn a_clone_follows_one_branch_and_is_published(engine: Engine) {
    let toolbox = toolbox_with_clone(engine);
    let expected = json!({"currentBranch": "main", "fileStatus": [], "branchPublished": true, "ahead": 0, "behind": 0,
                          "upstream": "origin/main", "detached": false});
    assert_eq!(status(&toolbox, "c"), expected);
    assert_eq!(
        toolbox.shell("git -C c branch -r --format='%(refname)'").trim(),
        "refs/remotes/origin/HEAD\nrefs/remotes/origin/main"
    );
    toolbox.post("/git/clone", &json!({"url": "remotes/x.git", "path": "e/f", "branch": "dev", "depth": 1})).empty(200);
    assert_eq!(toolbox.get("/git/history?path=e/f").json().as_array().unwrap().len(), 1);
    let branches = json!({"branches": ["dev"], "current": "dev"});
    assert_eq!(toolbox.get("/git/branches?path=e/f").json(), branches);
}

fn a_clone_can_stand_at_a_commit(engine: Engine) {
    let toolbox = toolbox_with_clone(engine);
    let commit = toolbox.shell("git -C r rev-parse main~1").trim().to_owned();
    let order = |path: &str, commit: &str| json!({"url": "remotes/x.git", "path": path, "commit_id": commit});
    toolbox.post("/git/clone", &order("at", &commit)).empty(200);
    assert_eq!(toolbox.shell("cat at/a"), "2\n");
    assert_eq!(status(&toolbox, "at")["currentBranch"], "HEAD");
    let unreachable = toolbox.shell("git -C r rev-parse dev").trim().to_owned();
    for (path, commit) in [("u", unreachable.as_str()), ("v", &"0".repeat(40)), ("w", &commit[..8])] {
        refused(&toolbox, "/git/clone", &order(path, commit), 404, "NOT_FOUND");
        assert_eq!(status(&toolbox, path)["currentBranch"], "main", "the clone stays");
    }
}

fn a_failed_clone_leaves_nothing_behind(engine: Engine) {
    let toolbox = engine.toolbox_with_remote(3);
    toolbox.shell("mkdir empty; git init -q --bare remotes/empty.git");
    let before = toolbox.shell("find . -not -path './remotes*' | sort");
    for (url, branch, code) in [
        ("remotes/none.git", "", (404, "GIT_REPO_NOT_FOUND")),
        ("./remotes/none.git", "", (404, "GIT_REPO_NOT_FOUND")),
        ("remotes/empty.git", "", (404, "GIT_REPO_NOT_FOUND")),
        ("remotes/x.git", "none", (404, "GIT_BRANCH_NOT_FOUND")),
        ("remotes/x.git", "v1", (404, "GIT_BRANCH_NOT_FOUND")),
        ("http://127.0.0.1:1/x.git", "", (502, "GIT_TRANSPORT_FAILED")),
        ("http://host.invalid/x.git", "", (502, "GIT_TRANSPORT_FAILED")),
        ("ext::sh -c touch% hacked", "", (502, "GIT_TRANSPORT_FAILED")),
        ("--upload-pack=touch hacked", "", (400, "BAD_REQUEST")),
    ] {
        for path in ["n/e/w", "empty"] {
            // Without a scheme, what is no directory here is taken for a host.
            let url = if url == "remotes/none.git" {
                format!("file://{}", toolbox.at(url).display())
            } else {
                url.to_owned()
            };
            refused(&toolbox, "/git/clone", &json!({"url": url, "path": path, "branch": branch}), code.0, code.1);
        }
    }
    assert_eq!(toolbox.shell("find . -not -path './remotes*' | sort"), before);
    refused(&toolbox, "/git/clone", &json!({"url": "remotes/x.git", "path": "r"}), 409, "CONFLICT");
}

fn a_clone_keeps_the_files_that_are_there(engine: Engine) {
    let toolbox = engine.toolbox_with_remote(3);
    toolbox.write("c/k", "keep");
    toolbox.write("c/a", "mine");
    toolbox.post("/git/clone", &json!({"url": "remotes/x.git", "path": "c", "branch": "dev"})).empty(200);
    assert_eq!(toolbox.shell("cd c; cat k a d; ls -A | sort"), "keepminedev\n.git\na\nd\nk\n");
    let files = status(&toolbox, "c")["fileStatus"].clone();
    let expected = json!([{"name": "a", "extra": "", "staging": "Unmodified", "worktree": "Modified"},
                          {"name": "k", "extra": "", "staging": "Untracked", "worktree": "Untracked"}]);
    assert_eq!(files, expected);
}

fn pushes_say_why_they_are_refused(engine: Engine) {
    let toolbox = toolbox_with_clone(engine);
    toolbox.shell("git clone -q remotes/x.git o; cd o; git commit -q --allow-empty -m other; git push -q; cd ../c; git commit -q --allow-empty -m mine");
    refused(&toolbox, "/git/push", &json!({"path": "c"}), 409, "GIT_PUSH_REJECTED");
    refused(&toolbox, "/git/push", &json!({"path": "c", "branch": "none"}), 404, "GIT_BRANCH_NOT_FOUND");
    refused(&toolbox, "/git/push", &json!({"path": "c", "remote": "none"}), 404, "NOT_FOUND");
    toolbox.post("/git/branches", &json!({"path": "c", "name": "new"})).empty(201);
    toolbox.post("/git/push", &json!({"path": "c"})).empty(200);
    assert_eq!(status(&toolbox, "c")["branchPublished"], false);
    toolbox
        .post("/git/push", &json!({"path": "c", "set_upstream": true, "remote": "origin", "branch": "new"}))
        .empty(200);
    assert_eq!(status(&toolbox, "c")["upstream"], "origin/new");
    toolbox.shell("cd remotes/x.git/hooks; printf '#!/bin/sh\\necho closed >&2; exit 1\\n' > pre-receive; chmod +x pre-receive; git -C ../../../c commit -q --allow-empty -m x");
    refused(&toolbox, "/git/push", &json!({"path": "c"}), 422, "GIT_REMOTE_REJECTED");
    toolbox.shell("git -C c checkout -q --detach");
    refused(&toolbox, "/git/push", &json!({"path": "c"}), 409, "CONFLICT");
}

fn pulls_move_forward_or_not_at_all(engine: Engine) {
    let toolbox = toolbox_with_clone(engine);
    let pull = json!({"path": "c"});
    toolbox.shell("git clone -q remotes/x.git o; cd o; echo 4 > a; git commit -qam four; git push -q");
    toolbox.write("c/a", "dirty");
    refused(&toolbox, "/git/pull", &pull, 409, "GIT_DIRTY_WORKTREE");
    toolbox.shell("git -C c checkout -q a");
    toolbox.post("/git/pull", &pull).empty(200);
    assert_eq!(toolbox.shell("cat c/a"), "4\n");
    toolbox.write("c/a", "dirty");
    toolbox.post("/git/pull", &pull).empty(200);
    toolbox.shell("git -C c checkout -q a; cd o; echo 5 > a; git commit -qam five; git push -q; cd ../c; git commit -q --allow-empty -m mine");
    refused(&toolbox, "/git/pull", &pull, 409, "GIT_MERGE_CONFLICT");
    assert_eq!((&status(&toolbox, "c")["ahead"], &status(&toolbox, "c")["behind"]), (&json!(1), &json!(1)));
    refused(&toolbox, "/git/pull", &json!({"path": "c", "branch": "none"}), 404, "GIT_BRANCH_NOT_FOUND");
    refused(&toolbox, "/git/pull", &json!({"path": "c", "remote": "none"}), 404, "NOT_FOUND");
    toolbox.shell("git -C c checkout -q --detach HEAD~2");
    toolbox.post("/git/pull", &pull).empty(200);
    assert_eq!(toolbox.shell("cat c/a"), "5\n", "a detached head follows the remote's head");
}

fn branches_come_and_go(engine: Engine) {
    let toolbox = toolbox_with_clone(engine);
    let named = |name: &str| json!({"path": "c", "name": name, "branch": name});
    toolbox.write("c/a", "changed");
    toolbox.post("/git/branches", &named("new")).empty(201);
    assert_eq!(toolbox.shell("cat c/a; git -C c branch --show-current"), "changednew\n", "changes come along");
    refused(&toolbox, "/git/branches", &named("main"), 409, "GIT_BRANCH_EXISTS");
    refused(&toolbox, "/git/branches", &named("a..b"), 400, "BAD_REQUEST");
    refused(&toolbox, "/git/branches", &named("--orphan"), 400, "BAD_REQUEST");
    refused(&toolbox, "/git/checkout", &named("main"), 409, "GIT_DIRTY_WORKTREE");
    refused(&toolbox, "/git/checkout", &named("none"), 404, "GIT_BRANCH_NOT_FOUND");
    toolbox.shell("git -C c checkout -q a; git -C c fetch -q origin +refs/heads/*:refs/remotes/origin/*");
    assert_eq!(toolbox.delete_with("/git/branches", &named("new")).refusal(), (409, "CONFLICT".to_owned()));
    toolbox.post("/git/checkout", &named("origin/dev")).empty(200);
    assert_eq!(
        (status(&toolbox, "c")["currentBranch"].as_str(), status(&toolbox, "c")["upstream"].as_str()),
        (Some("dev"), Some("origin/dev"))
    );
    toolbox.delete_with("/git/branches", &named("new")).empty(204);
    assert_eq!(toolbox.delete_with("/git/branches", &named("new")).refusal(), (404, "GIT_BRANCH_NOT_FOUND".to_owned()));
    assert_eq!(toolbox.get("/git/branches?path=c").json(), json!({"branches": ["dev", "main"], "current": "dev"}));
}

fn a_repository_begins_empty(engine: Engine) {
    let toolbox = engine.toolbox();
    toolbox.post("/git/init", &json!({"path": "n/r", "initial_branch": "trunk"})).empty(201);
    toolbox.post("/git/init", &json!({"path": "n/r", "initial_branch": "other"})).empty(201);
    assert_eq!(
        (status(&toolbox, "n/r")["currentBranch"].as_str(), status(&toolbox, "n/r")["detached"].as_bool()),
        (Some("trunk"), Some(false))
    );
    assert_eq!(toolbox.get("/git/branches?path=n/r").json(), json!({"branches": [], "current": "trunk"}));
    assert_eq!(toolbox.get("/git/history?path=n/r").refusal().0, 404);
    assert_eq!(toolbox.post("/git/branches", &json!({"path": "n/r", "name": "x"})).status, 404);
    let commit = json!({"path": "n/r", "message": "m ", "author": "Änn", "email": "a@e"});
    refused(&toolbox, "/git/commit", &commit, 409, "CONFLICT");
    toolbox.write("n/r/f", "1");
    toolbox.post("/git/add", &json!({"path": "n/r", "files": ["."]})).empty(200);
    let hash = toolbox.post("/git/commit", &commit).json()["hash"].clone();
    let history = toolbox.get("/git/history?path=n/r").json();
    let expected =
        json!({"hash": hash, "author": "Änn", "email": "a@e", "message": "m ", "timestamp": history[0]["timestamp"]});
    assert_eq!(history, json!([expected]));
    toolbox.write("n/r/g", "untracked");
    refused(&toolbox, "/git/commit", &commit, 409, "CONFLICT");
    let mut empty = commit.clone();
    empty["allow_empty"] = true.into();
    assert_eq!(toolbox.post("/git/commit", &empty).status, 200);
    toolbox.post("/git/init", &json!({"path": "b.git", "bare": true})).empty(201);
    assert_eq!(toolbox.shell("git -C b.git rev-parse --is-bare-repository"), "true\n");
    assert_eq!(toolbox.get("/git/status?path=n").refusal(), (404, "GIT_REPO_NOT_FOUND".to_owned()));
    toolbox.shell("mkdir n/r/d");
    assert_eq!(toolbox.get("/git/status?path=n/r/d").refusal().0, 404, "parents are not searched");
    assert_eq!(toolbox.get("/git/status").refusal(), (400, "BAD_REQUEST".to_owned()));
    let answer = toolbox.post("/git/add", &json!({"path": "n/r"}));
    assert!(answer.message().starts_with("invalid body request: invalid request body: "), "{answer:?}");
}

fn paths_are_taken_literally_and_missing_ones_told(engine: Engine) {
    let toolbox = toolbox_with_clone(engine);
    toolbox.shell("cd c; touch 'x*' xy; printf '*.log\\n' > .gitignore; touch z.log");
    toolbox.post("/git/add", &json!({"path": "c", "files": ["x*"]})).empty(200);
    assert_eq!(toolbox.shell("git -C c diff --cached --name-only"), "x*\n");
    refused(&toolbox, "/git/add", &json!({"path": "c", "files": ["none"]}), 404, "FILE_NOT_FOUND");
    refused(&toolbox, "/git/add", &json!({"path": "c", "files": ["/etc/passwd"]}), 400, "BAD_REQUEST");
    refused(&toolbox, "/git/add", &json!({"path": "c", "files": ["../r/a"]}), 400, "BAD_REQUEST");
    refused(&toolbox, "/git/add", &json!({"path": "c", "files": ["z.log"]}), 400, "BAD_REQUEST");
}

fn names_are_any_bytes(engine: Engine) {
    let toolbox = toolbox_with_clone(engine);
    let staged = || toolbox.shell("git -C c diff --cached --name-status");
    toolbox.shell("cd c; mkdir \"$(printf 'd\\351')\"; echo x > \"$(printf 'd\\351/caf\\351')\"");
    toolbox.post("/git/add", &json!({"path": "c", "files": ["."]})).empty(200);
    assert_eq!(staged(), "A\t\"d\\351/caf\\351\"\n");
    toolbox.post("/git/reset", &json!({"path": "c", "files": ["."]})).empty(200);
    assert_eq!(staged(), "");
    toolbox.shell("cd c; git add .; git commit -qm bytes; echo y > \"$(printf 'd\\351/caf\\351')\"");
    toolbox.post("/git/restore", &json!({"path": "c", "files": ["."]})).empty(200);
    assert_eq!(toolbox.shell("cd c; cat d*/caf*; git status --short"), "x\n");
    toolbox.shell("cd c; rm d*/caf*");
    toolbox.post("/git/add", &json!({"path": "c", "files": ["."]})).empty(200);
    assert_eq!(staged(), "D\t\"d\\351/caf\\351\"\n");
    toolbox.post("/git/reset", &json!({"path": "c", "mode": "hard", "target": "HEAD~1"})).empty(200);
    assert_eq!(toolbox.shell("cd c; git status --short; git ls-files"), "a\n");
}

fn nothing_beyond_a_link_is_taken_back(engine: Engine) {
    let toolbox = toolbox_with_clone(engine);
    toolbox.shell("cd c; mkdir e; echo x > e/f; git add e; git commit -qm e; git branch old HEAD~1");
    toolbox.shell("mkdir other; echo mine > other/f");
    let restore = |more: Value| {
        let mut order = json!({"path": "c", "files": ["e"], "source": "old"});
        order.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        ("/git/restore", order)
    };
    for (route, order) in [
        restore(json!({})),
        restore(json!({"staged": true, "worktree": true})),
        ("/git/reset", json!({"path": "c", "mode": "hard", "target": "old"})),
    ] {
        toolbox.shell("cd c; git checkout -q main; rm -rf e; ln -s ../other e");
        toolbox.post(route, &order).empty(200);
        let left = toolbox.shell("cat other/f c/e/f 2>&1; readlink c/e");
        assert_eq!(left, "mine\nmine\n../other\n", "{route} {order}");
    }
}

fn changes_can_be_taken_back(engine: Engine) {
    let toolbox = toolbox_with_clone(engine);
    let state =
        || toolbox.shell("cd c; cat a; git diff --name-only; git diff --cached --name-only; git rev-list --count HEAD");
    toolbox.shell("cd c; echo x > a; git add a");
    toolbox.post("/git/reset", &json!({"path": "c", "files": ["a"]})).empty(200);
    assert_eq!(state(), "x\na\n3\n");
    toolbox.post("/git/restore", &json!({"path": "c", "files": ["a"]})).empty(200);
    assert_eq!(state(), "3\n3\n");
    toolbox.shell("cd c; echo x > a; git add a");
    toolbox.post("/git/restore", &json!({"path": "c", "files": ["a"], "staged": true, "worktree": true})).empty(200);
    assert_eq!(state(), "3\n3\n");
    toolbox.post("/git/restore", &json!({"path": "c", "files": ["a"], "source": "HEAD~1"})).empty(200);
    assert_eq!(state(), "2\na\n3\n");
    toolbox.post("/git/reset", &json!({"path": "c", "mode": "hard", "target": "HEAD~1"})).empty(200);
    assert_eq!(state(), "2\n2\n");
    toolbox.post("/git/reset", &json!({"path": "c", "mode": "soft", "target": "HEAD~1"})).empty(200);
    assert_eq!(state(), "2\na\n1\n");
    refused(&toolbox, "/git/reset", &json!({"path": "c", "mode": "worse"}), 400, "BAD_REQUEST");
    refused(&toolbox, "/git/reset", &json!({"path": "c", "target": "none"}), 404, "GIT_BRANCH_NOT_FOUND");
    refused(&toolbox, "/git/reset", &json!({"path": "c", "mode": "hard", "files": ["a"]}), 400, "BAD_REQUEST");
    refused(&toolbox, "/git/restore", &json!({"path": "c", "files": ["none"]}), 404, "FILE_NOT_FOUND");
    refused(&toolbox, "/git/restore", &json!({"path": "c"}), 400, "INVALID_REQUEST_BODY");
}

fn remotes_and_settings_are_kept(engine: Engine) {
    let toolbox = toolbox_with_clone(engine);
    let remote = |url: &str, more: Value| {
        let mut order = json!({"path": "c", "name": "up", "url": url});
        order.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        order
    };
    let url = toolbox.at("remotes/x.git").display().to_string();
    toolbox.post("/git/remotes", &remote(&url, json!({"fetch": true}))).empty(201);
    assert_eq!(toolbox.shell("git -C c rev-parse --verify -q up/dev").len(), 41);
    refused(&toolbox, "/git/remotes", &remote("/other", json!({})), 409, "CONFLICT");
    toolbox.post("/git/remotes", &remote("/other", json!({"overwrite": true}))).empty(201);
    refused(&toolbox, "/git/remotes", &json!({"path": "c", "name": "a b", "url": "x"}), 400, "BAD_REQUEST");
    let names: Vec<_> = toolbox.get("/git/remotes?path=c").json()["remotes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|remote| remote["name"].clone())
        .collect();
    assert_eq!(names, ["origin", "up"]);
    assert_eq!(toolbox.get("/git/remotes?path=r").json(), json!({"remotes": []}));

    let value = |query: &str| toolbox.get(&format!("/git/config?{query}")).json();
    assert_eq!(value("key=a.none"), json!({"value": null}));
    toolbox.post("/git/config", &json!({"key": "a.b", "value": "-x\n y"})).empty(200);
    assert_eq!(value("key=a.b"), json!({"value": "-x\n y"}));
    toolbox.post("/git/config", &json!({"key": "a.b", "value": "here", "scope": "local", "path": "c"})).empty(200);
    assert_eq!(
        (value("key=a.b&scope=local&path=c"), value("key=a.b&path=c")),
        (json!({"value": "here"}), json!({"value": "-x\n y"}))
    );
    toolbox.post("/git/config/user", &json!({"name": "Ann", "email": "a@e", "scope": "local", "path": "c"})).empty(200);
    assert_eq!(toolbox.shell("git -C c config user.name; git -C r config user.name"), "Ann\nT\n");
    for query in ["key=a.b&scope=local", "key=a.b&scope=none", "key=nosection", ""] {
        assert_eq!(toolbox.get(&format!("/git/config?{query}")).refusal(), (400, "BAD_REQUEST".to_owned()), "{query}");
    }
}

#[test]
fn without_git_the_answer_says_so() {
    let toolbox = Toolbox::alone();
    for order in [json!({"path": "r"}), json!({"path": "r", "initial_branch": "main"})] {
        let answer = toolbox.post("/git/init", &order);
        assert_eq!(answer.status, 501);
        assert!(answer.message().contains("install it"), "{answer:?}");
    }
    assert!(!toolbox.at("r").exists());
}

fn what_git_refuses_is_the_callers_matter(engine: Engine) {
    let toolbox = toolbox_with_clone(engine);
    let branch = |name: &str| json!({"path": "c", "name": name});
    assert_eq!(toolbox.post("/git/branches", &branch("feature")).status, 201);
    refused(&toolbox, "/git/branches", &branch("feature/x"), 409, "CONFLICT");

    toolbox.shell("cd c; git checkout -q main; git worktree add -q ../held feature");
    let held = toolbox.post("/git/checkout", &json!({"path": "c", "branch": "feature"}));
    assert_eq!(held.refusal(), (409, "CONFLICT".to_owned()));
    assert!(held.message().contains("held"), "{}", held.message());

    toolbox.shell(
        "cd c; echo x > a; git commit -qam x; git checkout -q -b other HEAD~1; echo y > a; git commit -qam y
         ! git merge -q main",
    );
    refused(&toolbox, "/git/branches", &branch("new"), 409, "GIT_MERGE_CONFLICT");
    toolbox.shell("cd c; git merge --abort; mkdir empty; git init -q empty");
    let folder = toolbox.post("/git/add", &json!({"path": "c", "files": ["empty"]}));
    assert_eq!(folder.refusal(), (400, "BAD_REQUEST".to_owned()), "{folder:?}");
}

fn a_remote_whose_head_leads_nowhere_is_not_empty(engine: Engine) {
    let toolbox = engine.toolbox_with_remote(1);
    toolbox.shell("git -C remotes/x.git symbolic-ref HEAD refs/heads/none");
    let clone = json!({"url": "remotes/x.git", "path": "c"});
    let answer = toolbox.post("/git/clone", &clone);
    assert_eq!(answer.refusal(), (404, "GIT_BRANCH_NOT_FOUND".to_owned()));
    assert!(answer.message().contains("dev, main"), "{}", answer.message());
    assert!(!toolbox.at("c").exists());
    toolbox.shell("git init -q --bare empty.git");
    refused(&toolbox, "/git/clone", &json!({"url": "empty.git", "path": "c"}), 404, "GIT_REPO_NOT_FOUND");
}

fn large_files_stay_pointers_where_nothing_fetches_them(engine: Engine) {
    let toolbox = engine.toolbox_with_remote(1);
    toolbox.shell(
        "cd r; echo 'big filter=lfs' > .gitattributes; echo pointer > big; git add .; git commit -qm big
         git push -q ../remotes/x.git main
         git config --global filter.lfs.required true
         git config --global filter.lfs.smudge 'git-lfs smudge -- %f'
         git config --global filter.lfs.process 'git-lfs filter-process'",
    );
    toolbox.post("/git/clone", &json!({"url": "remotes/x.git", "path": "c"})).empty(200);
    assert_eq!(std::fs::read(toolbox.at("c/big")).unwrap(), b"pointer\n");
}
