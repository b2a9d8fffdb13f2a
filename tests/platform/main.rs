//! The platform: the built binary over a real engine, as a user, an accident or an attacker meets it.
//!
//! What `tests/suites` shows with a shell is not repeated here.

mod burst;
mod capacity;
mod copies;
mod crash;
mod default_image;
mod engine_lost;
mod foreground;
mod full_disk;
mod images;
mod limits;
mod links;
mod meddling;
mod orphans;
mod pauses;
mod refusals;
mod resizes;
mod security;
mod settings;
mod sleeps;
mod timers;
mod uninstall;
mod volumes;
mod warm_pools;

/// A mebibyte, in bytes.
const MIB: usize = 1 << 20;
