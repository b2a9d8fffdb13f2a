//! Listeners from outside, over real sockets.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod deadlines;
mod fixture;
mod heads;
mod leftovers;
mod slots;
