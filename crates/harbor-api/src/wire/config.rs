//! What clients are told about this installation (contract, control-plane §10).

use std::collections::BTreeMap;

use serde::Serialize;
use utoipa::ToSchema;

use crate::config::{Config, Oidc, Urls};

/// Public facts.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Configuration {
    /// The contract version.
    version: String,
    /// harbor's own version.
    harbor_version: String,
    oidc: OidcConfig,
    linked_accounts_enabled: bool,
    announcements: BTreeMap<String, Announcement>,
    proxy_template_url: String,
    proxy_toolbox_url: String,
    default_snapshot: String,
    dashboard_url: String,
    /// Minutes.
    max_auto_archive_interval: u32,
    maintanance_mode: bool,
    environment: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    ssh_gateway_command: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ssh_gateway_host: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ssh_gateway_port: Option<u16>,
    rate_limit: RateLimits,
}

/// Who signs people in; texts are empty where nobody does.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct OidcConfig {
    issuer: String,
    client_id: String,
    audience: String,
    provider: &'static str,
}

/// A text shown to everybody.
#[derive(Serialize, ToSchema)]
pub(crate) struct Announcement {
    text: String,
}

/// Buckets of the rate limiter: empty ones are off.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct RateLimits {
    failed_auth: Bucket,
    authenticated: Bucket,
    sandbox_create: Bucket,
    sandbox_lifecycle: Bucket,
    sandbox_list: Bucket,
}

/// One bucket.
#[derive(Serialize, ToSchema)]
struct Bucket {
    /// Seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    ttl: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    limit: Option<u32>,
}

const OFF: Bucket = Bucket { ttl: None, limit: None };

impl Configuration {
    /// From the configuration of API and control.
    pub(crate) fn of(config: &Config, default_snapshot: String) -> Self {
        let Urls { api: _, dashboard, proxy_toolbox, preview, ssh, s3: _, registry: _ } = &config.urls;
        let Oidc { issuer, client_id, audience } = config.oidc.clone().unwrap_or_else(|| Oidc {
            issuer: String::new(),
            client_id: String::new(),
            audience: String::new(),
        });
        Self {
            version: config.version.trim_start_matches('v').to_owned(),
            harbor_version: config.harbor_version.clone(),
            oidc: OidcConfig { issuer, client_id, audience, provider: "harbor" },
            linked_accounts_enabled: false,
            announcements: BTreeMap::new(),
            proxy_template_url: preview.of("{{PORT}}", "{{sandboxId}}"),
            proxy_toolbox_url: proxy_toolbox.clone(),
            default_snapshot,
            dashboard_url: dashboard.clone(),
            max_auto_archive_interval: harbor_control::sandboxes::AUTO_ARCHIVE_MAXIMUM,
            maintanance_mode: false,
            environment: "production",
            ssh_gateway_command: ssh.as_ref().map(|ssh| ssh.command("{{TOKEN}}")),
            ssh_gateway_host: ssh.as_ref().map(|ssh| ssh.host.clone()),
            ssh_gateway_port: ssh.as_ref().map(|ssh| ssh.port),
            rate_limit: RateLimits {
                failed_auth: OFF,
                authenticated: OFF,
                sandbox_create: OFF,
                sandbox_lifecycle: OFF,
                sandbox_list: OFF,
            },
        }
    }
}
