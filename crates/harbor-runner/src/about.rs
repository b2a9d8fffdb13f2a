//! What an engine is and what it can give; measured, for `doctor`, limits and messages.

/// The engine and its machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct About {
    /// The engine's own id, stable over its restarts.
    pub id: String,
    /// Version of the engine.
    pub version: String,
    /// Version of its API that is spoken.
    pub api: String,
    /// Storage driver, such as `overlay2`, or snapshotter, such as `overlayfs`.
    pub storage: String,
    /// Whether images live in containerd's store.
    pub containerd_store: bool,
    /// Cgroup hierarchy: 1 or 2.
    pub cgroup: u8,
    /// Processors of its machine.
    pub processors: u32,
    /// Memory of its machine, in bytes.
    pub memory: u64,
    /// Where it keeps images and layers.
    pub root: String,
    /// Bytes that fit there; `None` when that is not on this machine.
    pub disk: Option<u64>,
    /// Free bytes there; `None` when that is not on this machine.
    pub free: Option<u64>,
    /// Whether it runs without root.
    pub rootless: bool,
    /// Its machine's architecture, as images name it: `amd64`, `arm64`.
    pub architecture: String,
    /// Kernel release of its machine.
    pub kernel: String,
    /// Runtimes that can be asked for.
    pub runtimes: Vec<String>,
}
