//! Organizations as their members see them (contract, control-plane §9.3, §9.4).

use axum::Json;
use axum::extract::State;
use harbor_model::ids::OrganizationId;
use http::StatusCode;

use crate::authentication::Identified;
use crate::error::ApiError;
use crate::input::Segments;
use crate::state::Api;
use crate::wire::organizations::{
    Organization, OrganizationInvitation, OrganizationRole, OrganizationUser, built_in_roles,
};

/// The organizations that the caller belongs to.
#[utoipa::path(get, path = "/organizations", tag = "organizations", responses((status = 200, body = [Organization])))]
pub(super) async fn list(
    Identified(caller): Identified,
    State(api): State<Api>,
) -> Result<Json<Vec<Organization>>, ApiError> {
    let limits = api.control.config().limits;
    let all = api.control.organizations(&caller).await?;
    Ok(Json(all.into_iter().map(|organization| Organization::of(organization, limits)).collect()))
}

/// One organization; the caller must act within it.
#[utoipa::path(
    get, path = "/organizations/{organizationId}", tag = "organizations", params(("organizationId" = String, Path)),
    responses((status = 200, body = Organization))
)]
pub(super) async fn get(
    Identified(caller): Identified,
    State(api): State<Api>,
    Segments(id): Segments<String>,
) -> Result<Json<Organization>, ApiError> {
    let found = api.control.organization(&caller, parse(&id)?).await?;
    Ok(Json(Organization::of(found, api.control.config().limits)))
}

/// The members of the organization.
#[utoipa::path(
    get, path = "/organizations/{organizationId}/users", tag = "organizations",
    params(("organizationId" = String, Path)), responses((status = 200, body = [OrganizationUser]))
)]
pub(super) async fn members(
    Identified(caller): Identified,
    State(api): State<Api>,
    Segments(id): Segments<String>,
) -> Result<Json<Vec<OrganizationUser>>, ApiError> {
    let id = parse(&id)?;
    let members = api.control.members(&caller, id).await?;
    Ok(Json(members.into_iter().map(|member| OrganizationUser::of(member, id)).collect()))
}

/// The built-in roles; own ones cannot be made yet.
#[utoipa::path(
    get, path = "/organizations/{organizationId}/roles", tag = "organizations",
    params(("organizationId" = String, Path)), responses((status = 200, body = [OrganizationRole]))
)]
pub(super) async fn roles(
    Identified(caller): Identified,
    State(api): State<Api>,
    Segments(id): Segments<String>,
) -> Result<Json<Vec<OrganizationRole>>, ApiError> {
    caller.require_organization(parse(&id)?)?;
    Ok(Json(built_in_roles(api.control.installed_at().await?)))
}

/// Pending invitations into the organization: none, as long as none can be made.
#[utoipa::path(
    get, path = "/organizations/{organizationId}/invitations", tag = "organizations",
    params(("organizationId" = String, Path)), responses((status = 200, body = [OrganizationInvitation]))
)]
pub(super) async fn invitations(
    Identified(caller): Identified,
    Segments(id): Segments<String>,
) -> Result<Json<[OrganizationInvitation; 0]>, ApiError> {
    caller.require_organization(parse(&id)?)?;
    Ok(Json([]))
}

/// Pending invitations of the caller: none, as long as none can be made.
#[utoipa::path(get, path = "/organizations/invitations", tag = "organizations", responses((status = 200, body = [OrganizationInvitation])))]
pub(super) async fn own_invitations(_: Identified) -> Json<[OrganizationInvitation; 0]> {
    Json([])
}

/// How many invitations the caller has.
#[utoipa::path(get, path = "/organizations/invitations/count", tag = "organizations", responses((status = 200, body = u32)))]
pub(super) async fn own_invitation_count(_: Identified) -> Json<u32> {
    Json(0)
}

/// What is no id is no organization of the caller's (recordings, `api-organizations/unknown-organization`).
fn parse(text: &str) -> Result<OrganizationId, ApiError> {
    text.parse().map_err(|error| {
        ApiError::new(
            StatusCode::FORBIDDEN,
            format!("Invalid authentication context: the organization's id is {error}"),
        )
    })
}
