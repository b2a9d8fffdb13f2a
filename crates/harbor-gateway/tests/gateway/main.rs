//! The toolbox proxy from outside, over real sockets.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod fixture;

mod access;
mod confinement;
mod connections;
mod cross_origin;
mod departure;
mod endless;
mod key_end;
mod passing;
mod real_toolbox;
mod scripted;
mod signed_urls;
mod smuggling;
mod tunnels;
