//! Who a request is from, and whether it may do what it asks for.

use std::sync::Arc;

use http::Extensions;
use s3s::access::{S3Access, S3AccessContext};
use s3s::auth::{S3Auth, SecretKey};
use s3s::dto as s3;
use s3s::host::{S3Host, VirtualHost};
use s3s::path::S3Path;
use s3s::{S3Request, S3Result, s3_error};

use super::signed::{Query, flaw};
use crate::authorize::{Authorize, Denied, Scope};

/// Operations on one object that a scope may allow.
const OF_OBJECTS: &[&str] = &[
    "GetObject",
    "HeadObject",
    "PutObject",
    "CreateMultipartUpload",
    "UploadPart",
    "CompleteMultipartUpload",
    "AbortMultipartUpload",
    "ListParts",
];

/// Operations on a bucket that a scope may allow, apart from listings, whose prefix is looked at.
const OF_BUCKETS: &[&str] = &["HeadBucket", "GetBucketLocation", "ListObjects", "ListObjectsV2"];

/// Asks for the secrets that requests are signed with.
pub(super) struct Secrets(pub(super) Arc<dyn Authorize>);

/// Asks who may do what, and tells of each request that may.
pub(super) struct Access<F> {
    pub(super) authorize: Arc<dyn Authorize>,
    pub(super) accepted: F,
}

#[async_trait::async_trait]
impl S3Auth for Secrets {
    async fn get_secret_key(&self, access_key: &str) -> S3Result<SecretKey> {
        let secret = self.0.secret(access_key).await;
        secret.map(SecretKey::from).ok_or_else(|| s3_error!(InvalidAccessKeyId, "There is no such access key."))
    }
}

#[async_trait::async_trait]
impl<F: Fn(&Extensions) + Send + Sync + 'static> S3Access for Access<F> {
    async fn check(&self, context: &mut S3AccessContext<'_>) -> S3Result<()> {
        let Some(credentials) = context.credentials() else {
            return Err(s3_error!(AccessDenied, "The request is not signed."));
        };
        if let Some(flaw) = flaw(context.headers(), context.uri()) {
            return Err(flaw);
        }
        let token = session_token(context);
        let scope = match self.authorize.scope(&credentials.access_key, token.as_deref()).await {
            Ok(scope) => scope,
            Err(Denied::InvalidToken) => {
                return Err(s3_error!(InvalidToken, "The session token is missing or belongs to another access key."));
            }
            Err(Denied::Expired) => {
                return Err(s3_error!(ExpiredToken, "The credentials hold no longer: ask for new ones."));
            }
            Err(Denied::Unknown) => {
                return Err(s3_error!(ServiceUnavailable, "It is not known whether the credentials hold: try again."));
            }
        };
        if !may(&scope, context.s3_op().name(), context.s3_path()) {
            return Err(denied());
        }
        (self.accepted)(context.extensions_mut());
        context.extensions_mut().insert(scope);
        Ok(())
    }

    async fn list_objects(&self, request: &mut S3Request<s3::ListObjectsInput>) -> S3Result<()> {
        may_list(&request.extensions, &request.input.bucket, request.input.prefix.as_deref())
    }

    async fn list_objects_v2(&self, request: &mut S3Request<s3::ListObjectsV2Input>) -> S3Result<()> {
        may_list(&request.extensions, &request.input.bucket, request.input.prefix.as_deref())
    }
}

fn denied() -> s3s::S3Error {
    s3_error!(AccessDenied, "These credentials do not allow that.")
}

/// Whether a scope allows an operation; a listing's prefix is looked at later.
fn may(scope: &Scope, operation: &str, path: &S3Path) -> bool {
    match (scope, path) {
        (Scope::Owner, _) => true,
        (scope, S3Path::Object { bucket, key }) => OF_OBJECTS.contains(&operation) && scope.has_object(bucket, key),
        (scope, S3Path::Bucket { bucket }) => OF_BUCKETS.contains(&operation) && scope.has_bucket(bucket),
        (Scope::Prefix { .. }, S3Path::Root) => false,
    }
}

fn may_list(extensions: &Extensions, bucket: &str, prefix: Option<&str>) -> S3Result<()> {
    let scope = extensions.get::<Scope>();
    let may = scope.is_some_and(|scope| scope.has_listing(bucket, prefix.unwrap_or_default()));
    if may { Ok(()) } else { Err(denied()) }
}

/// The session token, from the header or a presigned URL.
fn session_token(context: &S3AccessContext<'_>) -> Option<String> {
    match context.headers().get("x-amz-security-token") {
        Some(token) => token.to_str().ok().map(str::to_owned),
        None => Query::of(context.uri()).get("X-Amz-Security-Token").map(str::to_owned),
    }
}

/// Both address styles: a name below one of these hosts is a bucket, any other host is just where harbor was reached.
pub(super) struct Hosts(pub(super) Vec<String>);

impl S3Host for Hosts {
    fn parse_host_header<'a>(&'a self, host: &'a str) -> S3Result<VirtualHost<'a>> {
        let name = host.rsplit_once(':').map_or(host, |(name, _)| name).to_ascii_lowercase();
        let name = name.strip_suffix('.').unwrap_or(&name);
        for base in &self.0 {
            let bucket = name.strip_suffix(base.to_ascii_lowercase().as_str()).and_then(|rest| rest.strip_suffix('.'));
            if let Some(bucket) = bucket.filter(|bucket| !bucket.is_empty()) {
                return Ok(VirtualHost::new(base.as_str()).with_bucket(bucket.to_owned()));
            }
        }
        Ok(VirtualHost::new(host))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_below_a_known_host_is_a_bucket() {
        let hosts = Hosts(vec!["localhost".to_owned(), "harbor.lan".to_owned()]);
        for (host, bucket) in [
            ("localhost:35011", None),
            ("daytona.localhost:35011", Some("daytona")),
            ("a.b.harbor.lan", Some("a.b")),
            ("Daytona.LocalHost.:1", Some("daytona")),
            ("harbor.lan", None),
            ("some.where.else:1", None),
            (".localhost", None),
        ] {
            assert_eq!(hosts.parse_host_header(host).unwrap().bucket(), bucket, "{host}");
        }
    }

    #[test]
    fn a_prefix_allows_what_uploads_need() {
        let scope = Scope::Prefix { bucket: "daytona".to_owned(), prefix: "mine".to_owned() };
        for (operation, path, allowed) in [
            ("PutObject", S3Path::object("daytona", "mine/a"), true),
            ("DeleteObject", S3Path::object("daytona", "mine/a"), false),
            ("CopyObject", S3Path::object("daytona", "mine/a"), false),
            ("UploadPartCopy", S3Path::object("daytona", "mine/a"), false),
            ("PutObject", S3Path::object("daytona", "other/a"), false),
            ("DeleteObjects", S3Path::bucket("daytona"), false),
            ("ListMultipartUploads", S3Path::bucket("daytona"), false),
            ("ListObjectsV2", S3Path::bucket("daytona"), true),
            ("ListObjectsV2", S3Path::bucket("other"), false),
            ("CreateBucket", S3Path::bucket("daytona"), false),
            ("ListBuckets", S3Path::root(), false),
        ] {
            assert_eq!(may(&scope, operation, &path), allowed, "{operation} {path:?}");
        }
    }
}
