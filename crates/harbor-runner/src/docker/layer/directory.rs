//! A layer as a directory of its own, with the digest of all but its files' contents: for one that is read once and soon,
//! since nothing is compressed, and files need not be copied back.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use harbor_layer::{Contents, Cut, copy, describe, remove};
use harbor_model::hex;
use sha2::{Digest, Sha256};

use super::{Written, damaged, put_in_place};

/// Copies the layer `from` to `directory`, which is there afterwards, whole and on the disk, or as it was before.
pub(super) fn write(from: &Path, directory: &Path, cut: &Cut) -> io::Result<Written> {
    cut.check()?;
    remove(directory, cut)?;
    let partial = directory.with_extension("partial");
    remove(&partial, cut)?;
    let written = write_partial(from, &partial, cut);
    if written.is_err() {
        let _the_garbage_loop_tries_again = remove(&partial, &Cut::default());
    }
    let written = written?;
    put_in_place(&partial, directory, cut)?;
    Ok(written)
}

fn write_partial(from: &Path, partial: &Path, cut: &Cut) -> io::Result<Written> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(partial)?;
    copy(from, partial, Contents::Copied, io::sink(), cut)?;
    let mut description = Hashed::default();
    let bytes = describe(partial, &mut description, cut)?;
    Ok(Written { digest: hex(&description.0.finalize()), bytes })
}

/// Gives what `directory` holds to the layer `to`. One whose digest is not this is an error, and what was made of it is
/// worth nothing.
pub(super) fn read(directory: &Path, digest: &str, to: &Path, cut: &Cut) -> io::Result<()> {
    let mut description = Hashed::default();
    copy(directory, to, Contents::Shared, &mut description, cut)?;
    if hex(&description.0.finalize()) == digest { Ok(()) } else { Err(damaged(directory)) }
}

/// What passes through, hashed.
#[derive(Default)]
struct Hashed(Sha256);

impl Write for Hashed {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.0.update(buffer);
        Ok(buffer.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
