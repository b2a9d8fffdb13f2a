//! What goes to the engine for a build with uploads: one archive of all that they hold, put together while it is sent
//! (contract, edges §4.5).

use std::cell::Cell;
use std::io::{self, Read, Write};
use std::path::{Component, Path, PathBuf};
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::{Bytes, BytesMut};
use harbor_runner::Context;
use tar::{Archive, EntryType, Header};
use tokio::sync::mpsc;
use tokio_util::io::{StreamReader, SyncIoBridge};

/// How much is sent to the engine at a time, in bytes.
const CHUNK: usize = 64 << 10;

/// Chunks that wait for the engine.
const CHUNKS: usize = 4;

/// The most bytes that an archive may have from one file to the next: names and attributes, which are held in memory.
const LONGEST_HEADS: u64 = 1 << 20;

/// The most bytes that an archive may lack at its end: of the last block of a file, and the two blocks after it.
const MOST_MISSING: usize = 3 * 512;

/// Where harbor's own files lie.
pub(super) const OWN: &str = ".harbor";

/// An upload: its name, and the archive.
pub(super) type Upload = (String, Context);

/// What came of putting an archive together.
#[derive(Clone, Default)]
pub(super) struct Composition(Arc<Mutex<Option<Result<(), Flaw>>>>);

/// Why an archive could not be put together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Flaw {
    /// In words.
    pub(super) reason: String,
    /// Whether the uploads are to blame, and not what they lie on.
    pub(super) is_final: bool,
}

impl Composition {
    /// Why it could not be put together; `None`: it was, or nobody has read it to its end.
    pub(super) fn flaw(&self) -> Option<Flaw> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()?.err()
    }

    fn settle(&self, outcome: Result<(), Flaw>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(outcome);
    }

    fn is_settled(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }
}

/// The archive of `own` files and all that is in `uploads`; of two files of one name the later one counts, and `own` come last.
pub(super) fn compose(own: Vec<(String, Vec<u8>)>, uploads: Vec<Upload>) -> (Context, Composition) {
    let composition = Composition::default();
    if uploads.is_empty() {
        return (Box::pin(futures_util::stream::iter([alone(own)])), composition);
    }
    let (sender, receiver) = mpsc::channel(CHUNKS);
    let noted = composition.clone();
    // ends with the archive, or with whoever reads it
    tokio::task::spawn_blocking(move || {
        let mut chunks = Chunks { sender, gathered: BytesMut::with_capacity(CHUNK) };
        match write(&mut chunks, own, uploads) {
            Ok(()) => noted.settle(Ok(())),
            // nobody reads any more
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
            Err(error) => {
                let is_final = error.kind() == io::ErrorKind::InvalidData;
                noted.settle(Err(Flaw { reason: error.to_string(), is_final }));
                let _nobody_reads_any_more = chunks.sender.blocking_send(Err(error));
            }
        }
    });
    let ended = composition.clone();
    let stream = futures_util::stream::unfold(Some(receiver), move |receiver| {
        let ended = ended.clone();
        async move {
            let mut receiver = receiver?;
            match receiver.recv().await {
                Some(chunk) => Some((chunk, Some(receiver))),
                None if ended.is_settled() => None,
                None => Some((Err(io::Error::other("the archive was not put together")), None)),
            }
        }
    });
    (Box::pin(stream), composition)
}

/// The archive of harbor's own files, which are small: nothing is waited for.
fn alone(own: Vec<(String, Vec<u8>)>) -> io::Result<Bytes> {
    let mut archive = tar::Builder::new(Vec::new());
    for (name, content) in own {
        append(&mut archive, &name, &content)?;
    }
    archive.into_inner().map(Bytes::from)
}

fn write(chunks: &mut Chunks, own: Vec<(String, Vec<u8>)>, uploads: Vec<Upload>) -> io::Result<()> {
    let mut archive = tar::Builder::new(chunks);
    for (name, upload) in uploads {
        let input = SyncIoBridge::new(StreamReader::new(upload));
        add(&mut archive, input).map_err(|error| of_upload(&name, &error))?;
    }
    for (name, content) in own {
        append(&mut archive, &name, &content)?;
    }
    archive.into_inner()?.flush()
}

fn of_upload(name: &str, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("the uploaded files {name} cannot be used: {error}"))
}

