//! Pages outside the API proper: its OpenAPI document, a page that shows it, and the dashboard's place.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE, LOCATION};
use http::{HeaderName, HeaderValue, StatusCode};
use utoipa::openapi::path::Operation;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{
    ContentBuilder, InfoBuilder, OpenApi, Ref, RefOr, Response as Answer, ResponseBuilder, ServerBuilder,
};
use utoipa::{PartialSchema, ToSchema};

use crate::Config;
use crate::state::Api;
use crate::wire;

const API_PAGE: &str = include_str!("api.html");
const DASHBOARD_PAGE: &str = include_str!("dashboard.html");

/// Nothing from elsewhere.
const POLICY: (HeaderName, HeaderValue) = (
    CONTENT_SECURITY_POLICY,
    HeaderValue::from_static(
        "default-src 'none'; connect-src 'self'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; \
         frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    ),
);

/// The pages, with the document of the built routes completed for this installation.
pub(crate) fn pages(config: &Config, document: OpenApi) -> Router<Api> {
    let document: Arc<str> = complete(document, config).to_json().unwrap_or_default().into();
    let json = get(async move || ([(CONTENT_TYPE, "application/json; charset=utf-8")], document.to_string()));
    Router::new()
        .route("/api-json", json)
        .route("/api", get(async || ([POLICY], Html(API_PAGE))))
        .route("/api/docs", get(async || ([POLICY], Html(API_PAGE))))
        // the page that works; the dashboard's, once there is one
        .route("/", get(async || (StatusCode::FOUND, [(LOCATION, "/api")])))
        .route("/dashboard", get(dashboard))
        .route("/dashboard/{*page}", get(dashboard))
}

async fn dashboard(State(_): State<Api>) -> Response {
    (StatusCode::NOT_IMPLEMENTED, [POLICY], Html(DASHBOARD_PAGE)).into_response()
}

/// Adds what holds for every operation: the server, the credential, and the shape of refusals.
fn complete(mut document: OpenApi, config: &Config) -> OpenApi {
    document.info = InfoBuilder::new()
        .title("harbor")
        .version(config.version.trim_start_matches('v'))
        .description(Some(
            "What this installation answers. Routes of the contract that are not listed here answer 501.",
        ))
        .build();
    document.servers = Some(vec![ServerBuilder::new().url(&config.urls.api).build()]);
    let components = document.components.get_or_insert_default();
    components.schemas.insert(wire::Error::name().into_owned(), wire::Error::schema());
    components.add_security_scheme("bearer", SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer)));
    for item in document.paths.paths.values_mut() {
        let operations = [&mut item.get, &mut item.post, &mut item.put, &mut item.delete, &mut item.patch];
        operations.into_iter().flatten().for_each(complete_operation);
    }
    document
}

fn complete_operation(operation: &mut Operation) {
    if operation.security.is_none() {
        operation.security = Some(vec![SecurityRequirement::new("bearer", Vec::<String>::new())]);
    }
    let schema = Ref::from_schema_name(wire::Error::name());
    let refusal: Answer = ResponseBuilder::new()
        .description("Refused")
        .content("application/json", ContentBuilder::new().schema(Some(schema)).build())
        .build();
    operation.responses.responses.insert("default".to_owned(), RefOr::T(refusal));
}
