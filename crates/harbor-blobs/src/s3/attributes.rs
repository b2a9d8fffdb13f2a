//! What is kept of an object besides its bytes.

use std::collections::BTreeMap;

use s3s::dto::{self as s3, Timestamp};
use s3s::{S3Error, S3Result, s3_error};
use serde::{Deserialize, Serialize};

/// The most that names and values of an object's metadata may be together, in bytes.
const MOST_METADATA: usize = 2 << 10;

/// What is kept of an object besides its bytes; as JSON in the index.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Attributes {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) content_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) cache_control: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) content_disposition: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) content_encoding: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) content_language: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) expires: Option<Timestamp>,
    /// What clients keep with it.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) metadata: BTreeMap<String, String>,
    /// Checksums of the whole object by algorithm, base64.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) checksums: BTreeMap<String, String>,
    /// The sizes of the parts that it was uploaded in; empty: it was not.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) parts: Vec<u64>,
}

impl Attributes {
    /// As the index keeps them.
    pub(super) fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default() // maps of strings have a JSON form
    }

    /// As the index kept them.
    pub(super) fn from_json(text: &str) -> S3Result<Self> {
        serde_json::from_str(text).map_err(S3Error::internal_error)
    }

    /// What kind of bytes it holds; what S3 says of those that nobody said anything of.
    pub(super) fn content_type(&self) -> String {
        self.content_type.clone().unwrap_or_else(|| "binary/octet-stream".to_owned())
    }

    /// Takes what clients keep with the object, and what the encoding of the transfer is not.
    pub(super) fn check(mut self, metadata: Option<s3::Metadata>) -> S3Result<Self> {
        self.metadata = metadata.unwrap_or_default().into_iter().collect();
        let size: usize = self.metadata.iter().map(|(name, value)| name.len() + value.len()).sum();
        if size > MOST_METADATA {
            return Err(s3_error!(MetadataTooLarge, "The metadata is {size} bytes, and may be {MOST_METADATA}."));
        }
        if let Some(encodings) = self.content_encoding.take() {
            let encodings = encodings.split(',').map(str::trim);
            let kept: Vec<&str> = encodings.filter(|one| !one.is_empty() && *one != "aws-chunked").collect();
            self.content_encoding = (!kept.is_empty()).then(|| kept.join(", "));
        }
        Ok(self)
    }
}

/// The attributes that an input has.
macro_rules! attributes_of {
    ($input:expr) => {
        $crate::s3::attributes::Attributes {
            content_type: $input.content_type.take(),
            cache_control: $input.cache_control.take(),
            content_disposition: $input.content_disposition.take(),
            content_encoding: $input.content_encoding.take(),
            content_language: $input.content_language.take(),
            expires: $input.expires.take(),
            ..Default::default()
        }
        .check($input.metadata.take())
    };
}

/// Refuses what has no effect here.
macro_rules! refuse_unbuilt {
    ($input:expr) => {
        for (name, given) in [
            ("sse-customer-algorithm", $input.sse_customer_algorithm.is_some()),
            ("server-side-encryption", $input.server_side_encryption.is_some()),
            ("object-lock-mode", $input.object_lock_mode.is_some()),
            ("object-lock-legal-hold", $input.object_lock_legal_hold_status.is_some()),
            ("grant-full-control", $input.grant_full_control.is_some()),
            ("grant-read", $input.grant_read.is_some()),
            ("grant-read-acp", $input.grant_read_acp.is_some()),
            ("grant-write-acp", $input.grant_write_acp.is_some()),
            ("object-lock-retain-until-date", $input.object_lock_retain_until_date.is_some()),
            ("tagging", $input.tagging.is_some()),
            ("website-redirect-location", $input.website_redirect_location.is_some()),
            ("acl", $crate::s3::attributes::is_open($input.acl.as_ref())),
            ("storage-class", $crate::s3::attributes::is_special($input.storage_class.as_ref())),
        ] {
            if given {
                return Err(s3s::s3_error!(NotImplemented, "x-amz-{name} has no effect here: leave it out."));
            }
        }
    };
}
pub(super) use {attributes_of, refuse_unbuilt};

/// Whether others than the owner could read or write.
pub(super) fn is_open(acl: Option<&s3::ObjectCannedACL>) -> bool {
    acl.is_some_and(|acl| !matches!(acl.as_str(), "private" | "bucket-owner-full-control" | "bucket-owner-read"))
}

/// Whether it is another class than the one there is.
pub(super) fn is_special(class: Option<&s3::StorageClass>) -> bool {
    class.is_some_and(|class| class.as_str() != s3::StorageClass::STANDARD)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_come_back_as_they_went() {
        let attributes = Attributes {
            content_type: Some("text/plain".to_owned()),
            content_encoding: Some("aws-chunked, gzip".to_owned()),
            expires: Some(std::time::SystemTime::UNIX_EPOCH.into()),
            parts: vec![5, 3],
            ..Attributes::default()
        };
        let attributes = attributes.check(Some([("a".to_owned(), "b".to_owned())].into())).unwrap();
        assert_eq!(attributes.content_encoding.as_deref(), Some("gzip"));
        assert_eq!(Attributes::from_json(&attributes.to_json()).unwrap(), attributes);
        assert_eq!(Attributes::default().to_json(), "{}");
        let large = [("a".to_owned(), "b".repeat(MOST_METADATA))].into();
        assert!(Attributes::default().check(Some(large)).is_err());
    }
}
