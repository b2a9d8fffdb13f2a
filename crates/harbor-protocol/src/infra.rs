//! harbor ⇄ infra: dialling into a sandbox's network namespace.
//!
//! Two transports carry the same messages.
//!
//! *Passing* (harbor and the engine share a kernel): infra listens on the `SOCK_SEQPACKET` unix socket
//! [`SOCKET`] in a host directory mounted into infra alone. One packet is one JSON [`Request`]; the answer is one JSON
//! [`Reply`]. A successful [`Request::Dial`] carries the connected TCP socket as `SCM_RIGHTS`, so bytes then flow with
//! no further hop; it is nonblocking and has `TCP_NODELAY`. A connection may be used for any number of requests, one
//! after another; at most [`MAX_CONNECTIONS`] are served at a time, further ones wait to be accepted.
//!
//! *Streaming* (Docker Desktop, a remote engine): infra listens on TCP port [`STREAM_PORT`], published to the host's
//! loopback. A connection starts with one line of JSON, a [`Hello`], answered by one line of JSON, a [`Reply`]; after a
//! successful dial the connection is the stream, half-close included; after any other answer infra closes it. Lines
//! are at most [`MAX_MESSAGE`] bytes, ended by `\n`, and harbor sends nothing more until it has read the answer. The
//! token is read from [`TOKEN_FILE`], which harbor copies into the container before its first start.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Version of this schema. Infra states the one it speaks in [`Reply::Ready`].
pub const PROTOCOL: u32 = 1;

/// What the infra container runs.
pub const BINARY: &str = "/opt/harbor/current/harbor-infra";

/// Directory in the infra container where harbor's socket directory of this sandbox is mounted.
pub const SOCKET_DIRECTORY: &str = "/run/harbor";

/// File name of the socket inside [`SOCKET_DIRECTORY`].
pub const SOCKET: &str = "infra.sock";

/// TCP port of the streaming form, on all addresses of the namespace.
pub const STREAM_PORT: u16 = 2279;

/// File in the infra container with the token of the streaming form; absent: that form is off.
pub const TOKEN_FILE: &str = "/harbor-token";

/// The shortest token that infra accepts, in bytes: a truncated file must not open the door.
pub const MIN_TOKEN: usize = 16;

/// How many connections of the passing form infra serves at a time.
pub const MAX_CONNECTIONS: usize = 128;

/// The longest message in either direction, in bytes.
pub const MAX_MESSAGE: usize = 64 * 1024;

/// One request to infra.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case")]
pub enum Request {
    /// Are you there, and who are you? Answered by [`Reply::Ready`].
    Ready,
    /// Connect to this TCP port inside the namespace: 127.0.0.1 first, then `::1`. Answered by [`Reply::Dialled`].
    Dial {
        /// 1 to 65535, but for infra's own [`STREAM_PORT`] where that form is on.
        port: u16,
    },
    /// Put this network policy in force, replacing the one before it. Answered by [`Reply::Applied`].
    Policy(Policy),
}

/// First line of the streaming form. Its `Debug` form hides the token.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// The sandbox's stream token.
    pub token: String,
    /// The one request of this connection.
    #[serde(flatten)]
    pub request: Request,
}

impl fmt::Debug for Hello {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Hello").field("request", &self.request).finish_non_exhaustive()
    }
}

/// Answer to a [`Request`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "kebab-case")]
pub enum Reply {
    /// Infra serves.
    Ready {
        /// [`PROTOCOL`] of infra.
        protocol: u32,
        /// Version of infra.
        version: String,
    },
    /// The connection stands; it is the attached descriptor, or the rest of this stream.
    Dialled,
    /// The policy is in force.
    Applied,
    /// The request was understood and could not be carried out.
    Failed {
        /// Which kind of failure, for harbor's decision.
        reason: Failure,
        /// What failed and why, for people.
        message: String,
    },
}

/// Why infra could not do what it was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Failure {
    /// Nothing listens on the port, on neither loopback address.
    Refused,
    /// The connection was not made within infra's deadline.
    TimedOut,
    /// The token is wrong.
    Unauthorized,
    /// The message was not understood or asks for what this infra cannot do: malformed, too long, of a newer protocol.
    Unsupported,
    /// As many connections as infra can hold are open; it works again once some have ended.
    Busy,
    /// Anything else.
    Internal,
}

/// What a sandbox may reach (design D6).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// Nothing leaves the namespace but replies to harbor's own connections.
    #[serde(default)]
    pub block_all: bool,
    /// IPv4 networks in CIDR form; not empty: only these may be reached.
    #[serde(default)]
    pub allow_networks: Vec<String>,
    /// Domain names, `*.` allowed as the first label; not empty: only their addresses may be reached.
    #[serde(default)]
    pub allow_domains: Vec<String>,
}
