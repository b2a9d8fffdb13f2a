//! Uploads in parts. Each part is a blob, and so are the parts of the object that comes of them: nothing is copied.

use std::ops::Range;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::StreamExt as _;
use harbor_model::Timestamp as Moment;
use harbor_model::objects::{Freshness, Part, Piece, StoredObject, Upload, UploadListing};
use s3s::crypto::{Checksum as _, Md5};
use s3s::dto::{
    AbortMultipartUploadInput, AbortMultipartUploadOutput, Checksum, CommonPrefix, CompleteMultipartUploadInput,
    CompleteMultipartUploadOutput, CompletedPart, CopyPartResult, CreateMultipartUploadInput,
    CreateMultipartUploadOutput, ETag, ListMultipartUploadsInput, ListMultipartUploadsOutput, ListPartsInput,
    ListPartsOutput, MultipartUpload, Part as ListedPart, Range as AskedRange, UploadPartCopyInput,
    UploadPartCopyOutput, UploadPartInput, UploadPartOutput,
};
use s3s::{S3Error, S3Request, S3Response, S3Result, s3_error};
use uuid::Uuid;

use super::attributes::{Attributes, attributes_of, refuse_unbuilt};
use super::buckets::owner;
use super::content::{Checksums, Promise, Received, hasher, named, receive, with_checksums};
use super::errors::{invalid, no_bucket, no_upload, written};
use super::listing::{encoder, most};
use super::objects::{Conditions, condition, conditions_of_copied, signed};
use super::{Face, done};
use crate::authorize::Scope;
use crate::blobs::cut;

/// Every part but the last has to have this many bytes.
const SMALLEST_PART: u64 = 5 << 20;

/// How many uploads are read from the index at a time.
const AT_A_TIME: usize = 1000;

/// The most pieces of an object: those that are copied may have many.
const MOST_PIECES: usize = 20_000;

/// The highest number of a part.
const MOST_PARTS: u32 = 10_000;

impl Face {
    pub(super) async fn create_multipart_upload(
        &self,
        request: S3Request<CreateMultipartUploadInput>,
    ) -> S3Result<S3Response<CreateMultipartUploadOutput>> {
        let mut input = request.input;
        refuse_unbuilt!(input);
        let upload = Upload {
            id: Uuid::new_v4().simple().to_string(),
            bucket: input.bucket.clone(),
            key: input.key.clone(),
            attributes: attributes_of!(input)?.to_json(),
            started_at: Moment::now_utc(),
        };
        let id = upload.id.clone();
        if !self.blobs.index().begin_upload(upload).await? {
            return Err(no_bucket());
        }
        done(CreateMultipartUploadOutput {
            bucket: Some(input.bucket),
            key: Some(input.key),
            upload_id: Some(id),
            checksum_algorithm: input.checksum_algorithm,
            checksum_type: input.checksum_type,
            ..CreateMultipartUploadOutput::default()
        })
    }

    pub(super) async fn upload_part(
        &self,
        request: S3Request<UploadPartInput>,
    ) -> S3Result<S3Response<UploadPartOutput>> {
        let S3Request { mut input, headers, trailing_headers, .. } = request;
        if input.sse_customer_algorithm.is_some() {
            return Err(s3_error!(NotImplemented, "Keys of clients are not kept here."));
        }
        let number = number(input.part_number)?;
        self.upload(&input.upload_id, &input.bucket, &input.key).await?;
        let promise = Promise::of(&headers, trailing_headers)?;
        let _coming = self.blobs.coming(&input.upload_id);
        let Received { fresh, md5, checksums } =
            receive(&self.blobs, input.body.take(), input.content_length, promise).await?;
        let part = Part {
            number,
            size: fresh.piece.size,
            etag: md5.clone(),
            modified_at: Moment::now_utc(),
            checksums: serde_json::to_string(&checksums).unwrap_or_default(), // a map of strings has a JSON form
            pieces: vec![fresh.piece.clone()],
        };
        written(self.blobs.index().add_part(&input.upload_id, part, Freshness::Written).await?, no_upload)?;
        fresh.keep();
        done(with_checksums!(
            UploadPartOutput { e_tag: Some(ETag::Strong(md5)), ..UploadPartOutput::default() },
            checksums
        ))
    }

