//! The static builds of toolbox, its git, and infra that this binary carries.

use std::io;

use harbor_protocol::toolbox;

/// The binaries and the directory they are delivered to.
#[derive(Debug)]
pub(crate) struct Embedded {
    /// Name of their directory in the toolbox volume: a hash of their contents.
    pub(crate) directory: &'static str,
    /// Toolbox, its git, and infra.
    pub(crate) binaries: &'static [Binary],
}

/// One embedded binary.
#[derive(Debug)]
pub(crate) struct Binary {
    /// File name in [`toolbox::DIRECTORY`]`/current`.
    pub(crate) name: &'static str,
    /// Bytes when unpacked.
    pub(crate) size: usize,
    /// Hash of the unpacked bytes, lowercase hex.
    pub(crate) sha256: &'static str,
    compressed: &'static [u8],
}

impl Binary {
    /// The binary itself.
    pub(crate) fn unpack(&self) -> io::Result<Vec<u8>> {
        zstd::bulk::decompress(self.compressed, self.size)
    }
}

/// What `build.rs` found; `None` when they had not all been built before this crate.
pub(crate) const EMBEDDED: Option<Embedded> = include!(concat!(env!("OUT_DIR"), "/embedded.rs"));

/// The container path of the directory that is delivered to.
pub(crate) const DIRECTORY: &str = toolbox::DIRECTORY;
