//! Who gets in, and with what (contract, edges §1.4, §1.5, §1.13).

use harbor_model::sandboxes::{Desired, Seen};
use http::StatusCode;
use serde_json::Value;

use crate::fixture::{
    Answer, FOREIGN_KEY, KEY, PREVIEW_TOKEN, Started, TOKEN_HEADER, TOOLBOX_TOKEN, WEAK_KEY, ask, bearer,
};

fn check_refusal(answer: &Answer, status: u16, code: &str, message: &str) {
    let body = answer.json();
    assert_eq!((answer.status.as_u16(), &body["statusCode"]), (status, &Value::from(status)), "{body}");
    assert_eq!(answer.headers["content-type"], "application/json");
    assert_eq!(body["code"], code);
    assert_eq!(body["source"], "DAYTONA_PROXY");
    assert!(body["message"].as_str().unwrap().contains(message), "{body}");
    let timestamp = body["timestamp"].as_str().unwrap();
    assert!(timestamp.len() == 24 && timestamp.ends_with('Z'), "{timestamp}");
}

#[tokio::test]
async fn every_credential_opens_and_is_taken_off_when_spent() {
    let started = Started::with_mirror().await;
    let path = started.path("/version");
    let key = bearer(KEY);

    let answer = ask(started.proxy, "GET", &path, &[("authorization", &key)], "").await;
    assert_eq!((answer.status, answer.target().as_str()), (StatusCode::OK, "/version"));
    assert_eq!(answer.seen("authorization"), Vec::<String>::new());
    assert_eq!(answer.seen(TOKEN_HEADER), [TOOLBOX_TOKEN]);

    let answer = ask(started.proxy, "GET", &path, &[("X-Daytona-Preview-Token", PREVIEW_TOKEN)], "").await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.seen("x-daytona-preview-token"), Vec::<String>::new());

    let query = format!("{path}?a=%40&DAYTONA_SANDBOX_AUTH_KEY={PREVIEW_TOKEN}&b=(c)");
    let answer = ask(started.proxy, "GET", &query, &[], "").await;
    assert_eq!((answer.status, answer.target().as_str()), (StatusCode::OK, "/version?a=%40&b=(c)"));
    let query = format!("{path}?DAYTONA_SANDBOX_AUTH_KEY={PREVIEW_TOKEN}");
    assert_eq!(ask(started.proxy, "GET", &query, &[], "").await.target(), "/version");
}

#[tokio::test]
async fn what_opened_nothing_stays_but_for_preview_tokens() {
    let started = Started::with_mirror().await;
    let path = started.path("/x?DAYTONA_SANDBOX_AUTH_KEY=wrong");
    let own = ("authorization", "Bearer the-applications-own");
    let answer = ask(started.proxy, "GET", &path, &[own, ("x-daytona-preview-token", PREVIEW_TOKEN)], "").await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.seen("authorization"), [own.1]);
    assert_eq!(answer.seen("x-daytona-preview-token"), Vec::<String>::new());
    assert_eq!(answer.target(), "/x");

    // the first success wins: a wrong header before a right query
    let path = started.path(&format!("/x?DAYTONA_SANDBOX_AUTH_KEY={PREVIEW_TOKEN}"));
    let answer = ask(started.proxy, "GET", &path, &[own, ("x-daytona-preview-token", "wrong")], "").await;
    assert_eq!((answer.status, answer.target().as_str()), (StatusCode::OK, "/x"));
    assert_eq!(answer.seen("authorization"), [own.1]);
    assert_eq!(answer.seen("x-daytona-preview-token"), Vec::<String>::new());

    // a key beside a preview token: both go
    let both = [("authorization", &*bearer(KEY)), ("x-daytona-preview-token", "wrong")];
    let answer = ask(started.proxy, "GET", &started.path("/x"), &both, "").await;
    assert_eq!((answer.seen("authorization").len(), answer.seen("x-daytona-preview-token").len()), (0, 0));

    // a key that opened the door before the token in the query was looked at, on either path
    let older = format!("/api/toolbox/{}/toolbox/x", started.sandbox.id);
    for (door, path) in [(started.proxy, started.path("/x")), (started.api, older)] {
        let query = format!("{path}?a=1&DAYTONA_SANDBOX_AUTH_KEY={PREVIEW_TOKEN}");
        let answer = ask(door, "GET", &query, &[("authorization", &*bearer(KEY))], "").await;
        assert_eq!((answer.status, answer.target().as_str()), (StatusCode::OK, "/x?a=1"), "{path}");
    }
}

