//! What the running harbor answers to its owner.

use std::time::Duration;

use anyhow::{Context as _, bail};
use hyper::{Method, StatusCode};
use serde_json::Value;

use super::env;
use crate::config::load::Loaded;
use crate::process::http::{self, Question};
use crate::process::presence::{self, Presence};
use crate::process::state::Ready;

/// The API of the running harbor, asked with the owner's key.
pub(super) struct Api {
    address: std::net::SocketAddr,
    key: String,
    patience: Duration,
}

impl Api {
    /// That of this installation, which may take this long to answer.
    pub(super) fn of(loaded: &Loaded, patience: Duration) -> anyhow::Result<Self> {
        let presence = Presence::look(&loaded.config.directories(), presence::PATIENCE)?;
        let address = presence.ready().and_then(Ready::api_address);
        let address = address.context("harbor does not run: start it with `harbor up`")?;
        let key = env::api_key(&loaded.config)?.context("there is no key of the owner's: run `harbor up` first")?;
        Ok(Self { address, key, patience })
    }

    /// What it answers; a refusal is an error with its message.
    pub(super) fn ask(&self, method: Method, path: &str, body: Option<Value>) -> anyhow::Result<Value> {
        let question = Question { method, path, key: Some(&self.key), body };
        let (status, answer) = http::ask(&question, self.address, self.patience)?;
        let answer = if answer.is_empty() { Ok(Value::Null) } else { serde_json::from_slice(&answer) };
        if status == StatusCode::OK {
            return answer.context("the running harbor answers in other words");
        }
        match answer.ok().and_then(|refusal| Some(refusal.get("message")?.as_str()?.to_owned())) {
            Some(message) => bail!("{message}"),
            None => bail!("the running harbor answers {status}"),
        }
    }
}
