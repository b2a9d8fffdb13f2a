//! The registry: what clients of the OCI distribution specification send and expect (1.1; contract, edges §5.3), over blobs
//! and repositories.
//!
//! Guarantees: a manifest is there only with all that it names, of the sizes that it says; bytes are what their digest says,
//! which is computed while they come; a push that was cut off leaves nothing visible.
//! Leaves out: digests other than SHA-256, and manifests of the first schema.

mod access;
mod blobs;
mod document;
mod errors;
mod hashes;
mod listing;
mod manifests;
mod route;
mod uploads;

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::response::{IntoResponse as _, Response};
use harbor_model::repositories::{Digest, ManifestKey, RepositoryName};
use http::header::ALLOW;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode};

use tokio::sync::Semaphore;

use crate::blobs::{BlobError, Blobs};
use crate::repositories::Repositories;
pub use access::{AuthorizeRepositories, LoginRefused, RepositoryAccess};
use errors::{Code, Refusal};
use hashes::Hashes;
use route::Route;

/// Tells clients that this is a registry.
const API_VERSION: HeaderName = HeaderName::from_static("docker-distribution-api-version");

/// What the answer is about.
const CONTENT_DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");

/// How many manifests come at a time.
const MOST_COMING: usize = 16;

/// What the registry needs.
#[derive(Clone)]
pub struct RegistryConfig {
    /// Where the bytes are.
    pub blobs: Blobs,
    /// What lies where.
    pub repositories: Arc<dyn Repositories>,
    /// Who may do what.
    pub authorize: Arc<dyn AuthorizeRepositories>,
    /// Whether this machine's own clients may use what is shared without a login.
    pub open_here: bool,
}

/// The registry. Cheap to clone.
#[derive(Clone)]
pub struct Registry {
    blobs: Blobs,
    repositories: Arc<dyn Repositories>,
    authorize: Arc<dyn AuthorizeRepositories>,
    open_here: bool,
    hashes: Arc<Hashes>,
    /// Manifests that are in memory while they come.
    coming: Arc<Semaphore>,
}

impl Registry {
    /// The registry of this configuration.
    pub fn new(config: RegistryConfig) -> Self {
        let RegistryConfig { blobs, repositories, authorize, open_here } = config;
        Self {
            blobs,
            repositories,
            authorize,
            open_here,
            hashes: Arc::default(),
            coming: Arc::new(Semaphore::new(MOST_COMING)),
        }
    }

    /// Serves it. A request's extensions are there when it is authorised: `accepted` is told of each that is.
    pub fn router(&self, accepted: impl Fn(&http::Extensions) + Clone + Send + Sync + 'static) -> Router {
        let registry = self.clone();
        Router::new().fallback(move |request: Request<Body>| {
            let (registry, accepted) = (registry.clone(), accepted.clone());
            async move {
                let answer = registry.answer(request, accepted).await;
                let mut response = answer.unwrap_or_else(Refusal::into_response);
                response.headers_mut().insert(API_VERSION, HeaderValue::from_static("registry/2.0"));
                response
            }
        })
    }

    /// The digest of a manifest of a repository, if there is one.
    pub async fn digest(&self, repository: &RepositoryName, key: &ManifestKey) -> Result<Option<String>, BlobError> {
        Ok(self.repositories.manifest(repository, key).await?.map(|found| found.digest.to_string()))
    }

