//! Tells a toolbox who it is (harbor-protocol, `toolbox`).

use std::error::Error;
use std::time::{Duration, Instant};

use bytes::Bytes;
use harbor_model::ids::{ContainerId, SandboxId};
use harbor_model::secrets::Secret;
use harbor_protocol::toolbox::{CONFIGURE_PATH, Configure, Configured, PORT, PROTOCOL, TOKEN_HEADER};
use http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::rt::TokioIo;

use crate::dial::{DialError, Stream};
use crate::docker::handle::DockerEngine;
use crate::docker::known::Facts;
use crate::docker::naming;
use crate::docker::part_labels;
use crate::error::EngineError;
use crate::sandbox::Configuration;

/// How long a toolbox that was just started may take to answer.
const LIMIT: Duration = Duration::from_secs(15);
/// How long one attempt may take.
const ATTEMPT: Duration = Duration::from_secs(5);
/// Between two attempts: at first, and at most.
const PAUSE: (Duration, Duration) = (Duration::from_millis(1), Duration::from_millis(50));
/// The longest answer that is read, in bytes.
const ANSWER: usize = 64 * 1024;

/// How one attempt ended.
enum Attempt {
    Done(Configured),
    Refused(StatusCode),
    /// Not listening yet, or gone in the middle: worth another attempt.
    NotYet(Box<dyn Error + Send + Sync>),
}

impl DockerEngine {
    /// Tells the sandbox's toolbox its token and environment; waits until it listens. Idempotent.
    pub async fn configure(
        &self,
        id: &SandboxId,
        container: &ContainerId,
        configuration: &Configuration,
    ) -> Result<Configured, EngineError> {
        let facts = self.facts(id, container).await?;
        if !facts.mounts.is_empty() {
            self.check_parts(id, container, &facts.mounts).await?;
        }
        let body = message(id, configuration, facts)?;
        let tokens = [configuration.previous.as_ref(), Some(&configuration.token)].into_iter().flatten();
        let mut status = StatusCode::UNAUTHORIZED;
        for token in tokens {
            match self.post(id, token, &body).await? {
                Ok(configured) => return Ok(configured),
                Err(refused) => status = refused,
            }
            if status != StatusCode::UNAUTHORIZED {
                break;
            }
        }
        Err(EngineError::ToolboxRefused { sandbox: *id, status: status.as_u16() })
    }

    /// Posts until the toolbox answers, within [`LIMIT`].
    async fn post(
        &self,
        id: &SandboxId,
        token: &Secret,
        body: &Bytes,
    ) -> Result<Result<Configured, StatusCode>, EngineError> {
        let started = Instant::now();
        let mut pause = PAUSE.0;
        loop {
            let attempt = tokio::time::timeout(ATTEMPT, self.attempt(id, token, body)).await;
            let source = match attempt {
                Ok(Attempt::Done(configured)) => return Ok(Ok(configured)),
                Ok(Attempt::Refused(status)) => return Ok(Err(status)),
                Ok(Attempt::NotYet(source)) => Some(source),
                Err(_) => None,
            };
            if started.elapsed() > LIMIT {
                return Err(EngineError::ToolboxSilent { sandbox: *id, limit: LIMIT, source });
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(PAUSE.1);
        }
    }

    async fn attempt(&self, id: &SandboxId, token: &Secret, body: &Bytes) -> Attempt {
        match self.dial(id, PORT).await {
            Ok(stream) => exchange(stream, token, body.clone()).await.unwrap_or_else(Attempt::NotYet),
            Err(error @ (DialError::Refused(_) | DialError::Gone(_) | DialError::Busy | DialError::TimedOut(_))) => {
                Attempt::NotYet(error.into())
            }
            Err(error @ DialError::Unexpected(_)) => Attempt::NotYet(error.into()),
        }
    }

    /// What the container's labels tell its toolbox, and which parts of volumes it has.
    pub(crate) async fn facts(&self, id: &SandboxId, container: &ContainerId) -> Result<Facts, EngineError> {
        if let Some((_, facts)) = self.known().get(id).facts.filter(|(known, _)| known == container) {
            return Ok(facts);
        }
        let doing = format!("inspect container {}", naming::sandbox(id));
        let found = self.client().inspect_container(container.as_str(), &doing).await?;
        let entrypoint = found.labels.get(naming::ENTRYPOINT).map_or("[]", String::as_str);
        let facts = Facts {
            entrypoint: serde_json::from_str(entrypoint).unwrap_or_default(),
            home_as_work_dir: found.labels.get(naming::HOME_AS_WORK_DIR).is_some_and(|label| label == "true"),
            mounts: part_labels::of_labels(id, &found.labels)?,
            work_dir: found.labels.get(naming::WORK_DIR).filter(|named| !named.is_empty()).cloned(),
        };
        self.known().note(id, |entry| entry.facts = Some((container.clone(), facts.clone())));
        Ok(facts)
    }
}

fn message(id: &SandboxId, configuration: &Configuration, facts: Facts) -> Result<Bytes, EngineError> {
    let message = Configure {
        protocol: PROTOCOL,
        sandbox: id.to_string(),
        token: configuration.token.reveal().to_owned(),
        env: configuration.env.clone(),
        home_as_work_dir: facts.home_as_work_dir,
        work_dir: facts.work_dir,
        entrypoint: facts.entrypoint,
    };
    let text = serde_json::to_vec(&message).map_err(|error| EngineError::Files {
        doing: format!("write the configuration of sandbox {id}"),
        source: error.into(),
    })?;
    Ok(Bytes::from(text))
}

/// One HTTP exchange on a connection of its own, driven here until the answer is complete.
async fn exchange(stream: Stream, token: &Secret, body: Bytes) -> Result<Attempt, Box<dyn Error + Send + Sync>> {
    let request = Request::builder()
        .method(Method::POST)
        .uri(CONFIGURE_PATH)
        .header(header::HOST, "toolbox")
        .header(header::CONTENT_TYPE, "application/json")
        .header(TOKEN_HEADER, token.reveal())
        .body(Full::new(body))?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let answer = async {
        let response = sender.send_request(request).await?;
        let status = response.status();
        let body = Limited::new(response.into_body(), ANSWER).collect().await?.to_bytes();
        Ok::<_, Box<dyn Error + Send + Sync>>((status, body))
    };
    tokio::pin!(connection, answer);
    let (status, body) = tokio::select! {
        biased;
        answer = &mut answer => answer?,
        ended = &mut connection => { ended?; answer.await? }
    };
    if status == StatusCode::OK {
        Ok(Attempt::Done(serde_json::from_slice(&body)?))
    } else {
        Ok(Attempt::Refused(status))
    }
}
