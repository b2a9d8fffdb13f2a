//! A line to the real engine that can be cut, held and mended.

use std::io;
use std::path::{Path, PathBuf};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::engine::engine_socket;

/// How the line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    /// Bytes flow.
    Open,
    /// Connections are accepted and nothing flows, as with an engine that hangs.
    Held,
    /// Connections are refused and open ones are closed, as with an engine that died.
    Cut,
}

/// A unix socket behind which the engine is.
#[derive(Debug)]
pub struct Line {
    path: PathBuf,
    mode: watch::Sender<Mode>,
    accepting: Option<JoinHandle<()>>,
}

impl Line {
    /// A line that is open, at `path`.
    pub fn open(path: &Path) -> Self {
        let mut line = Self { path: path.to_owned(), mode: watch::Sender::new(Mode::Open), accepting: None };
        line.listen();
        line
    }

    /// What harbor is told.
    pub fn docker_host(&self) -> String {
        format!("unix://{}", self.path.display())
    }

    /// The engine dies.
    pub async fn cut(&mut self) {
        self.mode.send_replace(Mode::Cut);
        if let Some(accepting) = self.accepting.take() {
            accepting.abort();
            let _cancelled = accepting.await;
        }
    }

    /// The engine hangs.
    pub fn hold(&self) {
        self.mode.send_replace(Mode::Held);
    }

    /// The engine is back.
    pub fn mend(&mut self) {
        self.mode.send_replace(Mode::Open);
        if self.accepting.is_none() {
            self.listen();
        }
    }

    fn listen(&mut self) {
        let _none_yet = std::fs::remove_file(&self.path);
        let listener = UnixListener::bind(&self.path).expect("a socket");
        let mode = self.mode.clone();
        self.accepting = Some(tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(join(client, mode.subscribe()));
            }
        }));
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.mode.send_replace(Mode::Cut);
        if let Some(accepting) = self.accepting.take() {
            accepting.abort();
        }
    }
}

/// Joins a client to the engine until either closes or the line is cut.
async fn join(client: UnixStream, mut mode: watch::Receiver<Mode>) {
    let Ok(engine) = UnixStream::connect(engine_socket()).await else { return };
    let ((from_client, to_client), (from_engine, to_engine)) = (client.into_split(), engine.into_split());
    let there = pump(from_client, to_engine, mode.clone());
    let back = pump(from_engine, to_client, mode.clone());
    tokio::select! {
        _ = async { tokio::join!(there, back) } => {}
        _ = mode.wait_for(|mode| *mode == Mode::Cut) => {}
    }
}

async fn pump(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut mode: watch::Receiver<Mode>) -> io::Result<()> {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let length = from.read(&mut buffer).await?;
        if mode.wait_for(|mode| *mode != Mode::Held).await.is_err() {
            return Ok(());
        }
        if length == 0 {
            return to.shutdown().await;
        }
        to.write_all(&buffer[..length]).await?;
    }
}
