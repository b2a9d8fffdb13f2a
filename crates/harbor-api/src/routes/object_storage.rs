//! Where build contexts are uploaded to, and with what (contract, control-plane §8.3).

use axum::Json;
use axum::extract::State;
use harbor_control::{Allowed, MakeImages, PushAccess};
use http::HeaderMap;

use crate::error::ApiError;
use crate::state::Api;
use crate::wire::object_storage::StorageAccess;

/// Says which client asks.
const SOURCE: &str = "x-daytona-source";

/// Temporary credentials for uploading what goes into images.
///
/// The URL is one that the client takes: those written in Python take nothing but TLS, others do not ask the operating system
/// which authorities it trusts (contract, edges §4.2).
#[utoipa::path(
    get, path = "/object-storage/push-access", tag = "object-storage", responses((status = 200, body = StorageAccess))
)]
pub(super) async fn push_access(
    caller: Allowed<MakeImages>,
    State(api): State<Api>,
    headers: HeaderMap,
) -> Result<Json<StorageAccess>, ApiError> {
    let PushAccess { access_key, secret, session_token, organization, bucket } =
        api.control.push_access(&caller).await?;
    let source = headers.get(SOURCE).and_then(|source| source.to_str().ok()).unwrap_or_default();
    let urls = &api.config.urls.s3;
    Ok(Json(StorageAccess {
        access_key,
        secret: secret.reveal().to_owned(),
        session_token: session_token.reveal().to_owned(),
        storage_url: if source.starts_with("sdk-python") { urls.tls.clone() } else { urls.plain.clone() },
        organization_id: organization.to_string(),
        bucket,
        region: urls.region.clone(),
    }))
}
