//! Files, read ahead.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};

/// The bytes of a file from `start` on, `size` of them, in chunks of at most `most`: the next one is read while one is sent.
pub(crate) fn chunks(
    file: File,
    start: u64,
    size: u64,
    most: u64,
) -> impl Stream<Item = io::Result<Bytes>> + Send + Sync {
    let (file, end) = (Arc::new(file), start + size);
    let starts = std::iter::successors(Some(start), move |at| Some(at + most)).take_while(move |at| *at < end);
    let read = move |at: u64| {
        let (file, length) = (Arc::clone(&file), most.min(end - at));
        // begun as soon as it is asked for, whether somebody waits for it or not
        let reading = tokio::task::spawn_blocking(move || {
            let mut chunk = vec![0; usize::try_from(length).map_err(io::Error::other)?];
            file.read_exact_at(&mut chunk, at)?;
            Ok(Bytes::from(chunk))
        });
        async move { reading.await.map_err(io::Error::other)? }
    };
    futures_util::stream::iter(starts).map(read).buffered(2)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use futures_util::TryStreamExt as _;

    use super::*;

    #[tokio::test]
    async fn a_range_comes_whole_in_its_order() {
        let mut file = tempfile::tempfile().unwrap();
        let bytes: Vec<u8> = (0..1000_u32).flat_map(u32::to_le_bytes).collect();
        file.write_all(&bytes).unwrap();
        for (start, size, most) in
            [(0, 4000, 1), (0, 4000, 4000), (7, 3001, 64), (3999, 1, 64), (4000, 0, 64), (5, 64, 32)]
        {
            let chunks: Vec<Bytes> = chunks(file.try_clone().unwrap(), start, size, most).try_collect().await.unwrap();
            assert!(chunks.iter().all(|chunk| chunk.len() as u64 <= most));
            let (start, size) = (usize::try_from(start).unwrap(), usize::try_from(size).unwrap());
            assert_eq!(chunks.concat(), bytes[start..start + size]);
        }
    }

    #[tokio::test]
    async fn a_file_that_was_cut_is_an_error() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&[7; 100]).unwrap();
        let read: io::Result<Vec<Bytes>> = chunks(file, 0, 101, 64).try_collect().await;
        assert_eq!(read.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }
}
