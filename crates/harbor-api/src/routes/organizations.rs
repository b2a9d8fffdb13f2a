//! Organizations as their members see them (contract, control-plane §9.3, §9.4).

use axum::Json;
use axum::extract::State;
use harbor_control::{Caller, OwnOrganization};

use crate::error::ApiError;
use crate::state::Api;
use crate::wire::organizations::{
    Organization, OrganizationInvitation, OrganizationRole, OrganizationUsageOverview, OrganizationUser, built_in_roles,
};

/// The organizations that the caller belongs to.
#[utoipa::path(get, path = "/organizations", tag = "organizations", responses((status = 200, body = [Organization])))]
pub(super) async fn list(caller: Caller, State(api): State<Api>) -> Result<Json<Vec<Organization>>, ApiError> {
    let limits = api.control.config().limits;
    let all = api.control.organizations(&caller).await?;
    Ok(Json(all.into_iter().map(|organization| Organization::of(organization, limits)).collect()))
}

/// One organization; the caller must act within it.
#[utoipa::path(
    get, path = "/organizations/{organizationId}", tag = "organizations", params(("organizationId" = String, Path)),
    responses((status = 200, body = Organization))
)]
pub(super) async fn get(caller: OwnOrganization, State(api): State<Api>) -> Result<Json<Organization>, ApiError> {
    let found = api.control.organization(&caller).await?;
    Ok(Json(Organization::of(found, api.control.config().limits)))
}

/// What the organization takes now, and what all sandboxes together may be promised.
#[utoipa::path(
    get, path = "/organizations/{organizationId}/usage", tag = "organizations",
    params(("organizationId" = String, Path)), responses((status = 200, body = OrganizationUsageOverview))
)]
pub(super) async fn usage(
    caller: OwnOrganization,
    State(api): State<Api>,
) -> Result<Json<OrganizationUsageOverview>, ApiError> {
    let usage = api.control.usage(&caller).await?;
    let config = api.control.config();
    let total = config.capacity.limit();
    Ok(Json(OrganizationUsageOverview::of(usage, config.region.as_str(), total, config.limits)))
}

/// The members of the organization.
#[utoipa::path(
    get, path = "/organizations/{organizationId}/users", tag = "organizations",
    params(("organizationId" = String, Path)), responses((status = 200, body = [OrganizationUser]))
)]
pub(super) async fn members(
    caller: OwnOrganization,
    State(api): State<Api>,
) -> Result<Json<Vec<OrganizationUser>>, ApiError> {
    let members = api.control.members(&caller).await?;
    let id = caller.organization();
    Ok(Json(members.into_iter().map(|member| OrganizationUser::of(member, id)).collect()))
}

/// The built-in roles; own ones cannot be made yet.
#[utoipa::path(
    get, path = "/organizations/{organizationId}/roles", tag = "organizations",
    params(("organizationId" = String, Path)), responses((status = 200, body = [OrganizationRole]))
)]
pub(super) async fn roles(_: OwnOrganization, State(api): State<Api>) -> Result<Json<Vec<OrganizationRole>>, ApiError> {
    Ok(Json(built_in_roles(api.control.installed_at().await?)))
}

/// Pending invitations into the organization: none, as long as none can be made.
#[utoipa::path(
    get, path = "/organizations/{organizationId}/invitations", tag = "organizations",
    params(("organizationId" = String, Path)), responses((status = 200, body = [OrganizationInvitation]))
)]
pub(super) async fn invitations(_: OwnOrganization) -> Json<[OrganizationInvitation; 0]> {
    Json([])
}

/// Pending invitations of the caller: none, as long as none can be made.
#[utoipa::path(get, path = "/organizations/invitations", tag = "organizations", responses((status = 200, body = [OrganizationInvitation])))]
pub(super) async fn own_invitations(_: Caller) -> Json<[OrganizationInvitation; 0]> {
    Json([])
}

/// How many invitations the caller has.
#[utoipa::path(get, path = "/organizations/invitations/count", tag = "organizations", responses((status = 200, body = u32)))]
pub(super) async fn own_invitation_count(_: Caller) -> Json<u32> {
    Json(0)
}