#[tokio::test]
async fn nobody_else_gets_in_and_nothing_is_dialled() {
    let started = Started::with_mirror().await;
    let path = started.path("/version");
    let answer = ask(started.proxy, "POST", &path, &[], "{}").await;
    check_refusal(&answer, 401, "UNAUTHORIZED", "unauthorized: authentication is missing");
    assert_eq!((&answer.json()["path"], &answer.json()["method"]), (&Value::from(path.clone()), &"POST".into()));

    for key in [FOREIGN_KEY, "wrong", PREVIEW_TOKEN, TOOLBOX_TOKEN] {
        let answer = ask(started.proxy, "GET", &path, &[("authorization", &bearer(key))], "").await;
        check_refusal(&answer, 401, "UNAUTHORIZED", "unauthorized: authentication failed: Bearer token is invalid");
    }
    for token in ["wrong", "", KEY, TOOLBOX_TOKEN] {
        let answer = ask(started.proxy, "GET", &path, &[("x-daytona-preview-token", token)], "").await;
        check_refusal(&answer, 401, "UNAUTHORIZED", "authentication failed: Auth key header is invalid");
    }
    let all = [("authorization", &*bearer("wrong")), ("x-daytona-preview-token", "wrong")];
    let answer = ask(started.proxy, "GET", &format!("{path}?DAYTONA_SANDBOX_AUTH_KEY=wrong"), &all, "").await;
    let complaints = "Bearer token is invalid, Auth key header is invalid, Auth key query parameter is invalid";
    check_refusal(&answer, 401, "UNAUTHORIZED", complaints);

    // an unknown sandbox and a foreign one look alike
    let unknown = "/toolbox/00000000-0000-4000-8000-000000000000/version";
    let unknown = ask(started.proxy, "GET", unknown, &[("authorization", &bearer(FOREIGN_KEY))], "").await;
    let foreign = ask(started.proxy, "GET", &path, &[("authorization", &bearer(FOREIGN_KEY))], "").await;
    assert_eq!((unknown.status, &unknown.json()["message"]), (foreign.status, &foreign.json()["message"]));

    // publicness opens previews, not the toolbox
    started.change(|sandbox| sandbox.settings.public = true).await;
    assert_eq!(ask(started.proxy, "GET", &path, &[], "").await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(started.dialled(), 0);
}

#[tokio::test]
async fn revoked_credentials_open_nothing_at_once() {
    let started = Started::with_mirror().await;
    let token = [("x-daytona-preview-token", PREVIEW_TOKEN)];
    assert_eq!(ask(started.proxy, "GET", &started.path("/x"), &token, "").await.status, StatusCode::OK);
    started.change(|sandbox| sandbox.preview_token = harbor_model::secrets::Secret::new("another")).await;
    assert_eq!(ask(started.proxy, "GET", &started.path("/x"), &token, "").await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_sandbox_that_does_not_run_is_a_bad_request() {
    let started = Started::with_mirror().await;
    started.change(|sandbox| sandbox.desired = Desired::Stopped).await;
    check_refusal(&started.get("/version").await, 400, "BAD_REQUEST", "Is the Sandbox started?");
    let answer = ask(started.api, "GET", &started.legacy("/version"), &[("authorization", &bearer(KEY))], "").await;
    assert_eq!((answer.status, &answer.json()["error"]), (StatusCode::BAD_REQUEST, &"Bad Request".into()));
    started.change(|sandbox| (sandbox.desired, sandbox.seen) = (Desired::Destroyed, Seen::Removed)).await;
    assert_eq!(started.dialled(), 0);
}

#[tokio::test]
async fn who_may_know_is_told_that_a_sandbox_was_deleted() {
    let started = Started::with_mirror().await;
    started.change(|sandbox| (sandbox.desired, sandbox.seen) = (Desired::Destroyed, Seen::Removed)).await;
    check_refusal(&started.get("/version").await, 404, "NOT_FOUND", "was deleted");
    let path = started.path("/version");
    let foreign = ask(started.proxy, "GET", &path, &[("authorization", &bearer(FOREIGN_KEY))], "").await;
    check_refusal(&foreign, 401, "UNAUTHORIZED", "Bearer token is invalid");
    let token = ask(started.proxy, "GET", &path, &[("x-daytona-preview-token", PREVIEW_TOKEN)], "").await;
    check_refusal(&token, 401, "UNAUTHORIZED", "Auth key header is invalid");
    assert_eq!(started.dialled(), 0);
}

#[tokio::test]
async fn a_key_that_may_not_write_sandboxes_enters_none() {
    let started = Started::with_mirror().await;
    let weak = bearer(WEAK_KEY);
    // a sandbox that does not exist looks the same: permission comes before lookup
    let unknown = "/toolbox/00000000-0000-4000-8000-000000000000/version".to_owned();
    for path in [started.path("/process/execute"), unknown] {
        let answer = ask(started.proxy, "POST", &path, &[("authorization", &weak)], "{}").await;
        check_refusal(&answer, 403, "FORBIDDEN", "write:sandboxes");
    }
    assert_eq!(started.dialled(), 0);
}

/// An application's own bearer token travels on where a preview token opens. A key of harbor's must not.
#[tokio::test]
async fn no_key_of_harbors_travels_into_a_sandbox() {
    let started = Started::with_mirror().await;
    for (key, status) in [(WEAK_KEY, 403), (FOREIGN_KEY, 401)] {
        let both = [("authorization", &*bearer(key)), ("x-daytona-preview-token", PREVIEW_TOKEN)];
        let answer = ask(started.proxy, "GET", &started.path("/x"), &both, "").await;
        assert_eq!(answer.status.as_u16(), status, "{}", answer.text());
        let query = started.path(&format!("/x?DAYTONA_SANDBOX_AUTH_KEY={PREVIEW_TOKEN}"));
        let answer = ask(started.proxy, "GET", &query, &[("authorization", &bearer(key))], "").await;
        assert_eq!(answer.status.as_u16(), status, "{}", answer.text());
    }
    assert_eq!(started.dialled(), 0);
}

#[tokio::test]
async fn the_older_path_takes_keys_that_allow_it() {
    let started = Started::with_mirror().await;
    let check = async |key: &str, status: u16| {
        let path = started.legacy("/process/execute?x=%2F");
        let answer = ask(started.api, "POST", &path, &[("authorization", &bearer(key))], "{}").await;
        assert_eq!(answer.status.as_u16(), status, "{}", answer.text());
        answer
    };
    let answer = check(KEY, 200).await;
    assert_eq!(answer.target(), "/process/execute?x=%2F");
    assert!(answer.text().ends_with("\n\n{}"));
    assert_eq!(answer.seen("authorization"), Vec::<String>::new());
    for (key, status) in [(WEAK_KEY, 403), (FOREIGN_KEY, 404), ("wrong", 401)] {
        let body = check(key, status).await.json();
        let keys: Vec<&String> = body.as_object().unwrap().keys().collect();
        assert_eq!(keys, ["error", "message", "path", "source", "statusCode", "timestamp"], "{body}");
        assert_eq!(body["source"], "DAYTONA_API");
        assert_eq!(body["path"], started.legacy("/process/execute?x=%2F"));
    }
    let token = [("x-daytona-preview-token", PREVIEW_TOKEN)];
    let answer = ask(started.api, "GET", &started.legacy("/version"), &token, "").await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);

    // by name too, as everywhere in the API
    let named =
        ask(started.api, "GET", "/api/toolbox/mine/toolbox/files", &[("authorization", &bearer(KEY))], "").await;
    assert_eq!((named.status, named.target().as_str()), (StatusCode::OK, "/files"));
}

#[tokio::test]
async fn the_rest_of_the_listeners() {
    let started = Started::with_mirror().await;
    let health = ask(started.proxy, "GET", "/health", &[], "").await;
    assert_eq!(
        (health.status, health.json()),
        (StatusCode::OK, serde_json::json!({"status": "ok", "version": "1.2.3"}))
    );
    for path in ["/", "/nothing-here", "/toolbox", "/toolbox/", &started.path(""), &started.legacy("/version")] {
        let answer = ask(started.proxy, "GET", path, &[("authorization", &bearer(KEY))], "").await;
        check_refusal(&answer, 404, "NOT_FOUND", "not found: ");
    }
    // the API's listener serves the new path as well, and leaves everything else to the API
    let answer = ask(started.api, "GET", &started.path("/version"), &[("authorization", &bearer(KEY))], "").await;
    assert_eq!((answer.status, answer.target().as_str()), (StatusCode::OK, "/version"));
    for path in ["/health", "/api/sandbox", "/api/toolbox/x/other"] {
        assert_eq!(ask(started.api, "GET", path, &[], "").await.text(), "the api");
    }
}

#[tokio::test]
async fn a_preview_host_is_told_apart_before_everything_else() {
    let started = Started::with_mirror().await;
    let host = format!("3000-{}.proxy.localhost:35001", started.sandbox.id);
    for listener in [started.proxy, started.api] {
        for (method, path) in [("GET", "/health"), ("GET", &started.path("/version")), ("OPTIONS", "/api/x")] {
            let headers = [("host", &*host), ("authorization", &bearer(KEY)), ("origin", "http://a.example")];
            let answer = ask(listener, method, path, &headers, "").await;
            check_refusal(&answer, 501, "NOT_IMPLEMENTED", "preview hosts");
        }
    }
    assert_eq!(started.dialled(), 0);
}
