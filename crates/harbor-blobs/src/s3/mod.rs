//! S3: what its clients send and expect (contract, edges §4.3), over blobs and their index.
//!
//! Leaves out versions, locks, tags, policies and encryption by the client's keys: whoever asks for one of these is refused,
//! never answered as if it had been done.

mod access;
mod attributes;
mod buckets;
mod chunks;
mod content;
mod documents;
mod errors;
mod listing;
mod objects;
mod signed;
mod uploads;

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::response::{IntoResponse as _, Response};
use http::header::CONTENT_TYPE;
use http::{HeaderName, HeaderValue, Method, Request, StatusCode};
use s3s::config::{S3Config, StaticConfigProvider};
use s3s::dto as s3;
use s3s::service::{S3Service, S3ServiceBuilder};
use s3s::{HttpError, S3, S3Request, S3Response, S3Result, s3_error};
use uuid::Uuid;

use crate::authorize::Authorize;
use crate::blobs::Blobs;
use access::{Access, Hosts, Secrets};

/// The largest document that a client may send, such as the list of an upload's parts, in bytes.
const LARGEST_DOCUMENT: usize = 4 << 20;

/// The header that tells one answer from all others.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-amz-request-id");

/// What the S3 face needs.
#[derive(Clone)]
pub struct Config {
    /// Where the objects are.
    pub blobs: Blobs,
    /// Who may do what.
    pub authorize: Arc<dyn Authorize>,
    /// Told to clients that ask.
    pub region: String,
    /// Host names, without port, by which clients reach it: below one of these a further name is a bucket's.
    pub hosts: Vec<String>,
}

/// Serves S3. A request's extensions are there when it is authorised: `accepted` is told of each that is.
pub fn router(config: Config, accepted: impl Fn(&http::Extensions) + Send + Sync + 'static) -> Router {
    let Config { blobs, authorize, region, hosts } = config;
    let mut limits = S3Config::default();
    limits.xml_max_body_size = LARGEST_DOCUMENT;
    let mut builder = S3ServiceBuilder::new(Face { blobs, region });
    builder.set_config(Arc::new(StaticConfigProvider::new(Arc::new(limits))));
    builder.set_host(Hosts(hosts));
    builder.set_auth(Secrets(Arc::clone(&authorize)));
    builder.set_access(Access { authorize, accepted });
    let service = builder.build();
    Router::new().fallback(move |request: Request<Body>| answer(service.clone(), request))
}

async fn answer(service: S3Service, request: Request<Body>) -> Response {
    if is_form(&request) {
        let refusal = s3_error!(NotImplemented, "Objects are not put by forms: use PUT.");
        return refusal
            .to_http_response()
            .map_or_else(|_| StatusCode::NOT_IMPLEMENTED.into_response(), |it| it.map(Body::new));
    }
    let (request, digest) = documents::checked(chunks::bounded(request));
    let answered = match service.call(request.map(s3s::Body::http_body_unsync)).await {
        Ok(_) if digest.is_wrong() => {
            let refusal = s3_error!(BadDigest, "The document is not the one whose MD5 was sent.");
            refusal.to_http_response().map_err(|error| HttpError::new(Box::new(error)))
        }
        answered => answered,
    };
    let mut response = match answered {
        Ok(response) => response.map(Body::new),
        Err(error) => {
            tracing::error!(?error, "an S3 request could not be answered");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    };
    if let Ok(id) = HeaderValue::try_from(Uuid::new_v4().simple().to_string()) {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    response
}

/// Whether it is a form, whose file the library would read into memory before it asks who sends it.
fn is_form(request: &Request<Body>) -> bool {
    let kind = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    request.method() == Method::POST && kind.trim_start().to_ascii_lowercase().starts_with("multipart/")
}

/// Answers what was authorised.
struct Face {
    blobs: Blobs,
    region: String,
}

/// The answer that is this and nothing else.
#[expect(clippy::unnecessary_wraps, reason = "it ends the functions below")]
fn done<T>(output: T) -> S3Result<S3Response<T>> {
    Ok(S3Response::new(output))
}

/// Each of these takes its input apart in the module that it names.
macro_rules! operations {
    ($($operation:ident: $input:ident -> $output:ident;)*) => {
        #[async_trait::async_trait]
        impl S3 for Face {
            $(async fn $operation(&self, request: S3Request<s3::$input>) -> S3Result<S3Response<s3::$output>> {
                self.$operation(request).await
            })*
        }
    };
}

operations! {
    abort_multipart_upload: AbortMultipartUploadInput -> AbortMultipartUploadOutput;
    complete_multipart_upload: CompleteMultipartUploadInput -> CompleteMultipartUploadOutput;
    copy_object: CopyObjectInput -> CopyObjectOutput;
    create_bucket: CreateBucketInput -> CreateBucketOutput;
    create_multipart_upload: CreateMultipartUploadInput -> CreateMultipartUploadOutput;
    delete_bucket: DeleteBucketInput -> DeleteBucketOutput;
    delete_object: DeleteObjectInput -> DeleteObjectOutput;
    delete_objects: DeleteObjectsInput -> DeleteObjectsOutput;
    get_bucket_location: GetBucketLocationInput -> GetBucketLocationOutput;
    get_object: GetObjectInput -> GetObjectOutput;
    head_bucket: HeadBucketInput -> HeadBucketOutput;
    head_object: HeadObjectInput -> HeadObjectOutput;
    list_buckets: ListBucketsInput -> ListBucketsOutput;
    list_multipart_uploads: ListMultipartUploadsInput -> ListMultipartUploadsOutput;
    list_objects: ListObjectsInput -> ListObjectsOutput;
    list_objects_v2: ListObjectsV2Input -> ListObjectsV2Output;
    list_parts: ListPartsInput -> ListPartsOutput;
    put_object: PutObjectInput -> PutObjectOutput;
    upload_part: UploadPartInput -> UploadPartOutput;
    upload_part_copy: UploadPartCopyInput -> UploadPartCopyOutput;
}
