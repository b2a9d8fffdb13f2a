//! The written form: infras of earlier versions keep running, so it must not change.

use std::fmt::Debug;

use harbor_protocol::infra::{Failure, Hello, Policy, Reply, Request};
use serde_json::{from_str, to_string};

#[track_caller]
fn check<T>(value: &T, text: &str)
where
    T: Debug + PartialEq + serde::Serialize + for<'de> serde::Deserialize<'de>,
{
    assert_eq!(to_string(value).unwrap(), text);
    assert_eq!(&from_str::<T>(text).unwrap(), value);
}

#[test]
fn requests() {
    check(&Request::Ready, r#"{"do":"ready"}"#);
    check(&Request::Dial { port: 3000 }, r#"{"do":"dial","port":3000}"#);
    let policy = Policy { block_all: true, ..Policy::default() };
    let text = r#"{"do":"policy","block_all":true,"allow_networks":[],"allow_domains":[]}"#;
    check(&Request::Policy(policy), text);
    assert_eq!(from_str::<Request>(r#"{"do":"policy"}"#).unwrap(), Request::Policy(Policy::default()));
    let hello = Hello { token: "secret".to_owned(), request: Request::Dial { port: 1 } };
    check(&hello, r#"{"token":"secret","do":"dial","port":1}"#);
    assert!(!format!("{hello:?}").contains("secret"));
}

#[test]
fn replies() {
    let version = "0.1.0".to_owned();
    check(&Reply::Ready { protocol: 1, version }, r#"{"is":"ready","protocol":1,"version":"0.1.0"}"#);
    check(&Reply::Dialled, r#"{"is":"dialled"}"#);
    check(&Reply::Applied, r#"{"is":"applied"}"#);
    for (reason, word) in [
        (Failure::Refused, "refused"),
        (Failure::TimedOut, "timed-out"),
        (Failure::Unauthorized, "unauthorized"),
        (Failure::Unsupported, "unsupported"),
        (Failure::Busy, "busy"),
        (Failure::Internal, "internal"),
    ] {
        let reply = Reply::Failed { reason, message: "why".to_owned() };
        check(&reply, &format!(r#"{{"is":"failed","reason":"{word}","message":"why"}}"#));
    }
}
