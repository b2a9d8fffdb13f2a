//! Bytes at rest: one blob store, and the faces by which clients reach it: S3, and a registry of images.
//!
//! Guarantees: what was answered with success is on the disk, blob before index; an object is replaced whole or not at all,
//! and whoever reads it meanwhile reads the one it began with; what was cut off leaves nothing visible, and its bytes go with
//! the next sweep. A blob is written once and never changed.
//! Leaves out: where things are and who may do what. It asks [`Index`] and [`Authorize`], or [`Repositories`] and
//! [`AuthorizeRepositories`], so a face can be tested with clients of other makes alone.

mod authorize;
mod blobs;
mod file;
mod garbage;
mod index;
mod oci;
mod repositories;
mod s3;

pub use authorize::{Authorize, Denied, Scope};
pub use blobs::{BlobError, Blobs, ByteStream};
pub use index::{Index, IndexError};
pub use oci::{AuthorizeRepositories, LoginRefused, Registry, RegistryConfig, RepositoryAccess};
pub use repositories::Repositories;
pub use s3::{Config as S3Config, router as s3_router};
