//! What a key opened ends with it, long answers and tunnels too.

use std::time::Duration;

use harbor_control::{Caller, NewKey};
use harbor_model::identity::Permission;
use harbor_model::{Timestamp, to_millisecond};
use http_body_util::BodyExt as _;
use tokio::io::AsyncReadExt as _;

use crate::endless::{SOON, endless, ends, tunnel};
use crate::fixture::{KEY, Started, ask, bearer, connect, request};

async fn owner(started: &Started) -> Caller {
    started.control.authenticate(KEY).await.unwrap()
}

/// Makes a key of the owner's; answers its text.
async fn make_key(started: &Started, name: &str, expires_at: Option<Timestamp>) -> String {
    let new = NewKey { name: name.parse().unwrap(), permissions: vec![Permission::WriteSandboxes], expires_at };
    let issued = started.control.create_key(&owner(started).await, new).await.unwrap();
    issued.value.reveal().to_owned()
}

async fn delete_key(started: &Started, name: &str) {
    started.control.delete_key(&owner(started).await, None, name).await.unwrap();
}

#[tokio::test]
async fn a_tunnel_ends_with_its_key_and_with_no_other() {
    let started = Started::with_toolbox_at(endless().await).await;
    let key = make_key(&started, "mine", None).await;
    make_key(&started, "other", None).await;
    let (mut mine, mut owners) = (tunnel(&started, &key).await, tunnel(&started, KEY).await);
    delete_key(&started, "other").await;
    let still = tokio::time::timeout(Duration::from_millis(500), mine.read_u8()).await;
    assert!(still.is_err(), "it ended with another key: {still:?}");
    delete_key(&started, "mine").await;
    assert!(ends(&mut mine).await, "the tunnel outlived its key");
    let still = tokio::time::timeout(Duration::from_millis(200), owners.read_u8()).await;
    assert!(still.is_err(), "the owner's tunnel ended: {still:?}");
}

#[tokio::test]
async fn a_tunnel_ends_when_the_key_that_made_its_key_is_deleted() {
    let started = Started::with_toolbox_at(endless().await).await;
    let parent = make_key(&started, "parent", None).await;
    let parent = started.control.authenticate(&parent).await.unwrap();
    let new =
        NewKey { name: "child".parse().unwrap(), permissions: vec![Permission::WriteSandboxes], expires_at: None };
    let child = started.control.create_key(&parent, new).await.unwrap();
    let mut mine = tunnel(&started, child.value.reveal()).await;
    delete_key(&started, "parent").await;
    assert!(ends(&mut mine).await);
}

#[tokio::test]
async fn a_tunnel_ends_when_its_key_expires() {
    let started = Started::with_toolbox_at(endless().await).await;
    let soon = to_millisecond(Timestamp::now_utc()) + Duration::from_secs(2);
    let key = make_key(&started, "short", Some(soon)).await;
    let mut mine = tunnel(&started, &key).await;
    assert!(ends(&mut mine).await);
    assert!(to_millisecond(Timestamp::now_utc()) >= soon, "it ended before its key");
}

#[tokio::test]
async fn a_long_answer_breaks_off_with_its_key() {
    let started = Started::with_toolbox_at(endless().await).await;
    let key = make_key(&started, "mine", None).await;
    let mut client = connect(started.proxy).await;
    let asked = request("GET", &started.path("/log"), &[("authorization", &bearer(&key))], "");
    let mut answer = client.send_request(asked).await.unwrap();
    assert_eq!(answer.frame().await.unwrap().unwrap().into_data().unwrap(), "hello");
    delete_key(&started, "mine").await;
    let rest = tokio::time::timeout(SOON, answer.frame()).await.expect("the answer outlived its key");
    assert!(rest.is_none_or(|frame| frame.is_err()), "it ended as if it were whole");
}

#[tokio::test]
async fn an_answer_that_has_not_begun_is_a_refusal() {
    let started = Started::with_toolbox_at(endless().await).await;
    let key = make_key(&started, "mine", None).await;
    let path = started.path("/silent");
    let headers = [("authorization", &*bearer(&key))];
    let deleting = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        delete_key(&started, "mine").await;
    };
    let (answer, ()) = tokio::join!(ask(started.proxy, "GET", &path, &headers, ""), deleting);
    assert_eq!(answer.status.as_u16(), 401, "{}", answer.text());
    assert!(answer.json()["message"].as_str().unwrap().contains("deleted or has expired"), "{}", answer.text());
}
