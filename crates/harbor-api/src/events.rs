//! The event stream: socket.io at `/api/socket.io/` (contract, control-plane §15).
//!
//! Guarantees: an event goes out after the change it tells of was committed, so who reacts with a read sees at least
//! that; it carries the same body as REST; only members of the organization get it, for as long as their key opens.
//! A client that does not read is not waited for: beyond a backlog it loses events, and its own polls catch up
//! (contract, control-plane §15.4).

use std::future::Future;
use std::time::Duration;

use axum::Json;
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use harbor_control::{Change, Control, Kind};
use harbor_model::ids::OrganizationId;
use harbor_model::sandboxes::SandboxEvent;
use harbor_model::secrets::Secret;
use harbor_model::{sandboxes, snapshots, volumes};
use harbor_serve::ConnectionSlot;
use http::StatusCode;
use http::header::UPGRADE;
use serde::{Deserialize, Serialize};
use socketioxide::extract::{SocketRef, TryData};
use socketioxide::handler::ConnectHandler;
use socketioxide::layer::SocketIoLayer;
use socketioxide::{SocketIo, TransportType};
use tokio::sync::broadcast::error::RecvError;
use tokio::time::MissedTickBehavior;

use crate::state::Api;
use crate::wire::sandboxes::Sandbox;
use crate::wire::snapshots::Snapshot;
use crate::wire::volumes::Volume;

/// Path of the stream's endpoint.
pub(crate) const PATH: &str = "/api/socket.io";

/// Events that may wait for one client.
const BACKLOG: usize = 1024;

/// How often it is checked that the keys of those who listen still open.
const REVIEW: Duration = Duration::from_secs(10);

/// How long connections get to close when harbor stops.
const FAREWELL: Duration = Duration::from_secs(2);

/// Feeds the event stream. Made by [`crate::router`]; the supervisor owns [`Events::publish`].
pub struct Events {
    io: SocketIo,
    api: Api,
}

/// Payload of the connect packet.
#[derive(Deserialize)]
struct Credential {
    token: String,
}

/// Who listens on a socket.
#[derive(Clone)]
struct Listener {
    key: Secret,
    organization: OrganizationId,
}

#[derive(Debug, thiserror::Error)]
#[error("Unauthorized")]
struct Unauthorized;

pub(crate) fn build(api: &Api) -> (Events, SocketIoLayer) {
    let (layer, io) = SocketIo::builder()
        .req_path(PATH)
        .transports([TransportType::Websocket])
        .ping_interval(Duration::from_secs(25))
        .ping_timeout(Duration::from_secs(20))
        .max_payload(1_000_000)
        .ws_max_message_size(64 * 1024)
        .ws_max_frame_size(64 * 1024)
        .max_buffer_size(BACKLOG)
        .build_layer();
    let control = api.control.clone();
    let admit = move |socket: SocketRef, TryData(credential): TryData<Credential>| {
        let control = control.clone();
        async move { admit(&control, &socket, credential.map_err(|_| Unauthorized)?).await }
    };
    io.ns("/", greet.with(admit));
    (Events { io, api: api.clone() }, layer)
}

/// Answers whoever does not open a websocket: long polling is not offered (contract, control-plane §15.1).
pub(crate) async fn websocket_only(request: Request, next: Next) -> Response {
    let stream = request.uri().path().strip_prefix(PATH).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    let websocket =
        request.uri().query().is_some_and(|query| query.split('&').any(|pair| pair == "transport=websocket"));
    if !stream || (websocket && request.headers().contains_key(UPGRADE)) {
        return next.run(request).await;
    }
    let (code, message) = if websocket { (3, "Bad request") } else { (0, "Transport unknown") };
    (StatusCode::BAD_REQUEST, Json(serde_json::json!({ "code": code, "message": message }))).into_response()
}

async fn greet(socket: SocketRef) {
    tracing::debug!(socket = %socket.id, "event stream opened");
}

/// Joins the room of the key's organization, before the client is told that it is connected: it misses nothing that
/// follows.
async fn admit(control: &Control, socket: &SocketRef, Credential { token }: Credential) -> Result<(), Unauthorized> {
    let caller = control.authenticate(&token).await.map_err(|error| {
        if error.kind() != Kind::Unauthenticated {
            tracing::warn!(%error, "event stream not authenticated");
        }
        Unauthorized
    })?;
    if let Some(slot) = socket.req_parts().extensions.get::<ConnectionSlot>() {
        slot.vouch();
    }
    socket.extensions.insert(Listener { key: Secret::new(token), organization: caller.organization() });
    socket.join(caller.organization().to_string());
    Ok(())
}

#[derive(Serialize)]
struct SandboxMoved<'a> {
    sandbox: &'a Sandbox,
    #[serde(rename = "oldState")]
    old: Option<&'static str>,
    #[serde(rename = "newState")]
    new: &'static str,
}

#[derive(Serialize)]
struct SandboxWanted<'a> {
    sandbox: &'a Sandbox,
    #[serde(rename = "oldDesiredState")]
    old: Option<&'static str>,
    #[serde(rename = "newDesiredState")]
    new: &'static str,
}

#[derive(Serialize)]
struct SnapshotMoved<'a> {
    snapshot: &'a Snapshot,
    #[serde(rename = "oldState")]
    old: &'static str,
    #[serde(rename = "newState")]
    new: &'static str,
}

