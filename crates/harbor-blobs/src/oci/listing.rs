//! Lists: tags, repositories, and manifests that are about one.

use axum::Json;
use axum::response::{IntoResponse as _, Response};
use harbor_model::repositories::{Digest, RepositoryName, Tag};
use http::header::{CONTENT_TYPE, LINK};
use http::{HeaderMap, HeaderName};
use serde_json::json;
use url::form_urlencoded;

use super::document::{Document, INDEX, Listed};
use super::errors::{Code, Refusal};
use super::{Registry, RepositoryAccess, headers};

/// The most names of an answer; the next ones are behind its link.
const MOST_NAMES: usize = 1000;

/// The most manifests of an answer, each of which is read for it.
const MOST_MANIFESTS: usize = 100;

/// Says by what a list was filtered.
const FILTERS: HeaderName = HeaderName::from_static("oci-filters-applied");

impl Registry {
    pub(super) async fn tags(&self, repository: &RepositoryName, query: Option<&str>) -> Result<Response, Refusal> {
        let page = Page::of(query)?;
        let found = self.repositories.tags(repository, &page.last, page.most + 1).await?;
        let mut tags = found
            .ok_or_else(|| Refusal::not_found(Code::NameUnknown, format!("nothing was pushed to {repository}")))?;
        let more = page.cut(&mut tags);
        let link =
            page.link(&format!("/v2/{repository}/tags/list"), more.then(|| tags.last()).flatten().map(Tag::as_str));
        let tags: Vec<&str> = tags.iter().map(Tag::as_str).collect();
        Ok((link, Json(json!({"name": repository.as_str(), "tags": tags}))).into_response())
    }

    /// The repositories that may be pulled from.
    pub(super) async fn catalog(&self, access: &RepositoryAccess, query: Option<&str>) -> Result<Response, Refusal> {
        let page = Page::of(query)?;
        let mut names = self.repositories.repositories(&page.last, page.most + 1).await?;
        let more = page.cut(&mut names);
        let last = names.last().map(|name| name.as_str().to_owned());
        let link = page.link("/v2/_catalog", last.as_deref().filter(|_| more));
        names.retain(|name| access.may_pull(name));
        let names: Vec<&str> = names.iter().map(RepositoryName::as_str).collect();
        Ok((link, Json(json!({"repositories": names}))).into_response())
    }

    pub(super) async fn referrers(
        &self,
        repository: &RepositoryName,
        subject: &Digest,
        query: Option<&str>,
    ) -> Result<Response, Refusal> {
        let page = Page { most: MOST_MANIFESTS, ..Page::of(query)? };
        let mut found = self.repositories.referrers(repository, subject, &page.last, page.most + 1).await?;
        let more = page.cut(&mut found);
        let last = found.last().map(|manifest| manifest.digest.to_string());
        let mut link = page.link(&format!("/v2/{repository}/referrers/{subject}"), last.as_deref().filter(|_| more));
        if page.artifact_type.is_some() {
            link.extend(headers([(FILTERS, "artifactType")]));
        }
        let mut listed = Vec::new();
        for manifest in found {
            if page.artifact_type.is_some() && manifest.artifact_type != page.artifact_type {
                continue;
            }
            listed.push(Listed {
                annotations: Document::read(&manifest.content)?.annotations(),
                size: manifest.content.len(),
                media_type: manifest.media_type,
                digest: manifest.digest.to_string(),
                artifact_type: manifest.artifact_type,
            });
        }
        let document = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": listed});
        link.extend(headers([(CONTENT_TYPE, INDEX)]));
        Ok((link, document.to_string()).into_response())
    }
}

/// Which part of a list is asked for.
struct Page {
    most: usize,
    last: String,
    artifact_type: Option<String>,
}

impl Page {
    fn of(query: Option<&str>) -> Result<Self, Refusal> {
        let mut page = Self { most: MOST_NAMES, last: String::new(), artifact_type: None };
        for (name, value) in form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
            match &*name {
                "n" => {
                    let most = value.parse::<usize>().map_err(|_| {
                        Refusal::invalid(Code::PaginationNumberInvalid, "n is a whole number, and not below 0")
                    })?;
                    page.most = most.min(MOST_NAMES);
                }
                "last" => page.last = value.into_owned(),
                "artifactType" => page.artifact_type = Some(value.into_owned()),
                _ => {}
            }
        }
        Ok(page)
    }

    /// Leaves what belongs to the page; answers whether there is more.
    fn cut<T>(&self, found: &mut Vec<T>) -> bool {
        let more = found.len() > self.most;
        found.truncate(self.most);
        more
    }

    /// Where the next page is, which begins after `last`.
    fn link(&self, path: &str, last: Option<&str>) -> HeaderMap {
        let Some(last) = last else { return HeaderMap::new() };
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.append_pair("n", &self.most.to_string()).append_pair("last", last);
        if let Some(kind) = &self.artifact_type {
            query.append_pair("artifactType", kind);
        }
        headers([(LINK, &format!("<{path}?{}>; rel=\"next\"", query.finish()))])
    }
}