/// Adds everything in an upload's archive, whose end may be missing (contract, edges §3.4).
fn add(archive: &mut tar::Builder<&mut Chunks>, input: impl Read) -> io::Result<()> {
    let (beyond, allowed) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(LONGEST_HEADS)));
    let mut upload = Archive::new(Padded { inner: input, beyond: Rc::clone(&beyond), allowed: Rc::clone(&allowed) });
    let mut entries = upload.entries()?;
    loop {
        allowed.set(LONGEST_HEADS);
        let Some(entry) = entries.next() else { break };
        let mut entry = entry.map_err(unreadable)?;
        allowed.set(u64::MAX);
        let path = inside(&entry.path()?)?;
        // the directory that everything is in
        if path.as_os_str().is_empty() {
            continue;
        }
        let kind = entry.header().entry_type();
        let mut header = plain(entry.header(), kind)?;
        match kind {
            EntryType::Regular | EntryType::Continuous => {
                header.set_size(entry.size());
                archive.append_data(&mut header, &path, &mut entry)?;
                if beyond.get() > 0 {
                    return Err(invalid(format!("it ends within {}", path.display())));
                }
            }
            EntryType::Directory => archive.append_data(&mut header, &path, io::empty())?,
            EntryType::Symlink => {
                let target = entry.link_name()?.ok_or_else(|| invalid("a link leads nowhere"))?;
                archive.append_link(&mut header, &path, &target)?;
            }
            EntryType::Link => {
                let target = entry.link_name()?.ok_or_else(|| invalid("a link leads nowhere"))?;
                archive.append_link(&mut header, &path, inside(&target)?)?;
            }
            kind => {
                let path = path.display();
                return Err(invalid(format!("{path} is neither a file nor a directory nor a link ({kind:?})")));
            }
        }
    }
    Ok(())
}

/// What is kept of an entry: its rights and its time. Who owned it on the client's machine means nothing here.
fn plain(of: &Header, kind: EntryType) -> io::Result<Header> {
    let mut header = Header::new_gnu();
    header.set_entry_type(if kind == EntryType::Continuous { EntryType::Regular } else { kind });
    header.set_mode(of.mode()? & 0o7777);
    header.set_mtime(of.mtime().unwrap_or_default());
    header.set_uid(0);
    header.set_gid(0);
    header.set_size(0);
    Ok(header)
}

/// The path without what leads to the root of the client's machine; one that leads out is refused.
fn inside(path: &Path) -> io::Result<PathBuf> {
    let mut inside = PathBuf::new();
    for component in path.components() {
        match component {
            Component::Normal(name) => inside.push(name),
            Component::CurDir | Component::RootDir | Component::Prefix(_) => {}
            Component::ParentDir => return Err(invalid(format!("{} leads out of it", path.display()))),
        }
    }
    Ok(inside)
}

/// Adds a file of harbor's own.
fn append(archive: &mut tar::Builder<impl Write>, name: &str, content: &[u8]) -> io::Result<()> {
    let mut header = Header::new_gnu();
    header.set_mode(0o644);
    header.set_mtime(0);
    header.set_uid(0);
    header.set_gid(0);
    header.set_size(content.len() as u64);
    archive.append_data(&mut header, name, content)
}

/// An error of the library's, which calls everything that cannot be read so.
fn unreadable(error: io::Error) -> io::Error {
    if error.kind() == io::ErrorKind::Other { invalid(error.to_string()) } else { error }
}

fn invalid(message: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, message.into())
}

/// What is read, and zeros for what is missing at its end.
struct Padded<R> {
    inner: R,
    /// How many such zeros were read.
    beyond: Rc<Cell<usize>>,
    /// How many bytes may be read before this is set anew.
    allowed: Rc<Cell<u64>>,
}

impl<R: Read> Read for Padded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        if read > 0 || buffer.is_empty() {
            let left = self.allowed.get().checked_sub(read as u64);
            self.allowed.set(left.ok_or_else(|| invalid("what it says of a file is too long"))?);
            return Ok(read);
        }
        let missing = buffer.len().min(MOST_MISSING - self.beyond.get().min(MOST_MISSING));
        buffer[..missing].fill(0);
        self.beyond.set(self.beyond.get() + missing);
        Ok(missing)
    }
}

/// Sends what is written, in chunks.
struct Chunks {
    sender: mpsc::Sender<io::Result<Bytes>>,
    gathered: BytesMut,
}

