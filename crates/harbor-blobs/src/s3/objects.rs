//! Objects as a whole: written, read, copied, removed.

use harbor_model::Timestamp as Moment;
use harbor_model::objects::{Condition, Freshness, StoredObject};
use http::StatusCode;
use s3s::dto::{
    CopyObjectInput, CopyObjectOutput, CopyObjectResult, CopySource, DeleteObjectInput, DeleteObjectOutput,
    DeleteObjectsInput, DeleteObjectsOutput, DeletedObject, ETag, ETagCondition, GetObjectInput, GetObjectOutput,
    HeadObjectInput, HeadObjectOutput, MetadataDirective, ObjectIdentifier, PutObjectInput, PutObjectOutput,
    Range as AskedRange, StreamingBlob, Timestamp,
};
use s3s::{S3Request, S3Response, S3Result, s3_error};
use std::ops::Range;

use super::attributes::{Attributes, attributes_of, refuse_unbuilt};
use super::content::{Promise, Received, receive, with_checksums};
use super::errors::{custom, no_bucket, written};
use super::{Face, done};
use crate::authorize::Scope;
use crate::blobs::ByteStream;

/// What has to be so for the object to be read that an input asks for.
macro_rules! conditions_of {
    ($input:expr) => {
        Conditions {
            matches: $input.if_match.as_ref(),
            differs: $input.if_none_match.as_ref(),
            modified_since: $input.if_modified_since.as_ref(),
            unmodified_since: $input.if_unmodified_since.as_ref(),
        }
    };
}

/// What has to be so for the object to be copied that an input names.
macro_rules! conditions_of_copied {
    ($input:expr) => {
        Conditions {
            matches: $input.copy_source_if_match.as_ref(),
            differs: $input.copy_source_if_none_match.as_ref(),
            modified_since: $input.copy_source_if_modified_since.as_ref(),
            unmodified_since: $input.copy_source_if_unmodified_since.as_ref(),
        }
    };
}
pub(super) use conditions_of_copied;

/// What is told of an object, with its bytes or without them.
macro_rules! described {
    ($output:ident, $stored:expr, $view:expr, $input:expr) => {{
        let View { attributes, range, content_range, is_whole } = $view;
        let parts_count = i32::try_from(attributes.parts.len()).ok().filter(|count| *count > 0);
        let output = $output {
            accept_ranges: Some("bytes".to_owned()),
            content_length: Some(signed(range.end - range.start)),
            content_range,
            e_tag: Some(ETag::Strong($stored.etag)),
            last_modified: Some($stored.modified_at.into()),
            parts_count: parts_count.filter(|_| $input.part_number.is_some()),
            content_type: Some(attributes.content_type()),
            cache_control: attributes.cache_control,
            content_disposition: attributes.content_disposition,
            content_encoding: attributes.content_encoding,
            content_language: attributes.content_language,
            expires: attributes.expires,
            metadata: Some(attributes.metadata.into_iter().collect()),
            ..$output::default()
        };
        if $input.checksum_mode.is_some() && is_whole { with_checksums!(output, attributes.checksums) } else { output }
    }};
}

impl Face {
    pub(super) async fn put_object(&self, request: S3Request<PutObjectInput>) -> S3Result<S3Response<PutObjectOutput>> {
        let S3Request { mut input, headers, trailing_headers, .. } = request;
        refuse_unbuilt!(input);
        if input.write_offset_bytes.is_some() {
            return Err(s3_error!(NotImplemented, "Objects are written whole."));
        }
        self.need_bucket(&input.bucket).await?;
        let mut attributes = attributes_of!(input)?;
        let condition = condition(input.if_match.as_ref(), input.if_none_match.as_ref())?;
        let promise = Promise::of(&headers, trailing_headers)?;
        let Received { fresh, md5, checksums } =
            receive(&self.blobs, input.body.take(), input.content_length, promise).await?;
        attributes.checksums.clone_from(&checksums);
        let object = StoredObject {
            size: fresh.piece.size,
            etag: md5.clone(),
            modified_at: Moment::now_utc(),
            attributes: attributes.to_json(),
            pieces: vec![fresh.piece.clone()],
        };
        let index = self.blobs.index();
        let outcome = index.put(&input.bucket, &input.key, object, condition, Freshness::Written).await?;
        written(outcome, no_bucket)?;
        fresh.keep();
        done(with_checksums!(
            PutObjectOutput { e_tag: Some(ETag::Strong(md5)), ..PutObjectOutput::default() },
            checksums
        ))
    }

    pub(super) async fn get_object(&self, request: S3Request<GetObjectInput>) -> S3Result<S3Response<GetObjectOutput>> {
        let input = request.input;
        if input.version_id.is_some() || input.sse_customer_algorithm.is_some() {
            return Err(s3_error!(NotImplemented, "Versions and keys of clients are not kept here."));
        }
        let (stored, view, bytes) = self.opened(&input).await?;
        let body = Some(StreamingBlob::wrap(bytes));
        done(GetObjectOutput { body, ..described!(GetObjectOutput, stored, view, input) })
    }

