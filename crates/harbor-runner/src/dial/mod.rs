//! Dialling into a sandbox's network namespace through its infra (design D4).
//!
//! Guarantees: every dial ends within [`DEADLINE`]; what infra answers is bounded and checked; a token is never in a
//! message. Leaves out: retrying, which callers decide.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use harbor_model::secrets::Secret;
use harbor_protocol::infra::{Failure, Hello, MAX_MESSAGE, Reply, Request};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

mod passing;
mod stream;

pub use stream::Stream;

/// The longest that a dial takes; infra's own deadline is shorter.
pub const DEADLINE: Duration = Duration::from_secs(10);

/// Why a port of a sandbox was not reached.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    /// Nothing listens on the port.
    #[error("nothing listens on port {0} of the sandbox")]
    Refused(u16),
    /// Nobody answered in time.
    #[error("port {0} of the sandbox did not answer in time")]
    TimedOut(u16),
    /// Infra has as many connections as it can hold.
    #[error("the sandbox has too many open connections; close some")]
    Busy,
    /// Infra itself was not reached: its container does not run, or does not listen yet.
    #[error("the sandbox's infra container does not answer")]
    Gone(#[source] io::Error),
    /// Infra answered, and not what was asked for.
    #[error("the sandbox's infra container cannot do that: {0}")]
    Unexpected(String),
}

/// Dials through one infra container.
#[derive(Clone, Debug)]
pub struct InfraDialer(Way);

#[derive(Clone, Debug)]
enum Way {
    Passing { directory: PathBuf },
    Streaming { address: SocketAddr, token: Secret },
}

impl InfraDialer {
    /// Through the unix socket in `directory`.
    pub fn passing(directory: &Path) -> Self {
        Self(Way::Passing { directory: directory.to_owned() })
    }

    /// Through infra's published port at `address`.
    pub fn streaming(address: SocketAddr, token: Secret) -> Self {
        Self(Way::Streaming { address, token })
    }

    /// Connects to `port` inside the namespace.
    pub async fn dial(&self, port: u16) -> Result<Stream, DialError> {
        let timed_out = |_| DialError::TimedOut(port);
        let (reply, stream) =
            tokio::time::timeout(DEADLINE, self.ask(&Request::Dial { port })).await.map_err(timed_out)??;
        match (reply, stream) {
            (Reply::Dialled, Some(stream)) => Ok(Stream::of(stream)),
            (reply, _) => Err(refusal(port, &reply)),
        }
    }

    /// Asks infra whether it serves; answers the version of it.
    pub async fn ready(&self) -> Result<String, DialError> {
        let silent = |_| DialError::Gone(io::ErrorKind::TimedOut.into());
        match tokio::time::timeout(DEADLINE, self.ask(&Request::Ready)).await.map_err(silent)?? {
            (Reply::Ready { version, .. }, _) => Ok(version),
            (reply, _) => Err(refusal(0, &reply)),
        }
    }

    async fn ask(&self, request: &Request) -> Result<(Reply, Option<TcpStream>), DialError> {
        match &self.0 {
            Way::Passing { directory } => {
                let packet = serde_json::to_vec(request).map_err(|error| DialError::Unexpected(error.to_string()))?;
                let (answer, socket) = passing::exchange(directory, &packet).await.map_err(DialError::Gone)?;
                let stream = socket.map(|socket| TcpStream::from_std(socket.into())).transpose();
                Ok((understand(&answer)?, stream.map_err(DialError::Gone)?))
            }
            Way::Streaming { address, token } => stream(*address, token, request).await,
        }
    }
}

/// One request in the streaming form; the connection is the stream when it was a dial.
async fn stream(
    address: SocketAddr,
    token: &Secret,
    request: &Request,
) -> Result<(Reply, Option<TcpStream>), DialError> {
    let hello = Hello { token: token.reveal().to_owned(), request: request.clone() };
    let mut line = serde_json::to_vec(&hello).map_err(|error| DialError::Unexpected(error.to_string()))?;
    line.push(b'\n');
    let mut connection = TcpStream::connect(address).await.map_err(DialError::Gone)?;
    connection.set_nodelay(true).map_err(DialError::Gone)?;
    connection.write_all(&line).await.map_err(DialError::Gone)?;
    let reply = understand(&read_line(&mut connection).await.map_err(DialError::Gone)?)?;
    Ok((reply, Some(connection)))
}

/// Reads up to and without the line's end, and not a byte beyond: that is the dialled stream's.
async fn read_line(connection: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut line = Vec::with_capacity(128);
    while line.len() < MAX_MESSAGE {
        match connection.read_u8().await? {
            b'\n' => return Ok(line),
            byte => line.push(byte),
        }
    }
    Err(io::Error::new(io::ErrorKind::InvalidData, "infra's answer is too long"))
}

fn understand(answer: &[u8]) -> Result<Reply, DialError> {
    serde_json::from_slice(answer).map_err(|error| DialError::Unexpected(format!("its answer is malformed: {error}")))
}

fn refusal(port: u16, reply: &Reply) -> DialError {
    let Reply::Failed { reason, message } = reply else {
        return DialError::Unexpected("it answered another question".to_owned());
    };
    match reason {
        Failure::Refused => DialError::Refused(port),
        Failure::TimedOut => DialError::TimedOut(port),
        Failure::Busy => DialError::Busy,
        Failure::Unauthorized | Failure::Unsupported | Failure::Internal => DialError::Unexpected(message.clone()),
    }
}
