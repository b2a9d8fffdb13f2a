//! One language server: a child process and the conversation with it (contract, toolbox §13).
//!
//! Guarantees: every request has a deadline and every buffer a bound; a server that ends, or sends what is no message,
//! fails all that wait for it at once; it ends with the value that stands for it.

use std::collections::HashMap;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use bytes::{Buf as _, BytesMut};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::unix::pipe::{Receiver, Sender};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::framing::{first_body, framed};
use super::language::Language;
use crate::context::Context;
use crate::error::Error;
use crate::process::Child;
use crate::process::command::{self, Variables};

/// Longest start of a server.
const START: Duration = Duration::from_mins(1);

/// Longest wait for an answer.
const ANSWER: Duration = Duration::from_secs(45);

/// How long each step of a proper end may take before the server is killed.
const GRACE: Duration = Duration::from_secs(2);

/// Most messages on their way to the task that writes them; each may hold a document.
const QUEUE: usize = 8;

/// No further message is taken while more bytes than this wait for the server to read them.
const UNREAD: usize = 4 << 20;

/// Why a request has no result.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error("the language server has ended")]
    Ended,
    #[error("the language server did not answer in time")]
    Late,
    #[error("the language server says: {0}")]
    Refused(String),
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Late => Self::timeout(failure.to_string()),
            Failure::Ended | Failure::Refused(_) => Self::internal(failure.to_string()),
        }
    }
}

/// A message to the server, and where its answer goes if it has one.
struct Order {
    method: &'static str,
    params: Value,
    answer: Option<oneshot::Sender<Result<Value, Failure>>>,
}

/// A running server. Dropping it ends the process.
pub(super) struct Server {
    orders: mpsc::Sender<Order>,
    stop: CancellationToken,
    /// What it said it can do.
    capabilities: Value,
}

impl Server {
    /// Starts the server for `language` on a project and waits until it is ready.
    pub(super) async fn start(context: &Context, language: Language, project: &Path, uri: &str) -> Result<Self, Error> {
        let conversation = Conversation::start(context, language, project)?;
        let (orders, receiver) = mpsc::channel(QUEUE);
        let stop = CancellationToken::new();
        let task = conversation.hold(receiver, stop.clone());
        context.processes().chores().spawn(task);
        let mut server = Self { orders, stop, capabilities: Value::Null };
        let mut ready = server.ask("initialize", introduction(language, project, uri), START).await?;
        server.capabilities = ready["capabilities"].take();
        server.tell("initialized", json!({})).await?;
        Ok(server)
    }

    /// Sends a request and waits for its result.
    pub(super) async fn request(&self, method: &'static str, params: Value) -> Result<Value, Failure> {
        self.ask(method, params, ANSWER).await
    }

    async fn ask(&self, method: &'static str, params: Value, limit: Duration) -> Result<Value, Failure> {
        let (answer, answered) = oneshot::channel();
        let exchange = async {
            let order = Order { method, params, answer: Some(answer) };
            self.orders.send(order).await.map_err(|_| Failure::Ended)?;
            answered.await.map_err(|_| Failure::Ended)?
        };
        timeout(limit, exchange).await.unwrap_or(Err(Failure::Late))
    }

    /// Sends a message that has no answer.
    pub(super) async fn tell(&self, method: &'static str, params: Value) -> Result<(), Failure> {
        let sent = timeout(ANSWER, self.orders.send(Order { method, params, answer: None })).await;
        sent.map_err(|_| Failure::Late)?.map_err(|_| Failure::Ended)
    }

    /// Whether the server says that it has this capability.
    pub(super) fn can(&self, capability: &str) -> bool {
        !matches!(self.capabilities[capability], Value::Null | Value::Bool(false))
    }

    /// Whether the process is still there.
    pub(super) fn is_running(&self) -> bool {
        !self.orders.is_closed()
    }

