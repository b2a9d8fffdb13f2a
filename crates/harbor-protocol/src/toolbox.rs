//! harbor ⇄ toolbox: how a toolbox is told who it is.
//!
//! The toolbox listens on port [`PORT`] of the sandbox's loopback and refuses every request with 401 until
//! [`CONFIGURE_PATH`] has been posted once. From then on each request must carry the sandbox's token in
//! [`TOKEN_HEADER`]; the toolbox removes that header before a request goes anywhere else.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Version of this schema. A toolbox states the one it speaks in [`Configured`].
pub const PROTOCOL: u32 = 1;

/// TCP port of the toolbox inside the sandbox's network namespace, on 127.0.0.1 and, where there is one, `::1`.
pub const PORT: u16 = 2280;

/// Header that carries the sandbox's token on every request from harbor.
pub const TOKEN_HEADER: &str = "x-harbor-token";

/// Header with which harbor asks for a command's log as it is written, for a caller without a WebSocket who was promised
/// that (contract, toolbox §1.4); in any other request `follow=true` means nothing without an upgrade.
pub const FOLLOW_HEADER: &str = "x-harbor-follow";

/// `POST` a [`Configure`] here; answers 200 [`Configured`], or 401 when the token is wrong.
///
/// Not part of the public toolbox API: harbor's proxy never forwards paths below `/.harbor/`.
pub const CONFIGURE_PATH: &str = "/.harbor/configure";

/// Directory in the sandbox (the read-only toolbox volume) that holds harbor's binaries, behind the link `current`.
pub const DIRECTORY: &str = "/opt/harbor";

/// What process 1 of a sandbox container runs.
pub const BINARY: &str = "/opt/harbor/current/harbor-toolbox";

/// The argument with which root in the sandbox runs [`BINARY`], and after it a number of seconds, to put the sandbox to
/// sleep: every process is asked to end, and made to after so long; process 1 begins anew and waits to be configured. It
/// ends with 0 when that is so.
pub const SLEEP: &str = "--sleep";

/// The argument with which root in the sandbox runs [`BINARY`] to learn what is mounted where: it says what
/// `/proc/self/mountinfo` does.
pub const MOUNTS: &str = "--mounts";

/// What the toolbox is called by in the sandbox: a link beside [`BINARY`], for `daytona entrypoint logs` (contract, toolbox
/// §4.1).
pub const COMMAND: &str = "daytona";

/// Identity, token and environment of a sandbox, sent before any other process of it runs.
///
/// Idempotent. The first call to a toolbox process needs no token and sets it; a later one must carry the token in
/// force in [`TOKEN_HEADER`], or anything in the sandbox could give the toolbox a token of its own. Each call replaces
/// the environment for all processes started from then on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Configure {
    /// [`PROTOCOL`] of the sender.
    pub protocol: u32,
    /// The sandbox's id, a lowercase UUID.
    pub sandbox: String,
    /// The token that requests must carry from now on.
    pub token: String,
    /// Environment on top of the image's own, values verbatim: `DAYTONA_SANDBOX_ID` and the user's variables.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// Work in the user's home directory: the image names no working directory (contract, toolbox §4.4).
    #[serde(default)]
    pub home_as_work_dir: bool,
    /// The image's working directory, where the toolbox was not started in it; it is made if it is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub work_dir: Option<String>,
    /// Arguments of the snapshot's entrypoint, run as the session `entrypoint`; empty: there is none.
    #[serde(default)]
    pub entrypoint: Vec<String>,
}

/// Answer to [`Configure`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Configured {
    /// [`PROTOCOL`] of the toolbox.
    pub protocol: u32,
    /// Version of the toolbox, as `GET /version` answers it.
    pub version: String,
}