    pub(super) async fn head_object(
        &self,
        request: S3Request<HeadObjectInput>,
    ) -> S3Result<S3Response<HeadObjectOutput>> {
        let input = request.input;
        if input.version_id.is_some() || input.sse_customer_algorithm.is_some() {
            return Err(s3_error!(NotImplemented, "Versions and keys of clients are not kept here."));
        }
        let stored = self.stored(&input.bucket, &input.key).await?;
        conditions_of!(input).check(&stored)?;
        let view = View::of(&stored, input.range.as_ref(), input.part_number)?;
        done(described!(HeadObjectOutput, stored, view, input))
    }

    /// The copy has the same blobs: nothing is read or written.
    pub(super) async fn copy_object(
        &self,
        request: S3Request<CopyObjectInput>,
    ) -> S3Result<S3Response<CopyObjectOutput>> {
        let S3Request { mut input, extensions, .. } = request;
        refuse_unbuilt!(input);
        let mut source = self.copied(&input.copy_source, extensions.get::<Scope>()).await?;
        conditions_of_copied!(input).check_copied(&source)?;
        let replaces = input.metadata_directive.as_ref().is_some_and(|one| one.as_str() == MetadataDirective::REPLACE);
        if replaces {
            let Attributes { checksums, parts, .. } = Attributes::from_json(&source.attributes)?;
            source.attributes = Attributes { checksums, parts, ..attributes_of!(input)? }.to_json();
        } else if is_same(&input.copy_source, &input.bucket, &input.key) {
            return Err(s3_error!(InvalidRequest, "An object copied onto itself needs other metadata."));
        }
        source.modified_at = Moment::now_utc();
        let (etag, at) = (source.etag.clone(), source.modified_at);
        let index = self.blobs.index();
        let outcome = index.put(&input.bucket, &input.key, source, Condition::Always, Freshness::Shared).await?;
        written(outcome, no_bucket)?;
        done(CopyObjectOutput {
            copy_object_result: Some(CopyObjectResult {
                e_tag: Some(ETag::Strong(etag)),
                last_modified: Some(at.into()),
                ..CopyObjectResult::default()
            }),
            ..CopyObjectOutput::default()
        })
    }

    pub(super) async fn delete_object(
        &self,
        request: S3Request<DeleteObjectInput>,
    ) -> S3Result<S3Response<DeleteObjectOutput>> {
        let input = request.input;
        if input.version_id.is_some() || input.if_match.is_some() {
            return Err(s3_error!(NotImplemented, "Objects are removed by their keys alone."));
        }
        self.need_bucket(&input.bucket).await?;
        self.blobs.index().remove(&input.bucket, vec![input.key]).await?;
        done(DeleteObjectOutput::default())
    }

    pub(super) async fn delete_objects(
        &self,
        request: S3Request<DeleteObjectsInput>,
    ) -> S3Result<S3Response<DeleteObjectsOutput>> {
        let DeleteObjectsInput { bucket, delete, .. } = request.input;
        let conditional = |one: &ObjectIdentifier| one.version_id.is_some() || one.e_tag.is_some();
        if delete.objects.iter().any(conditional) {
            return Err(s3_error!(NotImplemented, "Objects are removed by their keys alone."));
        }
        if delete.objects.len() > 1000 {
            return Err(s3_error!(MalformedXML, "At most 1000 objects are removed at once."));
        }
        self.need_bucket(&bucket).await?;
        let keys: Vec<String> = delete.objects.into_iter().map(|object| object.key).collect();
        self.blobs.index().remove(&bucket, keys.clone()).await?;
        let deleted = keys.into_iter().map(|key| DeletedObject { key: Some(key), ..DeletedObject::default() });
        let told = !delete.quiet.is_some_and(|quiet| quiet);
        done(DeleteObjectsOutput { deleted: told.then(|| deleted.collect()), ..DeleteObjectsOutput::default() })
    }

