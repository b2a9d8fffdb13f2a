//! The bytes of a body on their way to the disk, and whether they are what the client says.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures_util::StreamExt as _;
use http::HeaderMap;
use s3s::checksum::ChecksumHasher;
use s3s::crypto::{Checksum as _, Crc32, Crc32c, Crc64Nvme, Md5, Sha1, Sha256};
use s3s::dto::{Checksum, StreamingBlob};
use s3s::{S3Result, TrailingHeaders, s3_error};

use crate::blobs::{Blobs, Fresh};

/// What stands before the algorithm in the header of a checksum.
const CHECKSUM: &str = "x-amz-checksum-";

/// Checksums by algorithm, base64.
pub(super) type Checksums = BTreeMap<String, String>;

/// What a client says of a body.
#[derive(Default)]
pub(super) struct Promise {
    md5: Option<String>,
    checksums: Checksums,
    trailers: Option<TrailingHeaders>,
    algorithms: Vec<String>,
    /// Those whose checksum is to come after the body.
    announced: Vec<String>,
}

/// A body that lies on the disk.
pub(super) struct Received {
    pub(super) fresh: Fresh,
    /// In hexadecimal digits.
    pub(super) md5: String,
    pub(super) checksums: Checksums,
}

impl Promise {
    /// What these headers say, and those that come after the body.
    pub(super) fn of(headers: &HeaderMap, trailers: Option<TrailingHeaders>) -> S3Result<Self> {
        let mut promise = Self { trailers, ..Self::default() };
        for (name, value) in headers {
            let Ok(value) = value.to_str() else { continue };
            match name.as_str() {
                "content-md5" => promise.md5 = Some(value.to_owned()),
                // computed though no checksum is sent: the answer tells it
                "x-amz-sdk-checksum-algorithm" => promise.algorithms.push(value.to_ascii_lowercase()),
                "x-amz-trailer" => {
                    let names = value.split(',').filter_map(|name| name.trim().strip_prefix(CHECKSUM));
                    promise.announced.extend(names.map(str::to_ascii_lowercase));
                }
                name => {
                    let algorithm =
                        name.strip_prefix(CHECKSUM).filter(|name| !matches!(*name, "algorithm" | "mode" | "type"));
                    if let Some(algorithm) = algorithm {
                        promise.algorithms.push(algorithm.to_owned());
                        promise.checksums.insert(algorithm.to_owned(), value.to_owned());
                    }
                }
            }
        }
        promise.algorithms.extend(promise.announced.iter().cloned());
        let unknown = promise.algorithms.iter().find(|algorithm| !is_known(algorithm));
        match unknown {
            Some(algorithm) => Err(s3_error!(InvalidRequest, "There is no checksum algorithm {algorithm}.")),
            None => Ok(promise),
        }
    }

    fn hasher(&self) -> ChecksumHasher {
        hasher(|name| self.algorithms.iter().any(|wanted| wanted == name))
    }

    /// Whether what came is what was promised.
    fn check(&self, md5: &[u8], found: &Checksums) -> S3Result<()> {
        if let Some(promised) = &self.md5 {
            let promised = STANDARD.decode(promised).ok().filter(|bytes| bytes.len() == 16);
            let promised = promised.ok_or_else(|| s3_error!(InvalidDigest, "Content-MD5 is no MD5 in base64."))?;
            if promised != md5 {
                return Err(s3_error!(BadDigest, "The body is not the one whose MD5 was sent."));
            }
        }
        let mut promised = self.checksums.clone();
        if let Some(trailers) = self.trailers.as_ref().and_then(TrailingHeaders::take) {
            for (name, value) in &trailers {
                if let (Some(algorithm), Ok(value)) = (name.as_str().strip_prefix(CHECKSUM), value.to_str()) {
                    promised.insert(algorithm.to_owned(), value.to_owned());
                }
            }
        }
        if let Some(name) = self.announced.iter().find(|name| !promised.contains_key(*name)) {
            return Err(s3_error!(
                InvalidRequest,
                "The {name} checksum that was announced did not come after the body."
            ));
        }
        for (algorithm, value) in &promised {
            if found.get(algorithm) != Some(value) {
                return Err(s3_error!(BadDigest, "The body is not the one whose {algorithm} checksum was sent."));
            }
        }
        Ok(())
    }
}

/// Writes a body; nothing stays of one that is not what was promised.
pub(super) async fn receive(
    blobs: &Blobs,
    body: Option<StreamingBlob>,
    length: Option<i64>,
    promise: Promise,
) -> S3Result<Received> {
    let (mut md5, mut hasher) = (Md5::new(), promise.hasher());
    let seen = |bytes: &[u8]| {
        md5.update(bytes);
        hasher.update(bytes);
    };
    let fresh = match body {
        Some(body) => blobs.write(body, seen).await?,
        None => blobs.write(futures_util::stream::empty::<Result<Bytes, std::io::Error>>().boxed(), seen).await?,
    };
    let (md5, checksums) = (md5.finalize(), named(&hasher.finalize()));
    let length = length.and_then(|length| u64::try_from(length).ok());
    if length.is_some_and(|length| length != fresh.piece.size) {
        return Err(s3_error!(IncompleteBody, "The body is not as long as was said."));
    }
    promise.check(md5.as_ref(), &checksums)?;
    Ok(Received { fresh, md5: harbor_model::hex(md5.as_ref()), checksums })
}

/// Computes the checksums of the algorithms that are wanted.
pub(super) fn hasher(wanted: impl Fn(&str) -> bool) -> ChecksumHasher {
    ChecksumHasher {
        crc32: wanted("crc32").then(Crc32::new),
        crc32c: wanted("crc32c").then(Crc32c::new),
        sha1: wanted("sha1").then(Sha1::new),
        sha256: wanted("sha256").then(Sha256::new),
        crc64nvme: wanted("crc64nvme").then(Crc64Nvme::new),
    }
}

fn is_known(algorithm: &str) -> bool {
    matches!(algorithm, "crc32" | "crc32c" | "crc64nvme" | "sha1" | "sha256")
}

/// The checksums that were computed, by algorithm.
pub(super) fn named(found: &Checksum) -> Checksums {
    let all = [
        ("crc32", &found.checksum_crc32),
        ("crc32c", &found.checksum_crc32c),
        ("crc64nvme", &found.checksum_crc64nvme),
        ("sha1", &found.checksum_sha1),
        ("sha256", &found.checksum_sha256),
    ];
    all.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value.clone()?))).collect()
}

/// Puts checksums where an output has them.
macro_rules! with_checksums {
    ($output:expr, $checksums:expr) => {{
        let mut output = $output;
        output.checksum_crc32 = $checksums.get("crc32").cloned();
        output.checksum_crc32c = $checksums.get("crc32c").cloned();
        output.checksum_crc64nvme = $checksums.get("crc64nvme").cloned();
        output.checksum_sha1 = $checksums.get("sha1").cloned();
        output.checksum_sha256 = $checksums.get("sha256").cloned();
        output
    }};
}
pub(super) use with_checksums;