impl Write for Chunks {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.gathered.extend_from_slice(bytes);
        if self.gathered.len() >= CHUNK {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let chunk = self.gathered.split().freeze();
        if chunk.is_empty() {
            return Ok(());
        }
        self.sender.blocking_send(Ok(chunk)).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use futures_util::TryStreamExt as _;

    use super::*;

    fn archived(entries: impl FnOnce(&mut tar::Builder<Vec<u8>>)) -> Vec<u8> {
        let mut archive = tar::Builder::new(Vec::new());
        entries(&mut archive);
        archive.into_inner().unwrap()
    }

    fn file(archive: &mut tar::Builder<Vec<u8>>, path: &str, content: &str) {
        entry(archive, path, EntryType::Regular, content, None);
    }

    /// With the name as it is, which the library would not write.
    fn entry(archive: &mut tar::Builder<Vec<u8>>, path: &str, kind: EntryType, content: &str, target: Option<&str>) {
        let mut header = Header::new_gnu();
        header.as_old_mut().name[..path.len()].copy_from_slice(path.as_bytes());
        if let Some(target) = target {
            header.as_old_mut().linkname[..target.len()].copy_from_slice(target.as_bytes());
        }
        header.set_entry_type(kind);
        header.set_mode(0o640);
        header.set_size(content.len() as u64);
        header.set_cksum();
        archive.append(&header, content.as_bytes()).unwrap();
    }

    /// What the engine would find: paths, and contents or where links lead.
    async fn composed(uploads: Vec<Vec<u8>>) -> Result<BTreeMap<String, String>, String> {
        let uploads = uploads.into_iter().enumerate().map(|(number, bytes)| {
            let stream: Context = Box::pin(futures_util::stream::iter([Ok(Bytes::from(bytes))]));
            (format!("upload{number}"), stream)
        });
        let own = vec![("Dockerfile".to_owned(), b"FROM x".to_vec())];
        let (context, composition) = compose(own, uploads.collect());
        let read = context.try_fold(Vec::new(), |mut all, chunk| async move {
            all.extend_from_slice(&chunk);
            Ok(all)
        });
        let bytes = read.await.map_err(|error| error.to_string());
        assert_eq!(bytes.as_ref().err(), composition.flaw().map(|flaw| flaw.reason).as_ref());
        assert!(composition.flaw().is_none_or(|flaw| flaw.is_final));
        let bytes = bytes?;
        let mut found = BTreeMap::new();
        for entry in Archive::new(&*bytes).entries().unwrap() {
            let mut entry = entry.unwrap();
            let path = entry.path().unwrap().to_string_lossy().into_owned();
            let mut text = String::new();
            entry.read_to_string(&mut text).unwrap();
            let target = entry.link_name().unwrap().map(|target| target.to_string_lossy().into_owned());
            assert_eq!(entry.header().uid().unwrap(), 0);
            found.insert(path, target.unwrap_or(text));
        }
        Ok(found)
    }

    fn expected<const N: usize>(entries: [(&str, &str); N]) -> BTreeMap<String, String> {
        entries.map(|(path, content)| (path.to_owned(), content.to_owned())).into()
    }

    #[tokio::test]
    async fn uploads_become_one_archive() {
        let first = archived(|archive| {
            entry(archive, "./", EntryType::Directory, "", None);
            entry(archive, "./empty/", EntryType::Directory, "", None);
            file(archive, "/home/u/a.txt", "absolute");
            file(archive, "twice", "first");
            file(archive, "Dockerfile", "of the user");
            entry(archive, "link", EntryType::Symlink, "", Some("../anywhere"));
            entry(archive, "name", EntryType::Link, "", Some("/twice"));
        });
        let second = archived(|archive| file(archive, "twice", "second"));
        let all = [
            ("empty", ""),
            ("home/u/a.txt", "absolute"),
            ("twice", "second"),
            ("Dockerfile", "FROM x"),
            ("link", "../anywhere"),
            ("name", "twice"),
        ];
        assert_eq!(composed(vec![first, second]).await, Ok(expected(all)));
        assert_eq!(composed(Vec::new()).await, Ok(expected([("Dockerfile", "FROM x")])));
    }

    #[tokio::test]
    async fn an_archive_may_lack_its_end() {
        let whole = archived(|archive| file(archive, "a", "content"));
        // without the blocks at the end, and without what fills the last block
        for length in [whole.len(), 1024, 512 + 7] {
            let found = composed(vec![whole[..length].to_vec()]).await;
            assert_eq!(found, Ok(expected([("a", "content"), ("Dockerfile", "FROM x")])), "{length}");
        }
        let mut lying = Header::new_gnu();
        lying.set_path("a").unwrap();
        lying.set_mode(0o644);
        lying.set_size(1 << 60);
        lying.set_cksum();
        for archive in [whole[..512 + 3].to_vec(), [lying.as_bytes(), &[b'x'; 100][..]].concat()] {
            let cut = composed(vec![archive]).await.unwrap_err();
            assert!(cut.contains("upload0") && cut.contains("it ends within a"), "{cut}");
        }
    }

    #[tokio::test]
    async fn what_leads_out_is_refused() {
        for (path, kind, target) in [
            ("../a", EntryType::Regular, None),
            ("a/../../b", EntryType::Regular, None),
            ("a", EntryType::Link, Some("../b")),
            ("a", EntryType::Char, None),
            ("a", EntryType::Fifo, None),
            ("a", EntryType::GNUSparse, None),
        ] {
            let refused = composed(vec![archived(|archive| entry(archive, path, kind, "", target))]).await.unwrap_err();
            assert!(refused.contains("upload0"), "{path}: {refused}");
        }
        let long = "x".repeat(2 << 20);
        let named = archived(|archive| entry(archive, "././@LongLink", EntryType::GNULongName, &long, None));
        let refused = composed(vec![named]).await.unwrap_err();
        assert!(refused.contains("too long"), "{refused}");
        let nonsense = composed(vec![vec![b'x'; 2000]]).await.unwrap_err();
        assert!(nonsense.contains("cannot be used"), "{nonsense}");
    }
}
