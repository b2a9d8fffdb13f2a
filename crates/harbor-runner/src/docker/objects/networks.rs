//! Networks: made, looked at, removed.

use std::collections::HashMap;

use bollard::models::{
    EndpointSettings, Ipam, IpamConfig, Network, NetworkConnectRequest, NetworkCreateRequest, NetworkDisconnectRequest,
};
use bollard::query_parameters::{InspectNetworkOptions, ListNetworksOptions};

use crate::docker::objects::client::{Client, QUICK, SLOW};
use crate::error::EngineError;

/// A bridge network that is to be made.
#[derive(Clone, Debug)]
pub(crate) struct NewNetwork {
    /// Its name.
    pub(crate) name: String,
    /// Its addresses; `None` leaves them to the engine.
    pub(crate) subnet: Option<String>,
    /// Whether there is no way out of it.
    pub(crate) internal: bool,
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
            internal: Some(new.internal),
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

    /// Connects a container, running or not, to a network in which it finds others by `links`, each `CONTAINER:NAME`. One
    /// that is in it is fine.
    pub(crate) async fn join_network(
        &self,
        network: &str,
        container: &str,
        links: Vec<String>,
    ) -> Result<(), EngineError> {
        let request = NetworkConnectRequest {
            container: container.to_owned(),
            endpoint_config: Some(EndpointSettings { links: Some(links), ..EndpointSettings::default() }),
        };
        let doing = format!("connect container {container} to network {network}");
        match self.call(&doing, QUICK, self.docker().connect_network(network, request)).await {
            Err(error) if error.engine_says().is_some_and(|message| message.contains("already exists in network")) => {
                Ok(())
            }
            outcome => outcome,
        }
    }

    /// Names and labels of the networks that have all of these labels, each `NAME=VALUE`.
    pub(crate) async fn networks(
        &self,
        labels: Vec<String>,
    ) -> Result<Vec<(String, HashMap<String, String>)>, EngineError> {
        let filters = HashMap::from([("label".to_owned(), labels)]);
        let options = ListNetworksOptions { filters: Some(filters) };
        let found = self.call("list networks", QUICK, self.docker().list_networks(Some(options))).await?;
        let told = |network: Network| Some((network.name?, network.labels.unwrap_or_default()));
        Ok(found.into_iter().filter_map(told).collect())
    }

    /// The ids of the containers that are in a network and run.
    pub(crate) async fn members_of_network(&self, network: &str) -> Result<Vec<String>, EngineError> {
        let call = self.docker().inspect_network(network, None::<InspectNetworkOptions>);
        let found = self.look(&format!("inspect network {network}"), call).await?;
        let members = found.and_then(|network| network.containers).unwrap_or_default();
        Ok(members.into_keys().collect())
    }

    /// Takes a container out of a network. One that is gone, or not in it, is fine.
    pub(crate) async fn leave_network(&self, network: &str, container: &str) -> Result<(), EngineError> {
        let request = NetworkDisconnectRequest { container: container.to_owned(), force: Some(true) };
        let doing = format!("disconnect container {container} from network {network}");
        match self.look(&doing, self.docker().disconnect_network(network, request)).await {
            Err(error) if error.engine_says().is_some_and(|message| message.contains("is not connected")) => Ok(()),
            outcome => outcome.map(drop),
        }
    }

    /// Removes a network. One that is gone is fine.
    pub(crate) async fn remove_network(&self, name: &str) -> Result<(), EngineError> {
        self.look("remove the network", self.docker().remove_network(name)).await.map(drop)
    }
}
