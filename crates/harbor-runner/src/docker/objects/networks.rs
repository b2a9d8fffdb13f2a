//! Networks: made, looked at, removed.

use std::collections::HashMap;

use bollard::models::{Ipam, IpamConfig, NetworkCreateRequest};
use bollard::query_parameters::InspectNetworkOptions;

use crate::docker::objects::client::{Client, SLOW};
use crate::error::EngineError;

/// A bridge network that is to be made.
#[derive(Clone, Debug)]
pub(crate) struct NewNetwork {
    /// Its name.
    pub(crate) name: String,
    /// Its addresses; `None` leaves them to the engine.
    pub(crate) subnet: Option<String>,
    /// Options of the bridge driver.
    pub(crate) options: HashMap<String, String>,
    /// Its labels.
    pub(crate) labels: HashMap<String, String>,
}

impl Client {
    /// Makes a bridge network.
    pub(crate) async fn create_network(&self, new: &NewNetwork) -> Result<(), EngineError> {
        let ipam = new.subnet.clone().map(|subnet| Ipam {
            config: Some(vec![IpamConfig { subnet: Some(subnet), ..IpamConfig::default() }]),
            ..Ipam::default()
        });
        let request = NetworkCreateRequest {
            name: new.name.clone(),
            driver: Some("bridge".to_owned()),
            ipam,
            options: Some(new.options.clone()),
            labels: Some(new.labels.clone()),
            ..NetworkCreateRequest::default()
        };
        let call = self.docker().create_network(request);
        self.call(&format!("make network {}", new.name), SLOW, call).await.map(drop)
    }

    /// Returns the labels of the network of this name; `None` when there is none.
    pub(crate) async fn network_labels(&self, name: &str) -> Result<Option<HashMap<String, String>>, EngineError> {
        let call = self.docker().inspect_network(name, None::<InspectNetworkOptions>);
        let found = self.look(&format!("inspect network {name}"), call).await?;
        Ok(found.map(|network| network.labels.unwrap_or_default()))
    }

    /// Removes a network. One that is gone is fine.
    pub(crate) async fn remove_network(&self, name: &str) -> Result<(), EngineError> {
        self.look("remove the network", self.docker().remove_network(name)).await.map(drop)
    }
}
