//! What happens on the engine to containers of this instance.

use std::time::Duration;

use futures_util::stream::{BoxStream, Stream};
use futures_util::{StreamExt, stream};
use harbor_model::ids::SandboxId;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::docker::handle::DockerEngine;
use crate::docker::naming;
use crate::docker::objects::events::ContainerEvent;
use crate::error::{EngineError, EngineSaid};
use crate::sandbox::Event;

/// After this long without an event the subscription is made anew: a connection that is dead at the other end says
/// nothing either.
const SILENCE: Duration = Duration::from_mins(5);

/// Between two attempts to subscribe: at first, and at most.
const PAUSE: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(1));

/// Where a subscription stands.
enum Subscription {
    /// To be made, after a pause; `since` is where the one before it ended, in the engine's time.
    Waiting { pause: Duration, since: Option<String> },
    /// Delivers events; `since` is the newest so far.
    Open { events: BoxStream<'static, Result<ContainerEvent, EngineSaid>>, since: String },
}

impl DockerEngine {
    /// What happens to this instance's containers from now on. Never ends; reconnects on its own.
    ///
    /// Dropping the stream ends the subscription. Nothing is buffered here beyond one event.
    pub fn events(&self) -> impl Stream<Item = Event> + Send + use<> {
        let runner = self.clone();
        let start = Subscription::Waiting { pause: Duration::ZERO, since: None };
        stream::unfold((runner, start), |(runner, state)| async move {
            let (event, state) = runner.next_event(state).await;
            Some((event, (runner, state)))
        })
    }

    async fn next_event(&self, mut state: Subscription) -> (Event, Subscription) {
        loop {
            state = match state {
                Subscription::Waiting { pause, since } => {
                    tokio::time::sleep(pause).await;
                    match self.subscribe(since.clone()).await {
                        Ok((open, true)) => {
                            self.known().outdate_all();
                            return (Event::Reconnected, open);
                        }
                        Ok((open, false)) => open,
                        Err(error) => {
                            if pause < PAUSE.1 {
                                tracing::warn!(error = &error as &dyn std::error::Error, "no events from the engine");
                            }
                            // its buffer may be gone with it, so what was missed is not known
                            Subscription::Waiting { pause: (pause * 2).clamp(PAUSE.0, PAUSE.1), since: None }
                        }
                    }
                }
                Subscription::Open { mut events, since } => match tokio::time::timeout(SILENCE, events.next()).await {
                    Ok(Some(Ok(event))) => {
                        let since = moment(&event).unwrap_or(since);
                        let state = Subscription::Open { events, since };
                        match sandbox(&event) {
                            Some(id) => {
                                self.known().outdate(&id);
                                return (Event::Changed(id), state);
                            }
                            None => state,
                        }
                    }
                    Err(_) => Subscription::Waiting { pause: Duration::ZERO, since: Some(since) },
                    Ok(Some(Err(error))) => {
                        tracing::warn!(%error, "events from the engine ended");
                        Subscription::Waiting { pause: PAUSE.0, since: None }
                    }
                    Ok(None) => Subscription::Waiting { pause: PAUSE.0, since: None },
                },
            }
        }
    }

    /// Subscribes from `since`, or from now, which is a beginning (`true`): events between two of them are lost.
    async fn subscribe(&self, since: Option<String>) -> Result<(Subscription, bool), EngineError> {
        let beginning = since.is_none();
        let since = match since {
            Some(since) => since,
            None => self.engine_time().await?,
        };
        let label = format!("{}={}", naming::INSTANCE, self.instance());
        let actions = ["create", "start", "die", "destroy", "pause", "unpause", "rename"];
        let events = self.client().container_events(&since, label, &actions);
        Ok((Subscription::Open { events, since }, beginning))
    }

    /// The engine's clock, as `since` wants it: what happens after this call is not missed.
    async fn engine_time(&self) -> Result<String, EngineError> {
        let now = self.client().system_time().await?.and_then(|text| OffsetDateTime::parse(&text, &Rfc3339).ok());
        // without a clock of the engine ours has to do
        Ok(since(now.unwrap_or_else(OffsetDateTime::now_utc).unix_timestamp_nanos()))
    }
}

/// When it happened, in nanoseconds, as `since` wants it.
fn moment(event: &ContainerEvent) -> Option<String> {
    event.nanoseconds.map(|nanoseconds| since(nanoseconds.into()))
}

/// Nanoseconds since 1970 in the engine's words.
fn since(nanoseconds: i128) -> String {
    format!("{}.{:09}", nanoseconds / 1_000_000_000, nanoseconds % 1_000_000_000)
}

fn sandbox(event: &ContainerEvent) -> Option<SandboxId> {
    event.attributes.get(naming::SANDBOX)?.parse().ok()
}
