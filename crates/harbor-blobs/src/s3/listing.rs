//! Listings of objects, in both forms.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use harbor_model::objects::{Entry, Listing, Page};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use s3s::dto::{
    CommonPrefix, ETag, EncodingType, ListObjectsInput, ListObjectsOutput, ListObjectsV2Input, ListObjectsV2Output,
    Object, ObjectStorageClass,
};
use s3s::{S3Request, S3Response, S3Result};

use super::buckets::owner;
use super::errors::invalid;
use super::objects::signed;
use super::{Face, done};

/// The most entries of one answer.
const MOST: i32 = 1000;

/// What a key keeps when it is encoded for a document; a space becomes `%20`, which every client reads.
const KEPT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/').remove(b'-').remove(b'_').remove(b'.').remove(b'~').remove(b'*');

/// What a listing's answer has in both forms.
struct Listed {
    contents: Vec<Object>,
    common_prefixes: Vec<CommonPrefix>,
    last: Option<String>,
    more: bool,
}

impl Face {
    pub(super) async fn list_objects_v2(
        &self,
        request: S3Request<ListObjectsV2Input>,
    ) -> S3Result<S3Response<ListObjectsV2Output>> {
        let input = request.input;
        let most = most(input.max_keys)?;
        let after = match &input.continuation_token {
            Some(token) => Some(decoded(token)?),
            None => input.start_after.clone(),
        };
        let encode = encoder(input.encoding_type.as_ref())?;
        let (prefix, delimiter) = (input.prefix.clone(), input.delimiter.clone());
        let listed = self.listed(&input.bucket, prefix, after, delimiter, most, encode).await?;
        let listed = Listed { contents: with_owner(listed.contents, input.fetch_owner == Some(true)), ..listed };
        let count = listed.contents.len() + listed.common_prefixes.len();
        done(ListObjectsV2Output {
            name: Some(input.bucket),
            prefix: Some(encode(input.prefix.as_deref().unwrap_or_default())),
            delimiter: input.delimiter.as_deref().map(encode),
            max_keys: Some(most),
            key_count: i32::try_from(count).ok(),
            is_truncated: Some(listed.more),
            continuation_token: input.continuation_token,
            next_continuation_token: listed.last.filter(|_| listed.more).map(|last| URL_SAFE_NO_PAD.encode(last)),
            start_after: input.start_after.as_deref().map(encode),
            encoding_type: input.encoding_type,
            contents: Some(listed.contents),
            common_prefixes: Some(listed.common_prefixes),
            ..ListObjectsV2Output::default()
        })
    }

    pub(super) async fn list_objects(
        &self,
        request: S3Request<ListObjectsInput>,
    ) -> S3Result<S3Response<ListObjectsOutput>> {
        let input = request.input;
        let most = most(input.max_keys)?;
        let encode = encoder(input.encoding_type.as_ref())?;
        let (prefix, delimiter) = (input.prefix.clone(), input.delimiter.clone());
        let listed = self.listed(&input.bucket, prefix, input.marker.clone(), delimiter, most, encode).await?;
        done(ListObjectsOutput {
            name: Some(input.bucket),
            prefix: Some(encode(input.prefix.as_deref().unwrap_or_default())),
            delimiter: input.delimiter.as_deref().map(encode),
            marker: Some(encode(input.marker.as_deref().unwrap_or_default())),
            max_keys: Some(most),
            is_truncated: Some(listed.more),
            next_marker: listed.last.filter(|_| listed.more).as_deref().map(encode),
            encoding_type: input.encoding_type,
            contents: Some(with_owner(listed.contents, true)),
            common_prefixes: Some(listed.common_prefixes),
            ..ListObjectsOutput::default()
        })
    }

    async fn listed(
        &self,
        bucket: &str,
        prefix: Option<String>,
        after: Option<String>,
        delimiter: Option<String>,
        most: i32,
        encode: fn(&str) -> String,
    ) -> S3Result<Listed> {
        self.need_bucket(bucket).await?;
        let listing = Listing {
            prefix: prefix.unwrap_or_default(),
            after: after.unwrap_or_default(),
            delimiter: delimiter.unwrap_or_default(),
            most: usize::try_from(most).unwrap_or_default(),
        };
        let Page { entries, more } =
            if listing.most == 0 { Page::default() } else { self.blobs.index().list(bucket, listing).await? };
        let last = entries.last().map(|entry| match entry {
            Entry::Object { key, .. } => key.clone(),
            Entry::CommonPrefix(prefix) => prefix.clone(),
        });
        let (mut contents, mut common_prefixes) = (Vec::new(), Vec::new());
        for entry in entries {
            match entry {
                Entry::Object { key, size, etag, modified_at } => contents.push(Object {
                    key: Some(encode(&key)),
                    size: Some(signed(size)),
                    e_tag: Some(ETag::Strong(etag)),
                    last_modified: Some(modified_at.into()),
                    storage_class: Some(ObjectStorageClass::from_static(ObjectStorageClass::STANDARD)),
                    ..Object::default()
                }),
                Entry::CommonPrefix(prefix) => common_prefixes.push(CommonPrefix { prefix: Some(encode(&prefix)) }),
            }
        }
        Ok(Listed { contents, common_prefixes, last, more })
    }
}

/// How many entries are answered.
pub(super) fn most(asked: Option<i32>) -> S3Result<i32> {
    match asked {
        Some(asked) if asked < 0 => Err(invalid("the most that is listed cannot be negative.")),
        asked => Ok(asked.unwrap_or(MOST).min(MOST)),
    }
}

/// How keys are written into the answer.
pub(super) fn encoder(asked: Option<&EncodingType>) -> S3Result<fn(&str) -> String> {
    match asked.map(EncodingType::as_str) {
        None => Ok(str::to_owned),
        Some(EncodingType::URL) => Ok(|key| utf8_percent_encode(key, KEPT).to_string()),
        Some(_) => Err(invalid("encoding-type can be url alone.")),
    }
}

fn decoded(token: &str) -> S3Result<String> {
    let bytes = URL_SAFE_NO_PAD.decode(token).ok();
    let key = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
    key.ok_or_else(|| invalid("The continuation token was not given out here."))
}

fn with_owner(mut contents: Vec<Object>, wanted: bool) -> Vec<Object> {
    if wanted {
        for object in &mut contents {
            object.owner = Some(owner());
        }
    }
    contents
}
