//! Routes that only services with keys of their own may use: runners, a separate proxy, a separate SSH gateway, a
//! telemetry collector (contract, control-plane §2.2). harbor is all of those itself, so no such key exists and every
//! caller is refused (§20).

use axum::Router;
use axum::routing::on;
use harbor_control::Caller;
use http::StatusCode;

use crate::error::ApiError;
use crate::gaps::{filter, pattern};
use crate::state::Api;

/// Method and path, as the contract writes them.
pub(crate) const ROUTES: &[&str] = &[
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

/// Adds them.
pub(crate) fn register(router: Router<Api>) -> Router<Api> {
    ROUTES.iter().filter_map(|route| route.split_once(' ')).fold(router, |router, (method, path)| {
        match filter(method) {
            Some(method) => router.route(&pattern(path), on(method, refuse)),
            None => router,
        }
    })
}

async fn refuse(_: Caller) -> ApiError {
    ApiError::new(StatusCode::FORBIDDEN, "Invalid authentication context: this is for harbor's own services")
}
