//! The in-sandbox daemon: process 1 of a sandbox, the toolbox API.

mod auth;
mod context;
mod error;
mod files;
mod http;
mod identity;
mod info;
mod json;
mod routes;

fn main() {}
