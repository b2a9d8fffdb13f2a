//! What is refused, as clients of registries read it.

use axum::Json;
use axum::response::{IntoResponse, Response};
use harbor_model::repositories::{Digest, Malformed};
use http::header::WWW_AUTHENTICATE;
use http::{HeaderMap, HeaderValue, StatusCode};

use crate::blobs::BlobError;
use crate::index::IndexError;

/// What went wrong, in the specification's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Code {
    BlobUnknown,
    BlobUploadInvalid,
    BlobUploadUnknown,
    Denied,
    DigestInvalid,
    ManifestBlobUnknown,
    ManifestInvalid,
    ManifestUnknown,
    NameInvalid,
    NameUnknown,
    PaginationNumberInvalid,
    SizeInvalid,
    TagInvalid,
    TooManyRequests,
    Unauthorized,
    Unknown,
    Unsupported,
}

impl Code {
    const fn word(self) -> &'static str {
        match self {
            Self::BlobUnknown => "BLOB_UNKNOWN",
            Self::BlobUploadInvalid => "BLOB_UPLOAD_INVALID",
            Self::BlobUploadUnknown => "BLOB_UPLOAD_UNKNOWN",
            Self::Denied => "DENIED",
            Self::DigestInvalid => "DIGEST_INVALID",
            Self::ManifestBlobUnknown => "MANIFEST_BLOB_UNKNOWN",
            Self::ManifestInvalid => "MANIFEST_INVALID",
            Self::ManifestUnknown => "MANIFEST_UNKNOWN",
            Self::NameInvalid => "NAME_INVALID",
            Self::NameUnknown => "NAME_UNKNOWN",
            Self::PaginationNumberInvalid => "PAGINATION_NUMBER_INVALID",
            Self::SizeInvalid => "SIZE_INVALID",
            Self::TagInvalid => "TAG_INVALID",
            Self::TooManyRequests => "TOOMANYREQUESTS",
            Self::Unauthorized => "UNAUTHORIZED",
            Self::Unknown => "UNKNOWN",
            Self::Unsupported => "UNSUPPORTED",
        }
    }
}

/// An answer that refuses.
#[derive(Debug)]
pub(super) struct Refusal {
    status: StatusCode,
    code: Code,
    message: String,
    /// Boxed, as few have any: what is returned stays small.
    headers: Box<HeaderMap>,
}

impl Refusal {
    pub(super) fn new(status: StatusCode, code: Code, message: impl Into<String>) -> Self {
        let mut headers = Box::new(HeaderMap::new());
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"harbor\", charset=\"UTF-8\""));
        }
        Self { status, code, message: message.into(), headers }
    }

    pub(super) fn invalid(code: Code, message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, message)
    }

    pub(super) fn not_found(code: Code, message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, code, message)
    }

    pub(super) fn no_blob(digest: &Digest) -> Self {
        Self::not_found(Code::BlobUnknown, format!("this repository has no blob {digest}"))
    }

    pub(super) fn digest(malformed: Malformed) -> Self {
        Self::invalid(Code::DigestInvalid, malformed.to_string())
    }

    pub(super) fn with(mut self, headers: HeaderMap) -> Self {
        self.headers.extend(headers);
        self
    }
}

impl From<IndexError> for Refusal {
    fn from(error: IndexError) -> Self {
        Self::from(BlobError::from(error))
    }
}

impl From<BlobError> for Refusal {
    fn from(error: BlobError) -> Self {
        if matches!(error, BlobError::Source(_)) {
            return Self::invalid(
                Code::BlobUploadInvalid,
                "the body did not come whole, or nothing of it came for two minutes: send it again",
            );
        }
        if error.is_no_space() {
            let told = "the disk of the registry has less than 512 MiB, or 1000 files, to spare: make room on it and push \
                        again; images that are removed from the registry give theirs back a day later";
            return Self::new(StatusCode::INSUFFICIENT_STORAGE, Code::Unknown, told);
        }
        tracing::error!(error = harbor_model::errors::chain(&error), "a request to the registry could not be answered");
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            Code::Unknown,
            "the registry could not do it: `harbor logs` says why",
        )
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let Self { status, code, message, headers } = self;
        let document = serde_json::json!({"errors": [{"code": code.word(), "message": message, "detail": null}]});
        (status, *headers, Json(document)).into_response()
    }
}
