//! What holds for every request, whatever its route (contract, control-plane §1, §3).

mod body;
mod cors;
mod envelope;
mod target;

use axum::Router;
use axum::middleware::from_fn;
use socketioxide::layer::SocketIoLayer;
use tower::ServiceBuilder;

use crate::events;
use crate::input;
use crate::routes::Routes;

/// Puts the whole transport around the routes.
///
/// Addresses are normalised before routing, hence the router within a router.
pub(crate) fn wrap(Routes { router, about }: Routes, socket: SocketIoLayer) -> Router {
    let routed = router
        .layer(from_fn(input::tell))
        .layer(from_fn(body::set_aside))
        .layer(socket)
        .layer(from_fn(events::websocket_only));
    let service = ServiceBuilder::new()
        .layer(from_fn(move |request, next| envelope::seal(about.clone(), request, next)))
        .layer(from_fn(cors::allow))
        .service(routed);
    Router::new().fallback_service(service)
}
