//! Images as an engine knows them, and what it is told to make one.

use std::collections::HashMap;
use std::io;
use std::pin::Pin;

use bytes::Bytes;
use futures_util::Stream;
use harbor_model::secrets::Secret;

/// An image on the engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// Its id; another id is another image, whatever its name.
    pub id: String,
    /// Its size in bytes, all layers.
    pub size: u64,
    /// Its entrypoint; empty: none.
    pub entrypoint: Vec<String>,
    /// Its working directory; empty: none named.
    pub working_dir: String,
    /// Its user; empty: root.
    pub user: String,
    /// The directories whose files a container of it keeps in volumes of its own (`VOLUME`).
    pub volumes: Vec<String>,
    /// Its architecture: `amd64`, `arm64`.
    pub architecture: String,
}

/// A login to a registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Login {
    /// Where: a host, with a port or path if need be, without a scheme.
    pub registry: String,
    /// Who.
    pub username: String,
    /// With what.
    pub password: Secret,
}

/// A step of a pull.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    /// The layer, if it is about one.
    pub layer: Option<String>,
    /// What is done, in the engine's words.
    pub status: String,
    /// Bytes done and bytes in all, as far as known.
    pub bytes: Option<(u64, u64)>,
}

/// A build context: a tar archive, plain or compressed.
pub type Context = Pin<Box<dyn Stream<Item = io::Result<Bytes>> + Send>>;

/// What to build.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Build {
    /// Path of the Dockerfile in the context; `None`: `Dockerfile`.
    pub dockerfile: Option<String>,
    /// The stage to stop at; `None`: the last.
    pub target: Option<String>,
    /// The name that the image gets.
    pub tag: String,
    /// Build arguments.
    pub arguments: HashMap<String, String>,
    /// Labels of the image.
    pub labels: HashMap<String, String>,
    /// Whether it is this installation's, so that `Engine::built_images` tells of it.
    pub own: bool,
    /// Logins to the registries that its base images may lie in.
    pub logins: Vec<Login>,
}
