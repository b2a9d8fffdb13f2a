//! What goes on in a sandbox ends when harbor knows that it has left `started`, however that came.

use std::time::Duration;

use harbor_model::ids::ContainerId;
use harbor_model::sandboxes::{Desired, Failure, Found, FoundSandbox, Outcome, Sandbox};
use http::StatusCode;
use http_body_util::BodyExt as _;

use crate::endless::{SOON, endless, ends, tunnel};
use crate::fixture::{KEY, Started, bearer, connect, request, running};

/// What becomes of a sandbox's row.
type Change = fn(&mut Sandbox);

/// The container was looked at, and found ended or paused.
fn ended(row: &mut Sandbox) {
    let found = FoundSandbox::Exited { container: ContainerId::new("c"), code: 137, connected: true };
    row.record(Outcome::Found(Found { sandbox: Some(found) }));
}

/// A call that the toolbox never answers, while `change` comes over the sandbox.
async fn unanswered(change: Change) -> (StatusCode, String) {
    let started = Started::with_toolbox_at(endless().await).await;
    let changing = async {
        while started.dialled() == 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        started.change(change).await;
    };
    let asking = tokio::time::timeout(SOON, started.get("/silent"));
    let (answer, ()) = tokio::join!(asking, changing);
    let answer = answer.expect("the call outlived its sandbox's run");
    (answer.status, answer.json()["message"].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn a_call_is_told_why_it_ends() {
    let changes: [(Change, &str); 4] = [
        (ended, "is stopped, not started. Is the Sandbox started?"),
        (|row| row.record(Outcome::Found(Found { sandbox: None })), "is error, not started"),
        (|row| row.desired = Desired::Destroyed, "is destroying, not started"),
        (|row| row.failure = Some(Failure { reason: "lost".to_owned(), recoverable: false }), "is error, not started"),
    ];
    for (change, expected) in changes {
        let (status, message) = unanswered(change).await;
        assert!(message.starts_with("bad request: ") && message.contains(expected), "{message}");
        assert_eq!(status, StatusCode::BAD_REQUEST);
    }
    let (status, message) = unanswered(|row| row.seen = running("another")).await;
    assert!(message.contains("stopped and started again"), "{message}");
    assert_eq!(status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn tunnels_and_long_answers_end_too() {
    let started = Started::with_toolbox_at(endless().await).await;
    let mut open = tunnel(&started, KEY).await;
    let mut client = connect(started.proxy).await;
    let asked = request("GET", &started.path("/log"), &[("authorization", &bearer(KEY))], "");
    let mut answer = client.send_request(asked).await.unwrap();
    assert_eq!(answer.frame().await.unwrap().unwrap().into_data().unwrap(), "hello");
    started.change(ended).await;
    assert!(ends(&mut open).await, "the tunnel outlived its sandbox's run");
    let rest = tokio::time::timeout(SOON, answer.frame()).await.expect("the answer outlived its sandbox's run");
    assert!(rest.is_none_or(|frame| frame.is_err()), "it ended as if it were whole");
}

#[tokio::test]
async fn other_changes_and_a_stop_that_the_toolbox_carries_out_end_nothing() {
    let started = Started::with_toolbox_at(endless().await).await;
    let mut open = tunnel(&started, KEY).await;
    started.change(|row| row.note = Some("a note".to_owned())).await;
    started.change(|row| row.desired = Desired::Stopped).await;
    let mut byte = [0];
    let still = tokio::time::timeout(Duration::from_secs(1), tokio::io::AsyncReadExt::read(&mut open, &mut byte)).await;
    assert!(still.is_err(), "it ended: {still:?}");
    started.change(ended).await;
    assert!(ends(&mut open).await, "nobody is left to end it");
}
