//! What clients are told when something fails.

use harbor_model::objects::Put;
use http::StatusCode;
use s3s::{S3Error, S3ErrorCode, s3_error};

use crate::blobs::BlobError;
use crate::index::IndexError;

impl From<IndexError> for S3Error {
    fn from(error: IndexError) -> Self {
        tracing::error!(error = &error as &dyn std::error::Error, "the index of objects did not answer");
        s3_error!(InternalError, "harbor could not look it up: its log says why.")
    }
}

impl From<BlobError> for S3Error {
    fn from(error: BlobError) -> Self {
        match error {
            BlobError::Index(error) => error.into(),
            BlobError::Source(source) => of_source(&*source),
            error if error.is_no_space() => {
                s3_error!(ServiceUnavailable, "The disk is full: remove what is not needed, and try again.")
            }
            BlobError::Store(error) => {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "an object's bytes could not be written or read"
                );
                s3_error!(InternalError, "harbor could not write or read it: its log says why.")
            }
        }
    }
}

/// Why a body did not come whole, as far as whoever checked it says.
fn of_source(source: &(dyn std::error::Error + 'static)) -> S3Error {
    let mut cause = Some(source);
    while let Some(error) = cause {
        let text = error.to_string();
        if text.contains("SignatureMismatch") {
            return s3_error!(SignatureDoesNotMatch, "A part of the body is not what was signed.");
        }
        if text.contains("Sha256Mismatch") {
            let message = "The body is not the one whose SHA-256 was sent.";
            return custom("XAmzContentSHA256Mismatch", StatusCode::BAD_REQUEST, message);
        }
        cause = error.source();
    }
    s3_error!(IncompleteBody, "The body did not come whole.")
}

/// What was written, or why it was not.
pub(super) fn written(outcome: Put, missing: impl FnOnce() -> S3Error) -> Result<(), S3Error> {
    match outcome {
        Put::Done => Ok(()),
        Put::Missing => Err(missing()),
        Put::Gone => {
            Err(s3_error!(NoSuchKey, "What it was to be made of is gone: it was replaced or removed meanwhile."))
        }
        Put::NoObject => Err(s3_error!(NoSuchKey, "There is no object of this key.")),
        Put::Unmet => Err(s3_error!(PreconditionFailed, "What the request makes a condition is not so.")),
    }
}

/// An error whose code the library does not know.
pub(super) fn custom(code: &'static str, status: StatusCode, message: &'static str) -> S3Error {
    let mut error = S3Error::with_message(S3ErrorCode::Custom(code.into()), message);
    error.set_status_code(status);
    error
}

/// An argument that cannot be.
pub(super) fn invalid(message: &'static str) -> S3Error {
    S3Error::with_message(S3ErrorCode::InvalidArgument, message)
}

pub(super) fn no_bucket() -> S3Error {
    s3_error!(NoSuchBucket, "There is no bucket of this name.")
}

pub(super) fn no_upload() -> S3Error {
    s3_error!(NoSuchUpload, "There is no upload with this id: it was completed or aborted, or never begun.")
}
