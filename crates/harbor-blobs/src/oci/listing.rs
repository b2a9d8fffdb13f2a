//! Lists: tags, repositories, and manifests that are about one.

use std::collections::BTreeMap;

use axum::Json;
use axum::response::{IntoResponse as _, Response};
use harbor_model::repositories::{Digest, Referrer, RepositoryName, Tag};
use http::header::{CONTENT_TYPE, LINK};
use http::{HeaderMap, HeaderName};
use serde::Serialize;
use serde_json::json;
use url::form_urlencoded;

use super::document::INDEX;
use super::errors::{Code, Refusal};
use super::{Registry, RepositoryAccess, headers, number};

/// The most names of an answer; the next ones are behind its link.
const MOST_NAMES: usize = 1000;

/// The most manifests of an answer, each with its annotations.
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
        let (mut names, mut after) = (Vec::new(), page.last.clone());
        // those that may not be pulled from are not told, not even as the end of a page
        while names.len() <= page.most {
            let found = self.repositories.repositories(&after, MOST_NAMES).await?;
            let Some(last) = found.last() else { break };
            last.as_str().clone_into(&mut after);
            names.extend(found.into_iter().filter(|name| access.may_pull(name)));
        }
        let more = page.cut(&mut names);
        let link = page.link("/v2/_catalog", names.last().filter(|_| more).map(RepositoryName::as_str));
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
        let (kind, most) = (page.artifact_type.clone(), page.most + 1);
        let mut found = self.repositories.referrers(repository, subject, kind, &page.last, most).await?;
        let more = page.cut(&mut found);
        let last = found.last().map(|referrer| referrer.digest.to_string());
        let mut link = page.link(&format!("/v2/{repository}/referrers/{subject}"), last.as_deref().filter(|_| more));
        if page.artifact_type.is_some() {
            link.extend(headers([(FILTERS, "artifactType")]));
        }
        let listed: Vec<Listed> = found.into_iter().map(Listed::of).collect();
        let document = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": listed});
        link.extend(headers([(CONTENT_TYPE, INDEX)]));
        Ok((link, document.to_string()).into_response())
    }
}

/// What is said of a manifest in a list.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Listed {
    media_type: String,
    digest: String,
    size: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    artifact_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    annotations: Option<BTreeMap<String, String>>,
}

impl Listed {
    fn of(referrer: Referrer) -> Self {
        let Referrer { digest, media_type, size, artifact_type, annotations } = referrer;
        let annotations = annotations.and_then(|all| serde_json::from_str(&all).ok());
        Self { media_type, digest: digest.to_string(), size, artifact_type, annotations }
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
                    let most = number(&value).ok_or_else(|| {
                        Refusal::invalid(Code::PaginationNumberInvalid, "n is a whole number, and not below 0")
                    })?;
                    page.most = usize::try_from(most).unwrap_or(usize::MAX).min(MOST_NAMES);
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
