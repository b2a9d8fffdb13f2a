//! One language server: a child process and the conversation with it (contract, toolbox §13).
//!
//! Guarantees: every request has a deadline and every buffer a bound; a server that ends, or sends what is no message,
//! fails all that wait for it at once; it ends with the value that stands for it.

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::unix::pipe::{Receiver, Sender};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::dialogue::{Dialogue, Failure, Order};
use super::language::Language;
use crate::cgroup::MemoryWatch;
use crate::context::Context;
use crate::http::error::Error;
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

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Late => Self::timeout(failure.to_string()),
            Failure::Ended | Failure::OutOfMemory(_) | Failure::Refused(_) => Self::internal(failure.to_string()),
        }
    }
}

/// A running server. Dropping it ends the process.
pub(super) struct Server {
    orders: mpsc::Sender<Order>,
    stop: CancellationToken,
    /// What it said it can do.
    capabilities: Value,
    memory: MemoryWatch,
}

impl Server {
    /// Starts the server for `language` on a project and waits until it is ready.
    pub(super) async fn start(context: &Context, language: Language, project: &Path, uri: &str) -> Result<Self, Error> {
        let memory = MemoryWatch::begin();
        let conversation = Conversation::start(context, language, project)?;
        let (orders, receiver) = mpsc::channel(QUEUE);
        let stop = CancellationToken::new();
        let task = conversation.hold(receiver, stop.clone());
        context.processes().chores().spawn(task);
        let mut server = Self { orders, stop, capabilities: Value::Null, memory };
        let mut ready = server.ask("initialize", introduction(language, project, uri), START).await?;
        // Whatever it answered: one that does not say what it can do is asked for nothing special.
        server.capabilities = ready.get_mut("capabilities").map(Value::take).unwrap_or_default();
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
        timeout(limit, exchange).await.unwrap_or(Err(Failure::Late)).map_err(|failure| self.explained(failure))
    }

    /// Sends a message that has no answer.
    pub(super) async fn tell(&self, method: &'static str, params: Value) -> Result<(), Failure> {
        let sent = timeout(ANSWER, self.orders.send(Order { method, params, answer: None })).await;
        sent.map_err(|_| Failure::Late)?.map_err(|_| self.explained(Failure::Ended))
    }

    /// The failure, and why the server has ended if the sandbox had no memory left for it.
    fn explained(&self, failure: Failure) -> Failure {
        match (failure, self.lacked_memory()) {
            (Failure::Ended, Some(verdict)) => Failure::OutOfMemory(verdict),
            (failure, _) => failure,
        }
    }

    /// What to say where the sandbox had no memory left since the server was started.
    pub(super) fn lacked_memory(&self) -> Option<String> {
        self.memory.verdict()
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
    dialogue: Dialogue,
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
            dialogue: Dialogue::default(),
        })
    }

    /// Carries messages both ways until either side has enough; then the process is killed.
    async fn hold(mut self, mut orders: mpsc::Receiver<Order>, stop: CancellationToken) {
        let dialogue = &mut self.dialogue;
        loop {
            let (unread, received) = dialogue.buffers();
            received.reserve(16 << 10);
            tokio::select! {
                () = stop.cancelled() => break,
                _ = self.child.wait() => break,
                order = orders.recv(), if unread.len() < UNREAD => match order {
                    Some(order) => dialogue.accept(order),
                    None => break,
                },
                written = self.input.write(unread), if !unread.is_empty() => match written {
                    Ok(length) => dialogue.was_read(length),
                    Err(_) => break,
                },
                read = self.output.read_buf(received) => {
                    if !matches!(read, Ok(1..)) || dialogue.take_messages().is_err() {
                        break;
                    }
                }
            }
        }
        self.child.group().signal(Signal::KILL);
        // Who waits for an answer learns of the end when the list of those waiting is dropped with this.
    }
}
