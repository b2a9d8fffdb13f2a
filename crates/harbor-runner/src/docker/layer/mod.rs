//! Writable layers of containers: where they lie, copied to each other, and stored as compressed files or as directories
//! (design D7).

mod archive;
mod digest;
mod directory;
mod locate;
mod porter;

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::Path;
use std::time::Duration;

use harbor_layer::{Contents, Cut, CutWhenDropped, pack, unpack};

pub(crate) use locate::Place;

/// A layer that was stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Written {
    /// SHA-256 in hexadecimal: of a compressed file, or of the description of a directory.
    pub(crate) digest: String,
    /// Bytes of the file, or of all files in the directory.
    pub(crate) bytes: u64,
}

/// Copies the contents of the layer `from` into the layer `to`, within `limit`. Dropped or late, it stops reading, and what
/// it has written stays.
pub(crate) async fn copy(from: &Path, to: &Path, limit: Duration) -> io::Result<()> {
    let (from, to) = (from.to_owned(), to.to_owned());
    on_a_thread(limit, move |cut| harbor_layer::copy(&from, &to, Contents::Copied, io::sink(), cut)).await
}

/// Copies the contents of the layer `from` to `directory`, within `limit`. The directory appears when it is complete.
pub(crate) async fn keep(from: &Path, directory: &Path, limit: Duration) -> io::Result<Written> {
    let (from, directory) = (from.to_owned(), directory.to_owned());
    on_a_thread(limit, move |cut| directory::write(&from, &directory, cut)).await
}

/// Gives what `directory` holds, which must have this digest, to the layer `to`, within `limit`. Files may be the same ones
/// afterwards: the directory is to be removed before anything runs on the layer.
pub(crate) async fn give(directory: &Path, digest: &str, to: &Path, limit: Duration) -> io::Result<()> {
    let (directory, digest, to) = (directory.to_owned(), digest.to_owned(), to.to_owned());
    on_a_thread(limit, move |cut| directory::read(&directory, &digest, &to, cut)).await
}

/// Writes the contents of the layer `from` to `file`, within `limit`. The file appears when it is complete.
pub(crate) async fn save(from: &Path, file: &Path, limit: Duration) -> io::Result<Written> {
    let from = from.to_owned();
    store(move |output, cut| pack(&from, output, cut), file, limit).await
}

/// Writes the archive that `from` writes to `file`, within `limit`. The file appears when it is complete.
pub(crate) async fn store(
    from: impl FnOnce(&mut dyn Write, &Cut) -> io::Result<()> + Send + 'static,
    file: &Path,
    limit: Duration,
) -> io::Result<Written> {
    let file = file.to_owned();
    on_a_thread(limit, move |cut| archive::write(from, &file, cut)).await
}

/// Writes what `file` holds, which must have this digest, into the layer `to`, within `limit`.
pub(crate) async fn restore(file: &Path, digest: &str, to: &Path, limit: Duration) -> io::Result<()> {
    let to = to.to_owned();
    fetch(file, digest, move |input| unpack(&to, input), limit).await
}

/// Gives the archive that `file` holds, which must have this digest, to `to`, within `limit`.
pub(crate) async fn fetch(
    file: &Path,
    digest: &str,
    to: impl FnOnce(&mut dyn Read) -> io::Result<()> + Send + 'static,
    limit: Duration,
) -> io::Result<()> {
    let (file, digest) = (file.to_owned(), digest.to_owned());
    on_a_thread(limit, move |cut| archive::read(&file, &digest, to, cut)).await
}

/// Removes a directory with all that is in it, within `limit`. One that is gone is fine.
pub(crate) async fn remove(directory: &Path, limit: Duration) -> io::Result<()> {
    let directory = directory.to_owned();
    on_a_thread(limit, move |cut| harbor_layer::remove(&directory, cut)).await
}

/// Runs `work` where it may block. Dropped or late, it is cut short.
async fn on_a_thread<T: Send + 'static>(
    limit: Duration,
    work: impl FnOnce(&Cut) -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    let cut = Cut::default();
    let _cut_when_dropped = CutWhenDropped(cut.clone());
    let working = tokio::task::spawn_blocking(move || work(&cut));
    match tokio::time::timeout(limit, working).await {
        Ok(ended) => ended.map_err(io::Error::other)?,
        Err(_) => Err(io::ErrorKind::TimedOut.into()),
    }
}

/// Gives what was stored under the name `partial` its own name `stored`, for good, unless the copy is to end.
fn put_in_place(partial: &Path, stored: &Path, cut: &Cut) -> io::Result<()> {
    cut.check()?;
    fs::rename(partial, stored)?;
    stored.parent().map_or(Ok(()), |directory| File::open(directory)?.sync_all())
}

/// The error of something stored that is not what was written.
fn damaged(stored: &Path) -> io::Error {
    let reason = format!("{} is damaged: its digest is another one", stored.display());
    io::Error::new(io::ErrorKind::InvalidData, reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_copy_ends_with_its_limit() {
        let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::write(from.path().join("file"), vec![1; 1 << 20]).unwrap();
        let late = copy(from.path(), to.path(), Duration::ZERO).await.unwrap_err();
        assert_eq!(late.kind(), io::ErrorKind::TimedOut);
    }
}
