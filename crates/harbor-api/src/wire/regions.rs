//! Regions on the wire (contract, control-plane §9.6).

use harbor_model::Timestamp;
use harbor_model::ids::RegionId;
use serde::Serialize;
use utoipa::ToSchema;

use super::iso;
use crate::config::{Config, PreviewUrls, SshAddress};

/// A region.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Region {
    id: String,
    name: String,
    organization_id: Option<String>,
    region_type: &'static str,
    created_at: String,
    updated_at: String,
    proxy_url: Option<String>,
    ssh_gateway_url: Option<String>,
    snapshot_manager_url: Option<String>,
}

impl Region {
    /// The one region of this installation, there since `since`.
    pub(crate) fn of(region: &RegionId, since: Timestamp, config: &Config) -> Self {
        let PreviewUrls { protocol, domain } = &config.urls.preview;
        let ssh = |SshAddress { host, port }: &SshAddress| format!("ssh://{host}:{port}");
        Self {
            id: region.as_str().to_owned(),
            name: region.as_str().to_owned(),
            organization_id: None,
            region_type: "shared",
            created_at: iso(since),
            updated_at: iso(since),
            proxy_url: Some(format!("{protocol}://{domain}")),
            ssh_gateway_url: config.urls.ssh.as_ref().map(ssh),
            snapshot_manager_url: None,
        }
    }
}
