//! A client of the REST API and the toolbox, with nothing in it that would hide what harbor answers.

use std::fmt;
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use crate::wait::{state_within, stretched};

/// Longer than any answer may take.
const PATIENCE: Duration = Duration::from_secs(90);

/// What a sandbox may take to start on a busy machine.
const START: Duration = Duration::from_mins(1);

/// Speaks to one harbor with its key.
#[derive(Clone, Debug)]
pub struct Client {
    http: reqwest::Client,
    api: String,
    proxy: String,
    key: String,
}

/// An answer of the API.
#[derive(Clone, Debug)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// The JSON body, or the text of one that is none.
    pub body: Value,
}

impl Answer {
    /// The error's text.
    pub fn message(&self) -> &str {
        self.body["message"].as_str().unwrap_or_default()
    }

    /// It has this status, else the test fails.
    #[must_use]
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{self}");
        self
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:.600}", self.status, self.body.to_string())
    }
}

impl Client {
    pub(crate) fn new(api: String, proxy: String, key: String) -> Self {
        let http = reqwest::Client::builder().timeout(stretched(PATIENCE)).build().expect("an HTTP client");
        Self { http, api, proxy, key }
    }

    /// The key it uses.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Host and port of the API.
    pub fn authority(&self) -> String {
        let rest = self.api.split_once("://").map_or(self.api.as_str(), |(_, rest)| rest);
        rest.split('/').next().unwrap_or_default().to_owned()
    }

    /// Host and port of the proxy.
    pub fn proxy_authority(&self) -> String {
        self.proxy.trim_start_matches("http://").to_owned()
    }

    /// One request to the API; `path` begins after `/api`.
    pub async fn ask(&self, method: Method, path: &str, body: Option<&Value>) -> Answer {
        self.try_ask(method, path, body).await.expect("harbor answers")
    }

    /// The same of a harbor that may die under it.
    pub async fn try_ask(&self, method: Method, path: &str, body: Option<&Value>) -> reqwest::Result<Answer> {
        let request = self.http.request(method, format!("{}{path}", self.api)).bearer_auth(&self.key);
        answer(if let Some(body) = body { request.json(body) } else { request }).await
    }

    /// The ids and states of all sandboxes.
    pub async fn sandboxes(&self) -> Vec<(String, String)> {
        let listed = self.ask(Method::GET, "/sandbox?limit=200", None).await.expect(200);
        let items = listed.body["items"].as_array().expect("a list of items").clone();
        let text = |item: &Value, name: &str| item[name].as_str().unwrap_or_default().to_owned();
        items.iter().map(|item| (text(item, "id"), text(item, "state"))).collect()
    }

    /// The sandbox of this id.
    pub fn sandbox(&self, id: &str) -> Sandbox {
        Sandbox { client: self.clone(), id: id.to_owned() }
    }

    /// Stage `created`: accepted, in whatever state.
    pub async fn created(&self, body: &Value) -> Sandbox {
        let made = self.ask(Method::POST, "/sandbox", Some(body)).await.expect(200);
        self.sandbox(made.body["id"].as_str().expect("an id"))
    }

    /// Stage `started`.
    pub async fn started(&self) -> Sandbox {
        self.started_as(&json!({})).await
    }

    /// Stage `started`, made from this request.
    pub async fn started_as(&self, body: &Value) -> Sandbox {
        let sandbox = self.created(body).await;
        state_within(START, &sandbox, &["started"]).await;
        sandbox
    }

    /// Stage `stopped`.
    pub async fn stopped(&self) -> Sandbox {
        let sandbox = self.started().await;
        let _accepted = sandbox.act("stop").await.expect(200);
        state_within(START, &sandbox, &["stopped"]).await;
        sandbox
    }
}

/// One sandbox.
#[derive(Clone, Debug)]
pub struct Sandbox {
    client: Client,
    /// Its id.
    pub id: String,
}

/// How a command in a sandbox ended.
#[derive(Clone, Debug)]
pub struct Executed {
    /// Its exit code.
    pub code: i64,
    /// What it printed, without the end of the last line.
    pub output: String,
}

impl Sandbox {
    /// What the API says of it.
    pub async fn get(&self) -> Answer {
        self.client.ask(Method::GET, &format!("/sandbox/{}", self.id), None).await
    }

    /// `start` or `stop`.
    pub async fn act(&self, verb: &str) -> Answer {
        self.try_act(verb).await.expect("harbor answers")
    }

    /// The same of a harbor that may die under it.
    pub async fn try_act(&self, verb: &str) -> reqwest::Result<Answer> {
        self.client.try_ask(Method::POST, &format!("/sandbox/{}/{verb}", self.id), None).await
    }

    /// Deletes it.
    pub async fn delete(&self) -> Answer {
        self.try_delete().await.expect("harbor answers")
    }

    /// The same of a harbor that may die under it.
    pub async fn try_delete(&self) -> reqwest::Result<Answer> {
        self.client.try_ask(Method::DELETE, &format!("/sandbox/{}", self.id), None).await
    }

    /// Deletes it and waits until it is gone.
    pub async fn deleted(&self) {
        let _accepted = self.delete().await.expect(200);
        let deadline = tokio::time::Instant::now() + stretched(START);
        loop {
            let found = self.get().await;
            if found.status == 404 {
                return;
            }
            assert!(tokio::time::Instant::now() < deadline, "not deleted within {START:?}: {found}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Starts it and waits until it is started.
    pub async fn start(&self) {
        let _accepted = self.act("start").await.expect(200);
        state_within(START, self, &["started"]).await;
    }

    /// One request to its toolbox; `path` begins after the id.
    pub async fn toolbox(&self, method: Method, path: &str, body: Option<&Value>) -> Answer {
        let request = self.toolbox_request(method, path);
        answer(if let Some(body) = body { request.json(body) } else { request }).await.expect("harbor answers")
    }

    /// The same, not sent yet.
    pub fn toolbox_request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        let Client { http, proxy, key, .. } = &self.client;
        http.request(method, format!("{proxy}/toolbox/{}{path}", self.id)).bearer_auth(key)
    }

    /// Runs a command by its shell, as its user.
    pub async fn run(&self, command: &str) -> Executed {
        let body = json!({"command": command, "timeout": 60});
        let done = self.toolbox(Method::POST, "/process/execute", Some(&body)).await.expect(200);
        let code = done.body["exitCode"].as_i64().expect("an exit code");
        Executed { code, output: done.body["result"].as_str().unwrap_or_default().trim_end().to_owned() }
    }

    /// Begins a command that is to go on while the test does something else.
    pub fn begin(&self, command: &str) -> tokio::task::JoinHandle<Answer> {
        let (sandbox, body) = (self.clone(), json!({"command": command}));
        tokio::spawn(async move { sandbox.toolbox(Method::POST, "/process/execute", Some(&body)).await })
    }

    /// What a command prints that must succeed.
    pub async fn output(&self, command: &str) -> String {
        let done = self.run(command).await;
        assert_eq!(done.code, 0, "{command}: {}", done.output);
        done.output
    }

    /// Name of its container on the engine.
    pub fn container(&self) -> String {
        format!("harbor-{}", self.id)
    }

    /// Name of its infra container.
    pub fn infra(&self) -> String {
        format!("harbor-infra-{}", self.id)
    }
}

async fn answer(request: reqwest::RequestBuilder) -> reqwest::Result<Answer> {
    let response = request.send().await?;
    let status = response.status().as_u16();
    let text = response.text().await?;
    Ok(Answer { status, body: serde_json::from_str(&text).unwrap_or(Value::String(text)) })
}
