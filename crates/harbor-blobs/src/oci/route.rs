//! What a path names. Names of repositories hold slashes, so what comes after them is found from the end.

use harbor_model::repositories::{Digest, Malformed, ManifestKey, RepositoryName};
use percent_encoding::percent_decode_str;

use super::errors::{Code, Refusal};

/// What a request is about.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Route {
    /// Whether this is a registry.
    Version,
    /// The repositories.
    Catalog,
    /// A blob of a repository.
    Blob(RepositoryName, Digest),
    /// Where pushes of blobs begin.
    Uploads(RepositoryName),
    /// A push of a blob.
    Upload(RepositoryName, String),
    /// A manifest.
    Manifest(RepositoryName, ManifestKey),
    /// The tags of a repository.
    Tags(RepositoryName),
    /// The manifests that are about one.
    Referrers(RepositoryName, Digest),
}

impl Route {
    pub(super) fn of(path: &str) -> Result<Self, Refusal> {
        let nothing = || Refusal::not_found(Code::Unsupported, "a registry has nothing at this path");
        let path = percent_decode_str(path).decode_utf8().map_err(|_| nothing())?;
        let path = path.strip_prefix("/v2").ok_or_else(nothing)?;
        match path {
            "" | "/" => return Ok(Self::Version),
            "/_catalog" => return Ok(Self::Catalog),
            _ => {}
        }
        let parts: Vec<&str> = path.strip_prefix('/').ok_or_else(nothing)?.split('/').collect();
        let name = |parts: &[&str]| {
            let name = parts.join("/");
            name.parse::<RepositoryName>().map_err(|error| Refusal::invalid(Code::NameInvalid, error.to_string()))
        };
        let digest = |text: &str| text.parse::<Digest>().map_err(Refusal::digest);
        match &*parts {
            [repository @ .., "blobs", "uploads", ""] => Ok(Self::Uploads(name(repository)?)),
            [repository @ .., "blobs", "uploads", id] => Ok(Self::Upload(name(repository)?, (*id).to_owned())),
            [repository @ .., "blobs", "uploads"] => Ok(Self::Uploads(name(repository)?)),
            [repository @ .., "blobs", text] => Ok(Self::Blob(name(repository)?, digest(text)?)),
            [repository @ .., "manifests", text] => {
                let repository = name(repository)?;
                let key = text.parse().map_err(|error: Malformed| {
                    // a tag that cannot be is a manifest that nobody has
                    let no_tag = || Refusal::not_found(Code::TagInvalid, error.to_string());
                    if text.contains(':') { Refusal::digest(error) } else { no_tag() }
                })?;
                Ok(Self::Manifest(repository, key))
            }
            [repository @ .., "tags", "list"] => Ok(Self::Tags(name(repository)?)),
            [repository @ .., "referrers", text] => Ok(Self::Referrers(name(repository)?, digest(text)?)),
            _ => Err(nothing()),
        }
    }

    /// What may be done with it, as a header says it.
    pub(super) fn allowed(&self) -> &'static str {
        match self {
            Self::Version | Self::Catalog | Self::Tags(_) | Self::Referrers(..) => "GET, HEAD",
            Self::Blob(..) => "GET, HEAD, DELETE",
            Self::Uploads(_) => "POST",
            Self::Upload(..) => "GET, HEAD, PATCH, PUT, DELETE",
            Self::Manifest(..) => "GET, HEAD, PUT, DELETE",
        }
    }

    /// The repository that it is about.
    pub(super) fn repository(&self) -> Option<&RepositoryName> {
        match self {
            Self::Version | Self::Catalog => None,
            Self::Blob(repository, _)
            | Self::Uploads(repository)
            | Self::Upload(repository, _)
            | Self::Manifest(repository, _)
            | Self::Tags(repository)
            | Self::Referrers(repository, _) => Some(repository),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> RepositoryName {
        text.parse().unwrap()
    }

    #[test]
    fn names_of_repositories_hold_slashes() {
        let text = format!("sha256:{}", "0".repeat(64));
        let digest: Digest = text.parse().unwrap();
        for (path, route) in [
            ("/v2".to_owned(), Route::Version),
            ("/v2/".to_owned(), Route::Version),
            ("/v2/_catalog".to_owned(), Route::Catalog),
            ("/v2/a/b/tags/list".to_owned(), Route::Tags(name("a/b"))),
            ("/v2/tags/list/tags/list".to_owned(), Route::Tags(name("tags/list"))),
            ("/v2/a/manifests/1.0".to_owned(), Route::Manifest(name("a"), "1.0".parse().unwrap())),
            (
                format!("/v2/a/b/c/manifests/{text}"),
                Route::Manifest(name("a/b/c"), ManifestKey::Digest(digest.clone())),
            ),
            (format!("/v2/blobs/uploads/blobs/{text}"), Route::Blob(name("blobs/uploads"), digest.clone())),
            (format!("/v2/a/blobs/{}", text.replace(':', "%3A")), Route::Blob(name("a"), digest.clone())),
            ("/v2/a/blobs/uploads/".to_owned(), Route::Uploads(name("a"))),
            ("/v2/a/blobs/uploads".to_owned(), Route::Uploads(name("a"))),
            ("/v2/a/blobs/uploads/7".to_owned(), Route::Upload(name("a"), "7".to_owned())),
            (format!("/v2/a/referrers/{text}"), Route::Referrers(name("a"), digest.clone())),
        ] {
            assert_eq!(Route::of(&path).unwrap(), route, "{path}");
        }
        for path in [
            "/",
            "/v1/",
            "/v2x",
            "/v2/a",
            "/v2/a/tags",
            "/v2//tags/list",
            "/v2/A/tags/list",
            "/v2/../tags/list",
            "/v2/a/blobs/sha256:0",
            "/v2/a/manifests/",
            "/v2/a%2f..%2fb/tags/list",
            "/v2/a/manifests/%ff",
        ] {
            assert!(Route::of(path).is_err(), "{path}");
        }
    }
}
