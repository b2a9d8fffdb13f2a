//! An answer of the toolbox, read byte by byte.

use std::collections::HashMap;

use serde_json::{Value, json};

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// Names in lower case; values as bytes.
    pub(crate) headers: HashMap<String, Vec<u8>>,
    pub(crate) body: Vec<u8>,
    /// The body came to its proper end.
    pub(crate) complete: bool,
}

impl Answer {
    /// Takes a whole answer apart.
    #[track_caller]
    pub(crate) fn parse(bytes: &[u8]) -> Self {
        let end = bytes.windows(4).position(|window| window == b"\r\n\r\n").expect("a head");
        let mut lines = bytes[..end].split(|&byte| byte == b'\n').map(<[u8]>::trim_ascii_end);
        let status = std::str::from_utf8(&lines.next().unwrap()[9..12]).unwrap().parse().unwrap();
        let headers: HashMap<_, _> = lines
            .map(|line| {
                let colon = line.iter().position(|&byte| byte == b':').unwrap();
                (String::from_utf8(line[..colon].to_ascii_lowercase()).unwrap(), line[colon + 2..].to_vec())
            })
            .collect();
        let rest = bytes[end + 4..].to_vec();
        let (body, complete) = match headers.get("content-length") {
            _ if headers.contains_key("transfer-encoding") => dechunked(&rest),
            Some(length) => {
                let complete = std::str::from_utf8(length).unwrap().parse() == Ok(rest.len());
                (rest, complete)
            }
            None => (rest, true),
        };
        Self { status, headers, body, complete }
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {} {:?}", self.status, self.body.get(..400)))
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }

    /// Status and code of an error in the daemon's shape.
    #[track_caller]
    pub(crate) fn refusal(&self) -> (u16, String) {
        let body = self.json();
        assert_eq!((&body["source"], &body["statusCode"]), (&json!("DAYTONA_DAEMON"), &json!(self.status)));
        (self.status, body["code"].as_str().unwrap().to_owned())
    }

    /// What an error says.
    #[track_caller]
    pub(crate) fn message(&self) -> String {
        self.json()["message"].as_str().unwrap().to_owned()
    }

    /// Fails unless this is a success without a body.
    #[track_caller]
    pub(crate) fn empty(&self, status: u16) {
        let said = String::from_utf8_lossy(&self.body);
        assert_eq!((self.status, said.as_ref()), (status, ""));
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| std::str::from_utf8(value).unwrap())
    }
}

fn dechunked(mut rest: &[u8]) -> (Vec<u8>, bool) {
    let mut body = Vec::new();
    while let Some(end) = rest.windows(2).position(|window| window == b"\r\n") {
        let length = usize::from_str_radix(std::str::from_utf8(&rest[..end]).unwrap(), 16).unwrap();
        if length == 0 {
            return (body, true);
        }
        let Some(chunk) = rest.get(end + 2..end + 2 + length) else { break };
        body.extend_from_slice(chunk);
        rest = &rest[end + 2 + length + 2..];
    }
    (body, false)
}
