//! What travels between harbor and its own parts inside a sandbox; serde only.
//!
//! Running sandboxes outlive upgrades of harbor: harbor N drives toolbox and infra N−1. So every message names its
//! protocol version, fields are only ever added (with a default), and a snapshot test holds the written form.
//! Public toolbox bodies are not here: they only stream through harbor.

pub mod infra;
pub mod lent;
pub mod remote;
pub mod toolbox;