    /// Ends the server: asks it to, and kills it when it does not.
    pub(super) async fn end(&self) {
        if self.ask("shutdown", Value::Null, GRACE).await.is_ok() && self.tell("exit", Value::Null).await.is_ok() {
            // Whether it went by itself or not: it is killed now.
            let _ = timeout(GRACE, self.orders.closed()).await;
        }
        self.stop.cancel();
        self.orders.closed().await;
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// Parameters of `initialize`.
fn introduction(language: Language, project: &Path, uri: &str) -> Value {
    let name = project.file_name().unwrap_or(project.as_os_str()).to_string_lossy();
    json!({
        "processId": null,
        "clientInfo": {"name": "harbor-toolbox"},
        "rootPath": project.to_string_lossy(),
        "rootUri": uri,
        "workspaceFolders": [{"uri": uri, "name": name}],
        "initializationOptions": language.options(),
        "capabilities": {
            "textDocument": {
                "synchronization": {"didSave": false},
                "completion": {"contextSupport": true, "completionItem": {"snippetSupport": false}},
                "documentSymbol": {"hierarchicalDocumentSymbolSupport": false},
            },
            "workspace": {"symbol": {}, "workspaceFolders": true},
        },
    })
}

/// The task's side of a server.
struct Conversation {
    child: Child,
    input: Sender,
    output: Receiver,
    unread: BytesMut,
    received: BytesMut,
    waiting: HashMap<u64, oneshot::Sender<Result<Value, Failure>>>,
    sent: u64,
}

impl Conversation {
    fn start(context: &Context, language: Language, project: &Path) -> Result<Self, Error> {
        if !project.is_dir() {
            return Err(Error::internal(format!("no project directory {}", project.display())));
        }
        let environment = context.environment();
        let (program, arguments) = language.server();
        if command::on_path(program.as_ref(), &environment).is_none() {
            return Err(Error::internal(format!("this image has no {program}; {}", language.remedy())));
        }
        let mut command = command::command(program.as_ref(), &environment, &Variables::new(), project);
        command.args(arguments);
        Self::launch(context, &mut command).map_err(|error| Error::internal(format!("cannot start {program}: {error}")))
    }

    fn launch(context: &Context, command: &mut std::process::Command) -> io::Result<Self> {
        let (stdin, input) = pipe_with(PipeFlags::CLOEXEC)?;
        let (output, stdout) = pipe_with(PipeFlags::CLOEXEC)?;
        let ours = |pipe: OwnedFd| rustix::io::ioctl_fionbio(&pipe, true).map(|()| pipe);
        let (input, output) = (ours(input)?, ours(output)?);
        command.stdin(stdin).stdout(stdout).stderr(Stdio::null());
        let child = context.processes().start(command)?;
        Ok(Self {
            child,
            input: Sender::from_owned_fd_unchecked(input)?,
            output: Receiver::from_owned_fd_unchecked(output)?,
            unread: BytesMut::new(),
            received: BytesMut::new(),
            waiting: HashMap::new(),
            sent: 0,
        })
    }

    /// Carries messages both ways until either side has enough; then the process is killed.
    async fn hold(mut self, mut orders: mpsc::Receiver<Order>, stop: CancellationToken) {
        loop {
            self.received.reserve(16 << 10);
            tokio::select! {
                () = stop.cancelled() => break,
                _ = self.child.wait() => break,
                order = orders.recv(), if self.unread.len() < UNREAD => match order {
                    Some(order) => self.accept(order),
                    None => break,
                },
                written = self.input.write(&self.unread), if !self.unread.is_empty() => match written {
                    Ok(length) => self.unread.advance(length),
                    Err(_) => break,
                },
                read = self.output.read_buf(&mut self.received) => {
                    if !matches!(read, Ok(1..)) || self.take_messages().is_err() {
                        break;
                    }
                }
            }
        }
        self.child.group().signal(Signal::KILL);
        // Who waits for an answer learns of the end when the list of those waiting is dropped with this.
    }

    fn accept(&mut self, order: Order) {
        let Order { method, params, answer } = order;
        let mut message = json!({"jsonrpc": "2.0", "method": method});
        if !params.is_null() {
            message["params"] = params;
        }
        if let Some(answer) = answer {
            self.give_up_on_the_late();
            self.sent += 1;
            message["id"] = self.sent.into();
            self.waiting.insert(self.sent, answer);
        }
        self.write(&message);
    }

    /// Tells the server which answers nobody waits for any more.
    fn give_up_on_the_late(&mut self) {
        let late: Vec<_> = self.waiting.iter().filter(|(_, answer)| answer.is_closed()).map(|(&id, _)| id).collect();
        for id in late {
            self.waiting.remove(&id);
            self.write(&json!({"jsonrpc": "2.0", "method": "$/cancelRequest", "params": {"id": id}}));
        }
    }

    fn write(&mut self, message: &Value) {
        self.unread.extend_from_slice(&framed(message.to_string().as_bytes()));
    }

    fn take_messages(&mut self) -> Result<(), super::framing::Malformed> {
        while let Some(body) = first_body(&self.received)? {
            let message = self.received.split_to(body.end);
            // What is not JSON is of no use to anybody here.
            if let Ok(message) = serde_json::from_slice(&message[body]) {
                self.handle(message);
            }
        }
        Ok(())
    }

    fn handle(&mut self, mut message: Value) {
        let id = message["id"].take();
        if message.get("method").is_some() {
            // A question of the server's; nothing that it may ask has an answer here.
            if !id.is_null() {
                self.write(&json!({"jsonrpc": "2.0", "id": id, "result": null}));
            }
            return;
        }
        let Some(answer) = id.as_u64().and_then(|id| self.waiting.remove(&id)) else { return };
        let result = match message.get("error").filter(|error| !error.is_null()) {
            Some(error) => Err(Failure::Refused(error["message"].as_str().unwrap_or("unknown error").to_owned())),
            None => Ok(message["result"].take()),
        };
        // Whoever asked may have gone.
        let _ = answer.send(result);
    }
}