    /// The object that is asked for, what of it, and its bytes.
    async fn opened(&self, input: &GetObjectInput) -> S3Result<(StoredObject, View, ByteStream)> {
        let mut again = true;
        loop {
            let stored = self.stored(&input.bucket, &input.key).await?;
            conditions_of!(input).check(&stored)?;
            let view = View::of(&stored, input.range.as_ref(), input.part_number)?;
            match self.blobs.read(&stored.pieces, view.range.clone()).await {
                Ok(bytes) => return Ok((stored, view, bytes)),
                // it was replaced and removed since it was looked up
                Err(error) if again && error.is_not_found() => again = false,
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// The object of this key.
    async fn stored(&self, bucket: &str, key: &str) -> S3Result<StoredObject> {
        if let Some(stored) = self.blobs.index().object(bucket, key).await? {
            return Ok(stored);
        }
        self.need_bucket(bucket).await?;
        Err(s3_error!(NoSuchKey, "There is no object of this key."))
    }

    /// The object that is to be copied, if whoever asks may read it.
    pub(super) async fn copied(&self, source: &CopySource, scope: Option<&Scope>) -> S3Result<StoredObject> {
        match source {
            CopySource::Bucket { bucket, key, version_id: None } => {
                if !scope.is_some_and(|scope| scope.has_object(bucket, key)) {
                    return Err(s3_error!(AccessDenied, "These credentials do not allow that."));
                }
                self.stored(bucket, key).await
            }
            _ => Err(s3_error!(NotImplemented, "Only objects of buckets are copied, as they are now.")),
        }
    }
}

/// What has to be so for an object to be written.
pub(super) fn condition(matches: Option<&ETagCondition>, differs: Option<&ETagCondition>) -> S3Result<Condition> {
    match (matches, differs) {
        (None, None) => Ok(Condition::Always),
        (Some(ETagCondition::Any), None) => Ok(Condition::Present),
        (Some(ETagCondition::ETag(etag)), None) => Ok(Condition::Etag(etag.value().to_owned())),
        (None, Some(ETagCondition::Any)) => Ok(Condition::Absent),
        _ => Err(s3_error!(NotImplemented, "If-None-Match may be * here, and only one condition may be given.")),
    }
}

/// What has to be so for an object to be read (RFC 9110, section 13.2.2).
pub(super) struct Conditions<'a> {
    pub(super) matches: Option<&'a ETagCondition>,
    pub(super) differs: Option<&'a ETagCondition>,
    pub(super) modified_since: Option<&'a Timestamp>,
    pub(super) unmodified_since: Option<&'a Timestamp>,
}

impl Conditions<'_> {
    fn check(&self, stored: &StoredObject) -> S3Result<()> {
        if self.is_changed(stored) {
            return Err(s3_error!(PreconditionFailed, "The object is another one by now."));
        }
        if self.is_the_same(stored) {
            return Err(s3_error!(NotModified));
        }
        Ok(())
    }

    /// For an object that is copied, either is a condition that is not met.
    pub(super) fn check_copied(&self, stored: &StoredObject) -> S3Result<()> {
        if self.is_changed(stored) || self.is_the_same(stored) {
            return Err(s3_error!(PreconditionFailed, "What the request makes a condition is not so."));
        }
        Ok(())
    }

    fn is_changed(&self, stored: &StoredObject) -> bool {
        match self.matches {
            Some(wanted) => !has_etag(wanted, stored),
            None => self.unmodified_since.is_some_and(|time| seconds(stored) > time.clone()),
        }
    }

    fn is_the_same(&self, stored: &StoredObject) -> bool {
        match self.differs {
            Some(known) => has_etag(known, stored),
            None => self.modified_since.is_some_and(|time| seconds(stored) <= time.clone()),
        }
    }
}

fn has_etag(condition: &ETagCondition, stored: &StoredObject) -> bool {
    match condition {
        ETagCondition::Any => true,
        ETagCondition::ETag(etag) => etag.value() == stored.etag,
    }
}

/// When it was written, as headers tell it.
fn seconds(stored: &StoredObject) -> Timestamp {
    Timestamp::from(stored.modified_at.truncate_to_second())
}

/// What of an object is asked for.
struct View {
    attributes: Attributes,
    range: Range<u64>,
    content_range: Option<String>,
    is_whole: bool,
}

impl View {
    fn of(stored: &StoredObject, asked: Option<&AskedRange>, part: Option<i32>) -> S3Result<Self> {
        let attributes = Attributes::from_json(&stored.attributes)?;
        let range = match (asked, part) {
            (None, None) => None,
            (Some(asked), None) => {
                let out = |_| s3_error!(InvalidRange, "The object has {} bytes.", stored.size);
                Some(asked.check(stored.size).map_err(out)?)
            }
            (None, Some(number)) => Some(part_range(&attributes, stored.size, number)?),
            (Some(_), Some(_)) => {
                return Err(s3_error!(InvalidRequest, "A range and a part cannot be asked for together."));
            }
        };
        let content_range = range
            .as_ref()
            .map(|range| format!("bytes {}-{}/{}", range.start, range.end.saturating_sub(1), stored.size));
        let whole = 0..stored.size;
        let is_whole = range.as_ref().is_none_or(|range| *range == whole);
        Ok(Self { attributes, range: range.unwrap_or(whole), content_range, is_whole })
    }
}

/// Where a part of an object lies; one that was not uploaded in parts is one part.
fn part_range(attributes: &Attributes, size: u64, number: i32) -> S3Result<Range<u64>> {
    let none = || custom("InvalidPartNumber", StatusCode::RANGE_NOT_SATISFIABLE, "The object has no such part.");
    let before = usize::try_from(number).ok().and_then(|number| number.checked_sub(1)).ok_or_else(none)?;
    if attributes.parts.is_empty() && before == 0 {
        return Ok(0..size);
    }
    let length = *attributes.parts.get(before).ok_or_else(none)?;
    let start: u64 = attributes.parts.iter().take(before).sum();
    Ok(start..start + length)
}

fn is_same(source: &CopySource, to_bucket: &str, to_key: &str) -> bool {
    matches!(source, CopySource::Bucket { bucket, key, .. } if **bucket == *to_bucket && **key == *to_key)
}

/// A size as the wire has it.
pub(super) fn signed(size: u64) -> i64 {
    i64::try_from(size).unwrap_or(i64::MAX)
}