    pub(super) async fn upload_part_copy(
        &self,
        request: S3Request<UploadPartCopyInput>,
    ) -> S3Result<S3Response<UploadPartCopyOutput>> {
        let S3Request { input, extensions, .. } = request;
        let number = number(input.part_number)?;
        self.upload(&input.upload_id, &input.bucket, &input.key).await?;
        let source = self.copied(&input.copy_source, extensions.get::<Scope>()).await?;
        conditions_of_copied!(input).check_copied(&source)?;
        let range = match input.copy_source_range.as_deref() {
            None => 0..source.size,
            Some(text) => match AskedRange::parse(text) {
                Ok(range @ AskedRange::Int { last: Some(last), .. }) if last < source.size => {
                    range.check(source.size).map_err(|_| s3_error!(InvalidRange))?
                }
                _ => return Err(invalid("The range of the copied object is bytes=first-last, within it.")),
            },
        };
        let etag = self.md5(&source, &range).await?;
        let part = Part {
            number,
            size: range.end - range.start,
            etag: etag.clone(),
            modified_at: Moment::now_utc(),
            checksums: "{}".to_owned(),
            pieces: cut(&source.pieces, range),
        };
        let at = part.modified_at;
        written(self.blobs.index().add_part(&input.upload_id, part, Freshness::Shared).await?, no_upload)?;
        done(UploadPartCopyOutput {
            copy_part_result: Some(CopyPartResult {
                e_tag: Some(ETag::Strong(etag)),
                last_modified: Some(at.into()),
                ..CopyPartResult::default()
            }),
            ..UploadPartCopyOutput::default()
        })
    }

    pub(super) async fn complete_multipart_upload(
        &self,
        request: S3Request<CompleteMultipartUploadInput>,
    ) -> S3Result<S3Response<CompleteMultipartUploadOutput>> {
        let input = request.input;
        let _coming = self.blobs.coming(&input.upload_id);
        let wanted = input.multipart_upload.as_ref().and_then(|upload| upload.parts.as_deref()).unwrap_or_default();
        let upload = match self.upload(&input.upload_id, &input.bucket, &input.key).await {
            Ok(upload) => upload,
            // a client that did not hear the answer asks again
            Err(error) => return self.completed(&input.bucket, &input.key, wanted).await.ok_or(error)?,
        };
        let condition = condition(input.if_match.as_ref(), input.if_none_match.as_ref())?;
        let parts = self.blobs.index().parts(&input.upload_id).await?;
        let chosen = chosen(wanted, &parts)?;
        let size = chosen.iter().map(|part| part.size).sum();
        if input.mpu_object_size.is_some_and(|said| said != signed(size)) {
            return Err(s3_error!(InvalidRequest, "The parts are {size} bytes together."));
        }
        let pieces: Vec<Piece> = chosen.iter().flat_map(|part| part.pieces.clone()).collect();
        if pieces.len() > MOST_PIECES {
            return Err(s3_error!(InvalidRequest, "Copied parts have too many pieces: put the object together anew."));
        }
        let mut attributes = Attributes::from_json(&upload.attributes)?;
        attributes.parts = chosen.iter().map(|part| part.size).collect();
        attributes.checksums = self.verified(&given(&input), &chosen, &pieces, size).await?;
        let etag = etag(chosen.iter().map(|part| &*part.etag))?;
        let object = StoredObject {
            size,
            etag: etag.clone(),
            modified_at: Moment::now_utc(),
            attributes: attributes.to_json(),
            pieces,
        };
        written(self.blobs.index().complete_upload(&input.upload_id, object, condition).await?, no_upload)?;
        done(with_checksums!(
            CompleteMultipartUploadOutput {
                location: Some(format!("/{}/{}", input.bucket, input.key)),
                bucket: Some(input.bucket),
                key: Some(input.key),
                e_tag: Some(ETag::Strong(etag)),
                ..CompleteMultipartUploadOutput::default()
            },
            attributes.checksums
        ))
    }

