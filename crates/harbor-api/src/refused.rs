//! Routes of the contract that are refused to every caller, because of what harbor is: it is its own services, and it
//! runs on one machine.

use axum::Router;
use axum::routing::on;
use harbor_control::Caller;
use http::StatusCode;

use crate::error::ApiError;
use crate::gaps::{filter, pattern};
use crate::state::Api;

/// Only services with keys of their own may use them: runners, a separate proxy, a separate SSH gateway, a telemetry
/// collector (contract, control-plane §2.2). harbor is all of those itself, so no such key exists (§20).
const SERVICES: &[&str] = &[
    "GET /jobs",
    "GET /jobs/poll",
    "GET /jobs/{jobId}",
    "POST /jobs/{jobId}/status",
    "GET /organizations/otel-config/by-sandbox-auth-token/{authToken}",
    "GET /organizations/sandbox-identity/by-sandbox-auth-token/{authToken}",
    "GET /organizations/{organizationId}/otel-config",
    "GET /preview/{sandboxId}/preview-warning",
    "GET /preview/{sandboxId}/public",
    "GET /preview/{sandboxId}/signing-key",
    "GET /preview/{sandboxId}/validate/{authToken}",
    "GET /preview/{signedPreviewToken}/{port}/sandbox-id",
    "GET /runners/by-sandbox/{sandboxId}",
    "GET /runners/by-snapshot-ref",
    "POST /runners/healthcheck",
    "GET /runners/me",
    "GET /runners/me/snapshots",
    "GET /runners/{id}/full",
    "GET /sandbox/for-runner",
    "GET /sandbox/{sandboxId}/organization",
    "GET /sandbox/{sandboxId}/region-quota",
    "GET /sandbox/{sandboxId}/secrets",
    "PUT /sandbox/{sandboxId}/state",
];

/// They make, change or remove runners and regions, of which there is one each (contract, control-plane §9.6, §11).
const ONE_MACHINE: &[&str] = &[
    "POST /admin/runners",
    "DELETE /admin/runners/{id}",
    "PATCH /admin/runners/{id}/scheduling",
    "POST /regions",
    "DELETE /regions/{id}",
    "PATCH /regions/{id}",
    "POST /regions/{id}/regenerate-proxy-api-key",
    "POST /regions/{id}/regenerate-snapshot-manager-credentials",
    "POST /regions/{id}/regenerate-ssh-gateway-api-key",
    "POST /runners",
    "DELETE /runners/{id}",
    "PATCH /runners/{id}/draining",
    "PATCH /runners/{id}/scheduling",
];

/// Method and path of each, as the contract writes them.
#[cfg(test)]
pub(crate) fn list() -> impl Iterator<Item = &'static str> {
    SERVICES.iter().chain(ONE_MACHINE).copied()
}

/// Adds them.
pub(crate) fn register(router: Router<Api>) -> Router<Api> {
    let router = SERVICES.iter().fold(router, |router, route| add(router, route, for_services));
    ONE_MACHINE.iter().fold(router, |router, route| add(router, route, for_more_machines))
}

fn add<H, T>(router: Router<Api>, route: &str, refuse: H) -> Router<Api>
where
    H: axum::handler::Handler<T, Api>,
    T: 'static,
{
    match route.split_once(' ').and_then(|(method, path)| Some((filter(method)?, path))) {
        Some((method, path)) => router.route(&pattern(path), on(method, refuse)),
        None => router,
    }
}

async fn for_services(_: Caller) -> ApiError {
    ApiError::new(StatusCode::FORBIDDEN, "Invalid authentication context: this is for harbor's own services")
}

async fn for_more_machines(_: Caller) -> ApiError {
    let why = "harbor runs on one machine: its one region and runner are there as long as it runs";
    ApiError::new(StatusCode::FORBIDDEN, format!("Access denied: {why}"))
}
