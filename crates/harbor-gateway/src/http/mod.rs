//! HTTP on its way into a sandbox and back, whatever the road: what travels, over which connection, and what is said
//! when nothing comes back. Knows no road.

pub(crate) mod activity;
pub(crate) mod cors;
pub(crate) mod dialled;
pub(crate) mod download;
pub(crate) mod forward;
pub(crate) mod guard;
pub(crate) mod headers;
pub(crate) mod host;
pub(crate) mod pool;
pub(crate) mod refusal;
pub(crate) mod tasks;
pub(crate) mod tunnel;
pub(crate) mod upload;
pub(crate) mod upstream;