    pub(super) async fn abort_multipart_upload(
        &self,
        request: S3Request<AbortMultipartUploadInput>,
    ) -> S3Result<S3Response<AbortMultipartUploadOutput>> {
        let input = request.input;
        self.upload(&input.upload_id, &input.bucket, &input.key).await?;
        if !self.blobs.index().abort_upload(&input.upload_id).await? {
            return Err(no_upload());
        }
        done(AbortMultipartUploadOutput::default())
    }

    pub(super) async fn list_parts(&self, request: S3Request<ListPartsInput>) -> S3Result<S3Response<ListPartsOutput>> {
        let input = request.input;
        self.upload(&input.upload_id, &input.bucket, &input.key).await?;
        let most = most(input.max_parts)?;
        let after = input.part_number_marker.unwrap_or_default();
        let mut parts = self.blobs.index().parts(&input.upload_id).await?;
        parts.retain(|part| i64::from(part.number) > i64::from(after));
        let more = parts.len() > usize::try_from(most).unwrap_or_default();
        parts.truncate(usize::try_from(most).unwrap_or_default());
        let last = parts.last().and_then(|part| i32::try_from(part.number).ok());
        let parts = parts.into_iter().map(|part| {
            let checksums: Checksums = serde_json::from_str(&part.checksums).unwrap_or_default();
            let listed = ListedPart {
                part_number: i32::try_from(part.number).ok(),
                size: Some(signed(part.size)),
                e_tag: Some(ETag::Strong(part.etag)),
                last_modified: Some(part.modified_at.into()),
                ..ListedPart::default()
            };
            with_checksums!(listed, checksums)
        });
        done(ListPartsOutput {
            bucket: Some(input.bucket),
            key: Some(input.key),
            upload_id: Some(input.upload_id),
            max_parts: Some(most),
            part_number_marker: Some(after),
            next_part_number_marker: last.filter(|_| more),
            is_truncated: Some(more),
            owner: Some(owner()),
            parts: Some(parts.collect()),
            ..ListPartsOutput::default()
        })
    }

    pub(super) async fn list_multipart_uploads(
        &self,
        request: S3Request<ListMultipartUploadsInput>,
    ) -> S3Result<S3Response<ListMultipartUploadsOutput>> {
        let input = request.input;
        self.need_bucket(&input.bucket).await?;
        let most = most(input.max_uploads)?;
        let encode = encoder(input.encoding_type.as_ref())?;
        let listing = UploadListing {
            prefix: input.prefix.clone().unwrap_or_default(),
            after: (
                input.key_marker.clone().unwrap_or_default(),
                // without an id, all uploads of the marker's key were listed
                input.upload_id_marker.clone().unwrap_or_else(|| char::MAX.to_string()),
            ),
            most: usize::try_from(most).unwrap_or_default(),
        };
        let delimiter = input.delimiter.clone().unwrap_or_default();
        let UnderWay { uploads, common_prefixes, last } = self.under_way(&input.bucket, listing, &delimiter).await?;
        let more = last.is_some();
        let common_prefixes = common_prefixes.into_iter().map(|one| CommonPrefix { prefix: Some(encode(&one)) });
        let uploads = uploads.into_iter().map(|upload| MultipartUpload {
            key: Some(encode(&upload.key)),
            upload_id: Some(upload.id),
            initiated: Some(upload.started_at.into()),
            owner: Some(owner()),
            ..MultipartUpload::default()
        });
        done(ListMultipartUploadsOutput {
            bucket: Some(input.bucket),
            prefix: input.prefix.as_deref().map(encode),
            key_marker: Some(encode(input.key_marker.as_deref().unwrap_or_default())),
            upload_id_marker: input.upload_id_marker,
            next_key_marker: last.as_ref().map(|(key, _)| encode(key)),
            next_upload_id_marker: last.map(|(_, id)| id),
            max_uploads: Some(most),
            is_truncated: Some(more),
            delimiter: input.delimiter.as_deref().map(encode),
            encoding_type: input.encoding_type,
            common_prefixes: Some(common_prefixes.collect()),
            uploads: Some(uploads.collect()),
            ..ListMultipartUploadsOutput::default()
        })
    }

