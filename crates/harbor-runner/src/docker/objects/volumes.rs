//! Volumes: made and removed.

use std::collections::HashMap;

use bollard::models::VolumeCreateRequest;
use bollard::query_parameters::RemoveVolumeOptionsBuilder;

use crate::docker::objects::client::{Client, QUICK};
use crate::error::EngineError;

impl Client {
    /// Makes a volume unless there is one of this name, and returns the labels of the one that is there.
    pub(crate) async fn create_volume(
        &self,
        name: &str,
        labels: HashMap<String, String>,
    ) -> Result<HashMap<String, String>, EngineError> {
        let request =
            VolumeCreateRequest { name: Some(name.to_owned()), labels: Some(labels), ..VolumeCreateRequest::default() };
        let call = self.docker().create_volume(request);
        Ok(self.call(&format!("make volume {name}"), QUICK, call).await?.labels)
    }

    /// Removes the toolbox volume, whatever uses it. One that is gone is fine.
    pub(crate) async fn remove_volume(&self, name: &str) -> Result<(), EngineError> {
        let options = RemoveVolumeOptionsBuilder::new().force(true).build();
        self.look("remove the toolbox volume", self.docker().remove_volume(name, Some(options))).await.map(drop)
    }
}
