//! One terminal: its shell, its output and its end.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use rustix::process::Pid;
use serde::Serialize;
use tokio::sync::{mpsc, watch};

use super::output::Output;
use super::terminal::{Size, Terminal};
use crate::cgroup::MemoryWatch;
use crate::context::Context;
use crate::http::error::{Error, timestamp};
use crate::process::command::{self, Variables};
use crate::process::{Child, Shell, Tree};

/// Most inputs that wait for programs to read them.
const INPUTS: usize = 16;

/// Most bytes read at once.
const READ: usize = 32 << 10;

/// Most bytes that are read of a terminal whose shell has ended.
const TAIL: usize = 256 << 10;

/// What a client asks for.
pub(super) struct Specification {
    pub(super) id: String,
    pub(super) cwd: PathBuf,
    pub(super) envs: BTreeMap<String, String>,
    pub(super) size: Size,
    /// The shell waits for the first client.
    pub(super) lazy_start: bool,
}

/// A terminal that clients know.
pub(super) struct Session {
    specification: Specification,
    created: String,
    size: Mutex<Size>,
    pub(super) output: Arc<Output>,
    input: mpsc::Sender<Bytes>,
    life: watch::Sender<Life>,
    /// Held while the shell is being started, so that this happens once.
    stage: Mutex<Stage>,
}

/// How far a terminal is, for those who wait for its end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Life {
    #[default]
    Open,
    /// The shell has ended with this code, and all of its output is in.
    Ended(i32),
}

enum Stage {
    Waiting(mpsc::Receiver<Bytes>),
    Running { shell: Pid, terminal: Arc<Terminal> },
    Over,
}

/// A terminal as clients see it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Description {
    id: String,
    cwd: String,
    envs: BTreeMap<String, String>,
    cols: u16,
    rows: u16,
    created_at: String,
    active: bool,
    lazy_start: bool,
}

impl Session {
    /// A terminal without a shell yet.
    pub(super) fn new(mut specification: Specification) -> Self {
        specification.envs.entry("TERM".to_owned()).or_insert_with(|| "xterm-256color".to_owned());
        let size = Mutex::new(specification.size);
        let (input, inputs) = mpsc::channel(INPUTS);
        Self {
            specification,
            created: timestamp(),
            size,
            output: Arc::default(),
            input,
            life: watch::Sender::default(),
            stage: Mutex::new(Stage::Waiting(inputs)),
        }
    }

    pub(super) fn id(&self) -> &str {
        &self.specification.id
    }

    /// Starts the shell, unless it has been: what is returned then reads and writes the terminal until the shell ends,
    /// and tells its exit code.
    ///
    /// Errors: 500 when it cannot be started (it may be tried again), 410 when it has ended.
    pub(super) fn start(
        self: &Arc<Self>,
        context: &Context,
    ) -> Result<Option<impl Future<Output = i32> + Send + use<>>, Error> {
        let mut stage = self.stage();
        match *stage {
            Stage::Waiting(_) => {}
            Stage::Running { .. } => return Ok(None),
            Stage::Over => return Err(unavailable(self.id())),
        }
        let (terminal, child) = self.launch(context)?;
        let (shell, terminal) = (child.group().pid(), Arc::new(terminal));
        let running = Stage::Running { shell, terminal: Arc::clone(&terminal) };
        match std::mem::replace(&mut *stage, running) {
            Stage::Waiting(inputs) => Ok(Some(Arc::clone(self).attend(terminal, child, inputs))),
            Stage::Running { .. } | Stage::Over => Ok(None),
        }
    }

    fn launch(&self, context: &Context) -> Result<(Terminal, Child), Error> {
        let Specification { cwd, envs, .. } = &self.specification;
        let failed = |reason: &dyn std::fmt::Display| Error::internal(format!("failed to start PTY session: {reason}"));
        // Starting in a missing directory would be blamed on the shell.
        if !cwd.is_dir() {
            return Err(failed(&format_args!("{} is not a directory", cwd.display())));
        }
        let environment = context.environment();
        let shell = Shell::of(&environment).program;
        let variables: Variables = envs.iter().map(|(name, value)| (name.clone(), Some(value.clone()))).collect();
        let mut command = command::command(&shell, &environment, &variables, cwd);
        command.args(["-i", "-l"]);
        Terminal::start(context.processes(), command, *self.size()).map_err(|error| failed(&error))
    }