    /// The answer to a completion that was carried out before: the object is the one that these parts make.
    async fn completed(
        &self,
        bucket: &str,
        key: &str,
        parts: &[CompletedPart],
    ) -> Option<S3Result<S3Response<CompleteMultipartUploadOutput>>> {
        let etag = etag(parts.iter().map(|part| part.e_tag.as_ref().map_or("-", ETag::value))).ok()?;
        let object = self.blobs.index().object(bucket, key).await.ok()??;
        (!parts.is_empty() && object.etag == etag).then(|| {
            done(CompleteMultipartUploadOutput {
                location: Some(format!("/{bucket}/{key}")),
                bucket: Some(bucket.to_owned()),
                key: Some(key.to_owned()),
                e_tag: Some(ETag::Strong(etag)),
                ..CompleteMultipartUploadOutput::default()
            })
        })
    }

    /// The uploads of a listing, and what the keys of others are shortened to. There are few uploads: all are read.
    async fn under_way(&self, bucket: &str, mut listing: UploadListing, delimiter: &str) -> S3Result<UnderWay> {
        let most = listing.most;
        let mut listed = UnderWay::default();
        loop {
            let asked = UploadListing { most: AT_A_TIME, ..listing.clone() };
            let (uploads, more) = self.blobs.index().uploads(bucket, asked).await?;
            for upload in uploads {
                let (key, id) = (upload.key.clone(), upload.id.clone());
                let rest = key.strip_prefix(&*listing.prefix).filter(|_| !delimiter.is_empty()).unwrap_or_default();
                let common = rest.find(delimiter).filter(|_| !rest.is_empty()).map(|at| {
                    let end = key.len() - rest.len() + at + delimiter.len();
                    key[..end].to_owned()
                });
                let is_new = common.as_ref().is_none_or(|common| listed.common_prefixes.last() != Some(common));
                if is_new && listed.uploads.len() + listed.common_prefixes.len() == most {
                    listed.last = Some(listing.after);
                    return Ok(listed);
                }
                match common {
                    None => listed.uploads.push(upload),
                    Some(common) if is_new => listed.common_prefixes.push(common),
                    Some(_) => {}
                }
                listing.after = (key, id);
            }
            if !more {
                return Ok(listed);
            }
        }
    }

    /// The MD5 of a range of an object, in hexadecimal digits: of a whole one that came in one piece, it is known.
    async fn md5(&self, object: &StoredObject, range: &Range<u64>) -> S3Result<String> {
        if *range == (0..object.size) && !object.etag.contains('-') {
            return Ok(object.etag.clone());
        }
        let mut md5 = Md5::new();
        let mut bytes = self.blobs.read(&object.pieces, range.clone()).await?;
        while let Some(bytes) = bytes.next().await {
            md5.update(&bytes.map_err(S3Error::internal_error)?);
        }
        Ok(harbor_model::hex(md5.finalize().as_ref()))
    }

    /// The upload with this id, which has to be this object's.
    async fn upload(&self, id: &str, bucket: &str, key: &str) -> S3Result<Upload> {
        let upload = self.blobs.index().upload(id).await?;
        upload.filter(|upload| upload.bucket == bucket && upload.key == key).ok_or_else(no_upload)
    }

    /// The checksums that were sent for the whole object, once they are found right. Composite ones are of the parts' own.
    async fn verified(&self, given: &Checksums, parts: &[&Part], pieces: &[Piece], size: u64) -> S3Result<Checksums> {
        let wrong = || s3_error!(BadDigest, "The object is not the one whose checksum was sent.");
        let mut whole = Checksums::new();
        for (algorithm, value) in given {
            if value.contains('-') {
                if composite(algorithm, parts).as_ref() != Some(value) {
                    return Err(wrong());
                }
            } else {
                whole.insert(algorithm.clone(), value.clone());
            }
        }
        if !whole.is_empty() {
            let mut hasher = hasher(|name| whole.contains_key(name));
            let mut bytes = self.blobs.read(pieces, 0..size).await?;
            while let Some(bytes) = bytes.next().await {
                hasher.update(&bytes.map_err(S3Error::internal_error)?);
            }
            if named(&hasher.finalize()) != whole {
                return Err(wrong());
            }
        }
        Ok(whole)
    }
}

/// Uploads that are under way.
#[derive(Default)]
struct UnderWay {
    uploads: Vec<Upload>,
    common_prefixes: Vec<String>,
    /// Key and id of the last that was looked at, if there are more.
    last: Option<(String, String)>,
}