#[derive(Serialize)]
struct VolumeMoved<'a> {
    volume: &'a Volume,
    #[serde(rename = "oldState")]
    old: &'static str,
    #[serde(rename = "newState")]
    new: &'static str,
}

impl Events {
    /// Sends every committed change to those who may see it, until `stop` completes; then closes all connections.
    pub async fn publish(self, stop: impl Future<Output = ()> + Send) {
        let mut changes = self.api.control.changes();
        let mut review = tokio::time::interval(REVIEW);
        review.set_missed_tick_behavior(MissedTickBehavior::Delay);
        tokio::pin!(stop);
        loop {
            tokio::select! {
                () = &mut stop => break,
                change = changes.recv() => match change {
                    Ok(change) => self.tell(change),
                    // clients poll as well, so what is lost here is latency
                    Err(RecvError::Lagged(lost)) => tracing::warn!(lost, "event stream fell behind"),
                    Err(RecvError::Closed) => break,
                },
                _ = review.tick() => self.review().await,
            }
        }
        if tokio::time::timeout(FAREWELL, self.io.close()).await.is_err() {
            tracing::warn!("event stream connections did not close in time");
        }
    }

    fn tell(&self, change: Change) {
        match change {
            Change::Sandbox { before, after } => self.tell_sandbox(before.as_deref(), &after),
            Change::Snapshot { before, after } => self.tell_snapshot(before.as_deref(), &after),
            Change::SnapshotRemoved(snapshot) => self.tell_removed(&snapshot),
            Change::Volume { before, after } => self.tell_volume(before.as_deref(), &after),
            Change::WarmPools | Change::Image(_) => {}
        }
    }

    fn tell_sandbox(&self, before: Option<&sandboxes::Sandbox>, after: &sandboxes::Sandbox) {
        let events = sandboxes::events(before, after);
        let listeners = self.listeners(after.organization);
        if events.is_empty() || listeners.is_empty() {
            return;
        }
        let sandbox = Sandbox::of(after.clone(), &self.api.config);
        for event in events {
            match (event, event.words()) {
                (SandboxEvent::Created(_), _) => emit(&listeners, event.name(), &sandbox),
                (SandboxEvent::DesiredStateUpdated { .. }, (old, new)) => {
                    emit(&listeners, event.name(), &SandboxWanted { sandbox: &sandbox, old, new });
                }
                (SandboxEvent::StateUpdated { .. }, (old, new)) => {
                    emit(&listeners, event.name(), &SandboxMoved { sandbox: &sandbox, old, new });
                }
            }
        }
    }

    fn tell_removed(&self, snapshot: &snapshots::Snapshot) {
        let listeners = self.listeners(snapshot.organization);
        if !listeners.is_empty() {
            emit(&listeners, "snapshot.removed", &self.shown(snapshot));
        }
    }

    fn shown(&self, snapshot: &snapshots::Snapshot) -> Snapshot {
        self.api.shown_snapshot(snapshot.clone())
    }

    fn tell_snapshot(&self, before: Option<&snapshots::Snapshot>, after: &snapshots::Snapshot) {
        let moved = before.is_none_or(|before| before.state != after.state);
        let listeners = self.listeners(after.organization);
        if !moved || listeners.is_empty() {
            return;
        }
        let snapshot = self.shown(after);
        match before {
            None => emit(&listeners, "snapshot.created", &snapshot),
            Some(before) => {
                let moved = SnapshotMoved { snapshot: &snapshot, old: before.state.word(), new: after.state.word() };
                emit(&listeners, "snapshot.state.updated", &moved);
            }
        }
    }

    fn tell_volume(&self, before: Option<&volumes::Volume>, after: &volumes::Volume) {
        let listeners = self.listeners(after.organization);
        if listeners.is_empty() {
            return;
        }
        let volume = Volume::of(after.clone());
        let Some(before) = before else { return emit(&listeners, "volume.created", &volume) };
        if before.state != after.state {
            let moved = VolumeMoved { volume: &volume, old: before.state.word(), new: after.state.word() };
            emit(&listeners, "volume.state.updated", &moved);
        }
        if before.last_used_at != after.last_used_at {
            emit(&listeners, "volume.lastUsedAt.updated", &volume);
        }
    }

    fn listeners(&self, organization: OrganizationId) -> Vec<SocketRef> {
        self.io.within(organization.to_string()).sockets()
    }

    /// Cuts off those whose key no longer opens their organization.
    async fn review(&self) {
        for socket in self.io.sockets() {
            let Some(listener) = socket.extensions.get::<Listener>() else { continue };
            let open = match self.api.control.still_opens(listener.key.reveal()).await {
                Ok(organization) => organization == listener.organization,
                Err(error) => error.kind() != Kind::Unauthenticated,
            };
            if !open {
                tracing::debug!(socket = %socket.id, "event stream closed: its key no longer opens");
                cut_off(socket);
            }
        }
    }
}

fn emit<T: Serialize>(listeners: &[SocketRef], event: &str, payload: &T) {
    for socket in listeners {
        if let Err(error) = socket.emit(event, payload) {
            tracing::debug!(socket = %socket.id, %error, event, "event lost: its client does not read");
        }
    }
}

fn cut_off(socket: SocketRef) {
    if let Err(error) = socket.disconnect() {
        tracing::debug!(%error, "event stream connection was gone already");
    }
}
