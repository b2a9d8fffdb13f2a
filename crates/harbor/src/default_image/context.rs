//! Build contexts: the embedded Dockerfile with the host's extra certificate authorities, and a Debian root.

use std::fs;
use std::io;
use std::path::Path;

use bytes::Bytes;
use harbor_runner::Context;
use tokio_util::io::ReaderStream;

use crate::builds;

/// The Dockerfile of the default image.
const DOCKERFILE: &str = include_str!("../../../../deploy/sandbox/Dockerfile");

/// Which Dockerfile an image was built from: kept as the image's label, as `scripts/default-image` writes it.
pub(super) fn dockerfile_hash() -> String {
    use sha2::Digest as _;
    harbor_model::hex(&sha2::Sha256::digest(DOCKERFILE))
}

/// The Dockerfile and `ca/`.
pub(super) fn sandbox() -> io::Result<Context> {
    let archive = pack(Path::new(builds::ADDED))?;
    Ok(Box::pin(futures_util::stream::iter([Ok(Bytes::from(archive))])))
}

fn pack(added: &Path) -> io::Result<Vec<u8>> {
    let mut archive = tar::Builder::new(Vec::new());
    append(&mut archive, "Dockerfile", DOCKERFILE.as_bytes())?;
    let mut directory = tar::Header::new_gnu();
    directory.set_entry_type(tar::EntryType::Directory);
    directory.set_mode(0o755);
    directory.set_size(0);
    archive.append_data(&mut directory, "ca/", io::empty())?;
    for (name, content) in builds::certificates(added)? {
        append(&mut archive, &format!("ca/{name}"), &content)?;
    }
    archive.into_inner()
}

fn append(archive: &mut tar::Builder<Vec<u8>>, name: &str, content: &[u8]) -> io::Result<()> {
    let mut header = tar::Header::new_gnu();
    header.set_mode(0o644);
    header.set_size(content.len() as u64);
    archive.append_data(&mut header, name, content)
}

/// A context whose build is the root file system in `archive` (tar, gzip) and nothing else.
///
/// The archive, of about 130 MB, is streamed between a tar header and its end.
pub(super) fn base(archive: &Path) -> io::Result<Context> {
    use futures_util::StreamExt as _;
    let file = fs::File::open(archive)?;
    let size = file.metadata()?.len();
    let mut head = tar::Builder::new(Vec::new());
    append(&mut head, "Dockerfile", b"FROM scratch\nADD root.tar.gz /\nCMD [\"bash\"]\n")?;
    let mut header = tar::Header::new_gnu();
    header.set_path("root.tar.gz")?;
    header.set_mode(0o644);
    header.set_size(size);
    header.set_cksum();
    let mut start = std::mem::take(head.get_mut());
    start.extend_from_slice(header.as_bytes());
    let padding = (512 - size % 512) % 512;
    let end = vec![0; usize::try_from(padding).unwrap_or(0) + 1024];
    let once = |bytes: Vec<u8>| futures_util::stream::iter([Ok(Bytes::from(bytes))]);
    let content = ReaderStream::with_capacity(tokio::fs::File::from_std(file), 256 * 1024);
    Ok(Box::pin(once(start).chain(content).chain(once(end))))
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use futures_util::TryStreamExt as _;

    use super::*;

    fn files(archive: &[u8]) -> Vec<(String, String)> {
        let mut archive = tar::Archive::new(archive);
        let entries = archive.entries().unwrap().map(|entry| {
            let mut entry = entry.unwrap();
            let mut content = String::new();
            entry.read_to_string(&mut content).unwrap();
            (entry.path().unwrap().to_string_lossy().into_owned(), content)
        });
        entries.collect()
    }

    #[test]
    fn the_context_has_the_hosts_authorities_and_always_their_directory() {
        let host = tempfile::tempdir().unwrap();
        let names = || files(&pack(host.path()).unwrap()).into_iter().map(|(name, _)| name).collect::<Vec<_>>();
        assert_eq!(names(), ["Dockerfile", "ca/"]);
        for name in ["b.crt", "a.crt", "notes.txt"] {
            fs::write(host.path().join(name), name).unwrap();
        }
        assert_eq!(names(), ["Dockerfile", "ca/", "ca/a.crt", "ca/b.crt"]);
        assert_eq!(files(&pack(Path::new("/nonexistent")).unwrap()).len(), 2);
    }

    #[tokio::test]
    async fn a_streamed_base_is_a_whole_archive() {
        for size in [0, 1, 512, 600] {
            let root = tempfile::NamedTempFile::new().unwrap();
            fs::write(root.path(), "r".repeat(size)).unwrap();
            let parts: Vec<Bytes> = base(root.path()).unwrap().try_collect().await.unwrap();
            let found = files(&parts.concat());
            assert_eq!(found[1], ("root.tar.gz".to_owned(), "r".repeat(size)));
            assert!(found[0].1.contains("ADD root.tar.gz /"));
            assert_eq!(parts.concat().len() % 512, 0);
        }
    }

    /// What `build` relies on stands in the Dockerfile.
    #[test]
    fn the_embedded_dockerfile_has_the_target() {
        assert!(DOCKERFILE.contains(&format!(" AS {}", super::super::TARGET)));
        assert!(DOCKERFILE.contains("ARG BASE=") && DOCKERFILE.contains("COPY ca/"));
    }
}