/// The number of a part.
fn number(given: i32) -> S3Result<u32> {
    let number = u32::try_from(given).ok().filter(|number| (1..=MOST_PARTS).contains(number));
    number.ok_or_else(|| invalid("Part numbers are 1 to 10000."))
}

/// The parts that are wanted, as they were written.
fn chosen<'a>(wanted: &[CompletedPart], parts: &'a [Part]) -> S3Result<Vec<&'a Part>> {
    if wanted.is_empty() {
        return Err(s3_error!(MalformedXML, "The document names no parts."));
    }
    let mut chosen: Vec<&Part> = Vec::new();
    for one in wanted {
        let number = number(one.part_number.ok_or_else(|| s3_error!(MalformedXML, "A part has no number."))?)?;
        if chosen.last().is_some_and(|before| before.number >= number) {
            return Err(s3_error!(InvalidPartOrder, "The parts are not in the order of their numbers."));
        }
        let found = parts.binary_search_by_key(&number, |part| part.number).ok().map(|at| &parts[at]);
        let etag = one.e_tag.as_ref().map(ETag::value);
        let part = found.filter(|part| etag.is_none_or(|etag| etag == part.etag));
        let part = part.ok_or_else(|| s3_error!(InvalidPart, "Part {number} was not uploaded, or is another one."))?;
        let written: Checksums = serde_json::from_str(&part.checksums).unwrap_or_default();
        let said = [
            ("crc32", &one.checksum_crc32),
            ("crc32c", &one.checksum_crc32c),
            ("crc64nvme", &one.checksum_crc64nvme),
            ("sha1", &one.checksum_sha1),
            ("sha256", &one.checksum_sha256),
        ];
        let differs = |(name, said): &(&str, &Option<String>)| {
            written.get(*name).is_some_and(|written| said.as_ref().is_some_and(|said| said != written))
        };
        if said.iter().any(differs) {
            return Err(s3_error!(InvalidPart, "Part {number} has another checksum."));
        }
        chosen.push(part);
    }
    let all_but_last = chosen.len() - 1;
    if let Some(small) = chosen.iter().take(all_but_last).find(|part| part.size < SMALLEST_PART) {
        return Err(s3_error!(
            EntityTooSmall,
            "Part {} has {} bytes; every part but the last needs {SMALLEST_PART}.",
            small.number,
            small.size
        ));
    }
    Ok(chosen)
}

/// The entity tag of an object of parts with these: the MD5 of their MD5s, and how many there are.
fn etag<'a>(of_parts: impl Iterator<Item = &'a str>) -> S3Result<String> {
    let (mut md5, mut count) = (Md5::new(), 0);
    for etag in of_parts {
        md5.update(&unhex(etag).ok_or_else(|| s3_error!(InvalidPart, "An entity tag is no MD5."))?);
        count += 1;
    }
    Ok(format!("{}-{count}", harbor_model::hex(md5.finalize().as_ref())))
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes().chunks_exact(2);
    digits.map(|two| u8::from_str_radix(std::str::from_utf8(two).ok()?, 16).ok()).collect()
}

/// The checksum of the parts' checksums, and how many there are.
fn composite(algorithm: &str, parts: &[&Part]) -> Option<String> {
    let mut all = hasher(|name| name == algorithm);
    for part in parts {
        let checksums: Checksums = serde_json::from_str(&part.checksums).ok()?;
        all.update(&STANDARD.decode(checksums.get(algorithm)?).ok()?);
    }
    let found = named(&all.finalize()).remove(algorithm)?;
    Some(format!("{found}-{}", parts.len()))
}

/// The checksums that a client sends for the whole object.
fn given(input: &CompleteMultipartUploadInput) -> Checksums {
    named(&Checksum {
        checksum_crc32: input.checksum_crc32.clone(),
        checksum_crc32c: input.checksum_crc32c.clone(),
        checksum_crc64nvme: input.checksum_crc64nvme.clone(),
        checksum_sha1: input.checksum_sha1.clone(),
        checksum_sha256: input.checksum_sha256.clone(),
        ..Checksum::default()
    })
}
