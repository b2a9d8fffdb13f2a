//! Language servers (contract, toolbox §13). The server here is a script that misbehaves on demand; how real ones
//! answer is compared in the default image.

use std::os::unix::fs::PermissionsExt as _;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::client::{Toolbox, eventually};

/// A toolbox with this program as `pylsp`, and a project `p` with `a.py`.
fn toolbox() -> Toolbox {
    let programs = tempfile::tempdir().unwrap().keep();
    let pylsp = programs.join("pylsp");
    std::fs::write(&pylsp, include_str!("pylsp.py")).unwrap();
    std::fs::set_permissions(&pylsp, std::fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", programs.display(), std::env::var("PATH").unwrap());
    let toolbox = Toolbox::with_path(&path);
    toolbox.write("p/a.py", "class Widget:\n    pass\n");
    toolbox.write("p/sub/b.py", "class Other:\n    pass\n");
    toolbox
}

fn order(more: &Value) -> Value {
    let mut order = json!({"languageId": "python", "pathToProject": "p", "uri": "file://p/a.py"});
    order.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    order
}

fn complete(toolbox: &Toolbox, line: u32) -> crate::client::Answer {
    toolbox.post("/lsp/completions", &order(&json!({"position": {"line": line, "character": 0}})))
}

const SYMBOLS: &str = "/lsp/document-symbols?languageId=python&pathToProject=p&uri=file://p/a.py";
const NOT_STARTED: &str = "LSP_SERVER_NOT_INITIALIZED";

#[test]
fn a_server_is_started_asked_and_stopped() {
    let toolbox = toolbox();
    assert_eq!(toolbox.get(SYMBOLS).refusal(), (400, NOT_STARTED.to_owned()));
    toolbox.post("/lsp/start", &order(&json!({}))).empty(200);
    toolbox.post("/lsp/start", &order(&json!({"pathToProject": "./p"}))).empty(200);
    toolbox.post("/lsp/did-open", &order(&json!({}))).empty(200);
    toolbox.post("/lsp/did-open", &order(&json!({}))).empty(200);
    assert_eq!(toolbox.post("/lsp/did-open", &order(&json!({"uri": "file://p/none.py"}))).status, 400);
    let uri = format!("file://{}", toolbox.at("p/a.py").display());
    let range = json!({"start": {"line": 0, "character": 0}, "end": {"line": 1, "character": 8}});
    let expected = json!([{"name": "Widget", "kind": 5, "location": {"uri": uri, "range": range}}]);
    assert_eq!(toolbox.get(SYMBOLS).json(), expected);
    assert_eq!(complete(&toolbox, 0).json(), json!({"isIncomplete": false, "items": [{"label": "run", "kind": 2}]}));
    for route in ["workspacesymbols", "workspace-symbols"] {
        let found = toolbox.get(&format!("/lsp/{route}?languageId=python&pathToProject=p&query=OTH")).json();
        assert_eq!((found.as_array().unwrap().len(), &found[0]["name"]), (1, &json!("Other")), "not opened, but found");
    }
    toolbox.post("/lsp/did-close", &order(&json!({}))).empty(200);
    toolbox.post("/lsp/stop", &order(&json!({}))).empty(200);
    eventually("its process is gone", || toolbox.children().is_empty());
    assert_eq!(toolbox.post("/lsp/stop", &order(&json!({}))).status, 500);
    assert_eq!(toolbox.get(SYMBOLS).refusal().1, NOT_STARTED);
}

#[test]
fn a_server_that_ends_fails_its_requests_and_can_be_started_again() {
    let toolbox = toolbox();
    toolbox.post("/lsp/start", &order(&json!({}))).empty(200);
    for line in [1, 2] {
        let begun = Instant::now();
        let answer = complete(&toolbox, line);
        assert!(answer.status == 500 && answer.message().contains("has ended"), "{answer:?}");
        assert!(begun.elapsed() < Duration::from_secs(10), "it ended, or sent what is no message: known at once");
        eventually("the process is gone", || toolbox.children().is_empty());
        assert_eq!(complete(&toolbox, 0).refusal(), (400, NOT_STARTED.to_owned()));
        toolbox.post("/lsp/start", &order(&json!({}))).empty(200);
        assert_eq!(complete(&toolbox, 0).status, 200);
    }
}

#[test]
fn json_that_is_no_message_and_odd_capabilities_are_borne() {
    let toolbox = toolbox();
    toolbox.write("p/odd", "");
    toolbox.post("/lsp/start", &order(&json!({}))).empty(200);
    assert_eq!(complete(&toolbox, 0).status, 200);
    let found = toolbox.get("/lsp/workspacesymbols?languageId=python&pathToProject=p&query=Widget").json();
    assert_eq!(found[0]["name"], "Widget", "{found}");
}

#[test]
fn an_answer_is_not_waited_for_for_ever() {
    let toolbox = toolbox();
    toolbox.post("/lsp/start", &order(&json!({}))).empty(200);
    let answer = complete(&toolbox, 3);
    assert_eq!(answer.status, 408, "{answer:?}");
    assert_eq!(complete(&toolbox, 0).status, 200, "the others go on");
    let refused = complete(&toolbox, 4);
    assert!(refused.status == 500 && refused.message().contains("no such line"), "{refused:?}");
}

#[test]
fn servers_are_bounded_and_failed_starts_take_no_place() {
    let toolbox = toolbox();
    let start = |project: &str| toolbox.post("/lsp/start", &json!({"languageId": "python", "pathToProject": project}));
    for number in 0..20 {
        assert_eq!(start(&format!("none-{number}")).status, 500);
    }
    for number in 0..8 {
        toolbox.write(&format!("p{number}/a.py"), "class Widget:\n    pass\n");
        start(&format!("p{number}")).empty(200);
    }
    assert_eq!(start("p").refusal(), (429, "TOO_MANY_REQUESTS".to_owned()));
    start("p7").empty(200);
    toolbox.post("/lsp/stop", &json!({"languageId": "python", "pathToProject": "p3"})).empty(200);
    start("p").empty(200);
}

#[test]
fn a_file_is_found_below_the_work_dir_and_below_the_project() {
    let toolbox = toolbox();
    toolbox.post("/lsp/start", &order(&json!({}))).empty(200);
    toolbox.post("/lsp/did-close", &order(&json!({}))).empty(200);
    for uri in ["file://p/a.py", "file://a.py", "p/a.py"] {
        toolbox.post("/lsp/did-open", &order(&json!({"uri": uri}))).empty(200);
    }
    let found = toolbox.get("/lsp/document-symbols?languageId=python&pathToProject=p&uri=file://sub/b.py").json();
    assert_eq!(found[0]["name"], "Other");
}

#[test]
fn what_cannot_be_started_is_explained() {
    let toolbox = Toolbox::with_path("/nowhere");
    toolbox.write("p/a.py", "");
    for (language, remedy) in [("python", "pip install"), ("typescript", "npm install"), ("javascript", "npm install")]
    {
        let answer = toolbox.post("/lsp/start", &order(&json!({"languageId": language})));
        assert!(answer.status == 500 && answer.message().contains(remedy), "{answer:?}");
    }
    let answer = toolbox.post("/lsp/start", &order(&json!({"languageId": "cobol"})));
    assert_eq!(answer.refusal(), (400, "BAD_REQUEST".to_owned()));
    let answer = toolbox.post("/lsp/start", &order(&json!({"pathToProject": "none"})));
    assert!(answer.status == 500 && answer.message().contains("no project directory"), "{answer:?}");
}
