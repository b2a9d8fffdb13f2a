//! Writable layers of containers: where they lie, copied to each other, and stored as compressed files (design D7).

mod archive;
mod locate;
mod porter;

use std::io::{self, Read, Write};
use std::path::Path;
use std::time::Duration;

use harbor_layer::{Cut, CutWhenDropped, pack, unpack};

pub(crate) use archive::Written;
pub(crate) use locate::Place;

/// Copies the contents of the layer `from` into the layer `to`, through the archive form, within `limit`. Dropped or
/// late, it stops reading, and what it has written stays.
pub(crate) async fn copy(from: &Path, to: &Path, limit: Duration) -> io::Result<()> {
    let (from, to) = (from.to_owned(), to.to_owned());
    let (reader, writer) = io::pipe()?;
    let cut = Cut::default();
    let _cut_when_dropped = CutWhenDropped(cut.clone());
    let packing = tokio::task::spawn_blocking(move || pack(&from, writer, &cut));
    let unpacking = tokio::task::spawn_blocking(move || unpack(&to, reader));
    let both = async { tokio::try_join!(packing, unpacking).map_err(io::Error::other) };
    let late = |_| io::Error::from(io::ErrorKind::TimedOut);
    let (packed, unpacked) = tokio::time::timeout(limit, both).await.map_err(late)??;
    // the reader's reason, since the writer then only sees a broken pipe
    unpacked.and(packed)
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

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[tokio::test]
    async fn a_copy_ends_with_its_limit() {
        let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::write(from.path().join("file"), vec![1; 1 << 20]).unwrap();
        let late = copy(from.path(), to.path(), Duration::ZERO).await.unwrap_err();
        assert_eq!(late.kind(), io::ErrorKind::TimedOut);
    }
}