    async fn answer(
        &self,
        request: Request<Body>,
        accepted: impl Fn(&http::Extensions) + Send + Sync,
    ) -> Result<Response, Refusal> {
        if request.uri().path() == "/healthz" {
            return Ok("ok".into_response());
        }
        // without the body, which cannot be looked at from two threads
        let (head, body) = request.into_parts();
        let access = access::access(&*self.authorize, self.open_here, &head).await?;
        accepted(&head.extensions);
        let route = Route::of(head.uri.path())?;
        let reads = matches!(head.method, Method::GET | Method::HEAD);
        if let Some(repository) = route.repository() {
            // a push is looked at by who pushes
            let pushes = !reads || matches!(route, Route::Upload(..));
            check(&access, repository, pushes)?;
        }
        let method = match &head.method {
            // the server leaves the body of such an answer out; that of a blob is not even opened
            &Method::HEAD if !matches!(route, Route::Blob(..)) => Method::GET,
            method => method.clone(),
        };
        let allowed = route.allowed();
        match (method, route) {
            (Method::GET, Route::Version) => Ok(axum::Json(serde_json::json!({})).into_response()),
            (Method::GET, Route::Catalog) => self.catalog(&access, head.uri.query()).await,
            (Method::GET, Route::Tags(repository)) => self.tags(&repository, head.uri.query()).await,
            (Method::GET, Route::Referrers(repository, digest)) => {
                self.referrers(&repository, &digest, head.uri.query()).await
            }
            (Method::GET, Route::Blob(repository, digest)) => self.blob(&repository, &digest, &head.headers).await,
            (Method::HEAD, Route::Blob(repository, digest)) => self.blob_head(&repository, &digest).await,
            (Method::DELETE, Route::Blob(repository, digest)) => self.remove_blob(&repository, &digest).await,
            (Method::POST, Route::Uploads(repository)) => self.begin_upload(&access, &repository, &head, body).await,
            (Method::GET, Route::Upload(repository, id)) => self.upload_status(&repository, &id).await,
            (Method::PATCH, Route::Upload(repository, id)) => {
                self.continue_upload(&repository, &id, &head.headers, body).await
            }
            (Method::PUT, Route::Upload(repository, id)) => self.complete_upload(&repository, &id, &head, body).await,
            (Method::DELETE, Route::Upload(repository, id)) => self.abort_upload(&repository, &id).await,
            (Method::GET, Route::Manifest(repository, key)) => self.manifest(&repository, &key).await,
            (Method::PUT, Route::Manifest(repository, key)) => {
                self.push_manifest(&repository, key, &head.headers, body).await
            }
            (Method::DELETE, Route::Manifest(repository, key)) => self.remove_manifest(&repository, key).await,
            (method, _) => {
                let told = format!("a registry does not do {method} here");
                Err(Refusal::new(StatusCode::METHOD_NOT_ALLOWED, Code::Unsupported, told)
                    .with(headers([(ALLOW, allowed)])))
            }
        }
    }
}

/// That the repository may be used so.
fn check(access: &RepositoryAccess, repository: &RepositoryName, pushes: bool) -> Result<(), Refusal> {
    let (may, what) =
        if pushes { (access.may_push(repository), "changing") } else { (access.may_pull(repository), "reading") };
    if may {
        return Ok(());
    }
    let own = match access {
        RepositoryAccess::Shared => {
            let told = format!(
                "{repository} needs a login, and at localhost engines show none: docker login --username key \
                 127.0.0.1:PORT with an API key as the password, and name the image by that address"
            );
            return Err(Refusal::new(StatusCode::UNAUTHORIZED, Code::Unauthorized, told));
        }
        RepositoryAccess::Member { project, push: true } => format!(": its own repositories are called {project}/NAME"),
        RepositoryAccess::Member { .. } if pushes => {
            ": a key needs write:snapshots or write:sandboxes to push".to_owned()
        }
        RepositoryAccess::Member { .. } | RepositoryAccess::Owner => String::new(),
    };
    let told = format!("this login does not allow {what} {repository}{own}");
    Err(Refusal::new(StatusCode::FORBIDDEN, Code::Denied, told))
}

/// What tells a client whether it has this already.
fn etag(digest: &Digest) -> String {
    format!("\"{digest}\"")
}

/// A number of nothing but digits.
fn number(text: &str) -> Option<u64> {
    text.parse().ok().filter(|_| text.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Headers of these names and values; a value that no header can have is left out.
fn headers<const N: usize>(pairs: [(HeaderName, &str); N]) -> HeaderMap {
    let pair = |(name, value): (HeaderName, &str)| Some((name, HeaderValue::from_str(value).ok()?));
    pairs.into_iter().filter_map(pair).collect()
}
