//! The store on a real SQLite file: what a caller may rely on.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test's fixtures fail loudly and speak to their parent"
)]

mod blobs;
mod file;
mod fixture;
mod garbage;
mod keys;
mod sandboxes;
mod volumes;
