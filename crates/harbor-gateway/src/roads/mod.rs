//! The roads: each finds out who is meant and who asks, and passes on what is admitted.

pub(crate) mod preview;
pub(crate) mod toolbox;
