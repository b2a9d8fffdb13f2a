//! SQLite: migrations, typed queries, the stream of committed changes.
//!
//! Guarantees: a call that returned has committed and survives power loss (`synchronous = FULL`); changes are
//! announced in commit order, after the commit, so whoever hears of one reads at least that state; a row is changed
//! only in the transaction that read it. SQLite blocks, so the store owns its threads and callers await.
//! Tokens and environments of sandboxes are encrypted, and wiped when the sandbox is gone.
//! Leaves out: every rule about what may change when; that is the model's and control's.

mod blobs;
mod changes;
mod copies;
mod database;
mod encryption;
mod files;
mod garbage;
mod image_row;
mod images;
mod installation;
mod keys;
mod live;
mod migrations;
mod objects;
mod organizations;
mod outbox;
mod pools;
mod registries;
mod repositories;
mod repository_blobs;
mod row;
mod sandbox_change;
mod sandbox_row;
mod sandboxes;
mod seen;
mod signing_keys;
mod snapshots;
mod stock;
mod threads;
mod uploads;
mod volumes;

pub use changes::{Change, Changes};
pub use copies::StoredFiles;
pub use database::{Store, StoreError, Writer};
pub use encryption::EncryptionKey;
pub use keys::KeyOwner;
pub use outbox::OutboxEntry;
pub use sandboxes::FromStock;
