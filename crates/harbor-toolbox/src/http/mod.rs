//! The HTTP dialect of the contract: error bodies, JSON, routing rules, client versions, web sockets (toolbox §2 and §3).

pub(crate) mod answers;
pub(crate) mod client;
pub(crate) mod error;
pub(crate) mod json;
pub(crate) mod params;
pub(crate) mod upgrade;
pub(crate) mod websocket;