    /// Reads the terminal and writes to it until the shell ends.
    async fn attend(self: Arc<Self>, terminal: Arc<Terminal>, mut child: Child, inputs: mpsc::Receiver<Bytes>) -> i32 {
        let memory = MemoryWatch::begin();
        let mut buffer = vec![0; READ];
        let code = tokio::select! {
            biased;
            code = child.wait_as_shell() => code,
            never = self.transfer(&terminal, &mut buffer, inputs) => match never {},
        };
        let mut tail = 0;
        while let (true, Ok(length @ 1..)) = (tail < TAIL, terminal.try_read(&mut buffer)) {
            self.output.push(&buffer[..length]);
            tail += length;
        }
        if let Some(verdict) = (code != 0).then(|| memory.verdict()).flatten() {
            self.output.push(format!("\r\nharbor: {verdict}\r\n").as_bytes());
        }
        code
    }

    /// The shell has ended with this code, and all of its output is in.
    pub(super) fn end(&self, code: i32) {
        *self.stage() = Stage::Over;
        self.life.send_replace(Life::Ended(code));
    }

    async fn transfer(
        &self,
        terminal: &Terminal,
        buffer: &mut [u8],
        mut inputs: mpsc::Receiver<Bytes>,
    ) -> std::convert::Infallible {
        let reading = async {
            loop {
                self.output.room().await;
                match terminal.read(buffer).await {
                    Ok(length @ 1..) => self.output.push(&buffer[..length]),
                    _ => break, // no program has the terminal any more; the shell's end comes by itself
                }
            }
        };
        let writing = async {
            while let Some(text) = inputs.recv().await {
                // What nobody can read any more is lost.
                let _ = terminal.write_all(&text).await;
            }
        };
        tokio::join!(reading, writing);
        std::future::pending().await
    }

    /// Types `text`; waits while programs read nothing. False: there is nobody any more to read it.
    pub(super) async fn write(&self, text: Bytes) -> bool {
        self.input.send(text).await.is_ok()
    }

    /// Changes the size; before the shell is started, the size it will see.
    pub(super) fn resize(&self, size: Size) -> Result<(), Error> {
        match &*self.stage() {
            Stage::Waiting(_) => {}
            Stage::Over => return Err(unavailable(self.id())),
            Stage::Running { terminal, .. } => terminal
                .resize(size)
                .map_err(|error| Error::internal(format!("cannot resize PTY session {}: {error}", self.id())))?,
        }
        *self.size() = size;
        Ok(())
    }

    /// Kills every process below the shell, and the shell, and waits for the end. False: it had ended.
    pub(super) async fn kill(&self) -> bool {
        let running = match std::mem::replace(&mut *self.stage(), Stage::Over) {
            Stage::Waiting(_) => None,
            Stage::Running { shell, .. } => Some(Tree::of(shell)),
            Stage::Over => return false,
        };
        if let Some(tree) = running {
            tree.kill().await;
            let _ = self.life().wait_for(|life| *life != Life::Open).await;
        }
        true
    }

    /// Tells of the end.
    pub(super) fn life(&self) -> watch::Receiver<Life> {
        self.life.subscribe()
    }

    /// What clients are told of it.
    pub(super) fn describe(&self) -> Description {
        let Specification { id, cwd, envs, lazy_start, .. } = &self.specification;
        let Size { cols, rows } = *self.size();
        Description {
            id: id.clone(),
            cwd: cwd.to_string_lossy().into_owned(),
            envs: envs.clone(),
            cols,
            rows,
            created_at: self.created.clone(),
            active: matches!(*self.stage(), Stage::Running { .. }),
            lazy_start: *lazy_start,
        }
    }

    fn size(&self) -> MutexGuard<'_, Size> {
        self.size.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn stage(&self) -> MutexGuard<'_, Stage> {
        self.stage.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The terminal of this id is no more.
pub(super) fn unavailable(id: &str) -> Error {
    Error::gone(format!("PTY session {id} not found")).with_code("SESSION_ENDED")
}
