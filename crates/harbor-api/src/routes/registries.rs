//! Registries that organizations have logins to (contract, control-plane §8.1), and a login to harbor's own (§8.2).

use axum::Json;
use axum::extract::State;
use harbor_control::{Allowed, Caller, DeleteRegistries, MakeImages, NewRegistry, RegistryLogin, WriteRegistries};
use harbor_model::names::DisplayName;
use harbor_model::secrets::Secret;
use http::StatusCode;
use serde::Deserialize;
use utoipa::ToSchema;

use crate::error::ApiError;
use crate::input::{Body, Segments};
use crate::state::Api;
use crate::wire::iso;
use crate::wire::registries::{Registry, RegistryPushAccess};

/// What is said of a registry. Its type is always `organization`.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct CreateDockerRegistry {
    name: Option<String>,
    /// A host, with a port, path or scheme if need be.
    url: Option<String>,
    username: Option<String>,
    /// Absent or empty in a change: as before.
    password: Option<String>,
    project: Option<String>,
    /// Without effect.
    #[serde(rename = "registryType")]
    _registry_type: Option<String>,
}

impl CreateDockerRegistry {
    fn check(self, is_new: bool) -> Result<NewRegistry, ApiError> {
        let mut problems = Vec::new();
        let mut needed = |given: Option<String>, problem: &str| {
            given.unwrap_or_else(|| {
                problems.push(problem.to_owned());
                String::new()
            })
        };
        let name = needed(self.name, "name must be a string");
        let url = needed(self.url, "url must be a URL address");
        let username = needed(self.username, "username must be a string");
        if is_new && self.password.is_none() {
            problems.push("password must be a string".to_owned());
        }
        ApiError::all(&problems)?;
        let name = name.parse::<DisplayName>().map_err(|error| ApiError::invalid(format!("name {error}")))?;
        Ok(NewRegistry { name, url, username, password: self.password.map(Secret::new), project: self.project })
    }
}

/// Records a registry, so that images are pulled from it.
#[utoipa::path(
    post, path = "/docker-registry", tag = "docker-registry", request_body = CreateDockerRegistry,
    responses((status = 201, body = Registry))
)]
pub(super) async fn create(
    caller: Allowed<WriteRegistries>,
    State(api): State<Api>,
    body: Body,
) -> Result<(StatusCode, Json<Registry>), ApiError> {
    let new = body.read::<CreateDockerRegistry>().await?.check(true)?;
    Ok((StatusCode::CREATED, Json(Registry::of(api.control.create_registry(&caller, new).await?))))
}

/// The organization's registries, the newest first.
#[utoipa::path(
    get, path = "/docker-registry", tag = "docker-registry", responses((status = 200, body = Vec<Registry>))
)]
pub(super) async fn list(caller: Caller, State(api): State<Api>) -> Result<Json<Vec<Registry>>, ApiError> {
    Ok(Json(api.control.registries(&caller).await?.into_iter().map(Registry::of).collect()))
}

/// A login for an hour with which images are pushed to harbor's own registry.
///
/// There is one region, whatever `regionId` says.
#[utoipa::path(
    get, path = "/docker-registry/registry-push-access", tag = "docker-registry",
    responses((status = 200, body = RegistryPushAccess))
)]
pub(super) async fn push_access(
    caller: Allowed<MakeImages>,
    State(api): State<Api>,
) -> Result<Json<RegistryPushAccess>, ApiError> {
    let RegistryLogin { username, secret, organization, expires_at } = api.control.registry_login(&caller)?;
    Ok(Json(RegistryPushAccess {
        username,
        secret: secret.reveal().to_owned(),
        registry_url: api.config.urls.registry.clone(),
        registry_id: api.config.instance.to_string(),
        project: organization.to_string(),
        expires_at: iso(expires_at),
    }))
}

/// A registry by its id.
#[utoipa::path(
    get, path = "/docker-registry/{id}", tag = "docker-registry", params(("id" = String, Path)),
    responses((status = 200, body = Registry))
)]
pub(super) async fn get(
    caller: Caller,
    State(api): State<Api>,
    Segments(id): Segments<String>,
) -> Result<Json<Registry>, ApiError> {
    Ok(Json(Registry::of(api.control.registry(&caller, &id).await?)))
}

/// Changes a registry.
#[utoipa::path(
    patch, path = "/docker-registry/{id}", tag = "docker-registry", params(("id" = String, Path)),
    request_body = CreateDockerRegistry, responses((status = 200, body = Registry))
)]
pub(super) async fn change(
    caller: Allowed<WriteRegistries>,
    State(api): State<Api>,
    Segments(id): Segments<String>,
    body: Body,
) -> Result<Json<Registry>, ApiError> {
    let new = body.read::<CreateDockerRegistry>().await?.check(false)?;
    Ok(Json(Registry::of(api.control.change_registry(&caller, &id, new).await?)))
}

/// Forgets a registry.
#[utoipa::path(
    delete, path = "/docker-registry/{id}", tag = "docker-registry", params(("id" = String, Path)),
    responses((status = 204, description = "Forgotten"))
)]
pub(super) async fn delete(
    caller: Allowed<DeleteRegistries>,
    State(api): State<Api>,
    Segments(id): Segments<String>,
) -> Result<StatusCode, ApiError> {
    api.control.delete_registry(&caller, &id).await?;
    Ok(StatusCode::NO_CONTENT)
}
