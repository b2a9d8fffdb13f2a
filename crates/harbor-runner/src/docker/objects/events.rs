//! Events of containers, as they happen.

use std::collections::HashMap;

use bollard::query_parameters::EventsOptionsBuilder;
use futures_util::StreamExt;
use futures_util::stream::BoxStream;

use crate::docker::objects::client::Client;
use crate::error::EngineSaid;

/// What happened to a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ContainerEvent {
    /// When, in nanoseconds since 1970 on the engine's clock.
    pub(crate) nanoseconds: Option<i64>,
    /// The container's labels, among attributes of the engine's own.
    pub(crate) attributes: HashMap<String, String>,
}

impl Client {
    /// Subscribes to these `actions` on containers that carry `label`, from `since` on. The stream has no deadline.
    pub(crate) fn container_events(
        &self,
        since: &str,
        label: String,
        actions: &[&str],
    ) -> BoxStream<'static, Result<ContainerEvent, EngineSaid>> {
        let filters = HashMap::from([
            ("type", vec!["container".to_owned()]),
            ("label", vec![label]),
            ("event", actions.iter().map(|&action| action.to_owned()).collect()),
        ]);
        let options = EventsOptionsBuilder::new().since(since).filters(&filters).build();
        let events = self.docker().events(Some(options)).map(|event| match event {
            Ok(message) => Ok(ContainerEvent {
                nanoseconds: message.time_nano,
                attributes: message.actor.and_then(|actor| actor.attributes).unwrap_or_default(),
            }),
            Err(error) => Err(EngineSaid::new(error.to_string())),
        });
        events.boxed()
    }
}
