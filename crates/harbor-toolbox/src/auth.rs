//! The token gate, and `configure`, which sets the token (see `harbor_protocol::toolbox`).
//!
//! Guarantees: before `configure` has come nothing else is answered; afterwards nothing without the token; the token
//! is compared in constant time and its header goes no further than this module.

use std::sync::{Arc, PoisonError, RwLock};

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use harbor_protocol::toolbox::{CONFIGURE_PATH, Configure, Configured, PROTOCOL, TOKEN_HEADER};
use http::HeaderMap;
use subtle::ConstantTimeEq as _;

use crate::context::Context;
use crate::environment::Environment;
use crate::http::error::Error;
use crate::http::json::{self, Json};
use crate::info::VERSION;
use crate::server::Introduction;
use crate::sessions::Sessions;

/// Who may enter.
#[derive(Clone)]
pub(crate) struct Gate {
    token: Arc<RwLock<Option<String>>>,
    context: Context,
    sessions: Sessions,
}

impl Gate {
    /// A gate that admits nobody until `configure` has set a token.
    pub(crate) fn closed(context: Context, sessions: Sessions) -> Self {
        Self { token: Arc::default(), context, sessions }
    }

    fn admits(&self, presented: Option<&[u8]>) -> bool {
        let token = self.token.read().unwrap_or_else(PoisonError::into_inner);
        token.as_deref().is_some_and(|token| same(presented, token))
    }

    /// Whether a `configure` may be carried out: the first may, a later one must present the token in force.
    fn may_configure(&self, presented: Option<&[u8]>) -> bool {
        let open = self.token.read().unwrap_or_else(PoisonError::into_inner).is_none();
        open || self.admits(presented)
    }
}

fn same(presented: Option<&[u8]>, token: &str) -> bool {
    presented.is_some_and(|presented| presented.ct_eq(token.as_bytes()).into())
}

/// The routes of this module, outside the gate.
pub(crate) fn routes(gate: Gate) -> Router {
    Router::new().route(CONFIGURE_PATH, post(configure)).with_state(gate)
}

/// Lets a request in when it carries the token, and takes the token off it.
pub(crate) async fn admit(State(gate): State<Gate>, mut request: Request, next: Next) -> Response {
    let introduction = request.extensions_mut().remove::<Introduction>();
    let accept = || introduction.iter().for_each(Introduction::accept);
    if request.uri().path() == CONFIGURE_PATH {
        let response = next.run(request).await;
        if response.status().is_success() {
            accept();
        }
        return response;
    }
    let presented = request.headers_mut().remove(TOKEN_HEADER);
    if gate.admits(presented.as_ref().map(http::HeaderValue::as_bytes)) {
        accept();
        next.run(request).await
    } else {
        refusal().into_response()
    }
}

fn refusal() -> Error {
    Error::unauthorized(format!("this toolbox takes requests from harbor only, with its token in {TOKEN_HEADER}"))
}

async fn configure(State(gate): State<Gate>, headers: HeaderMap, request: Request) -> Result<Json<Configured>, Error> {
    let presented = headers.get(TOKEN_HEADER).map(http::HeaderValue::as_bytes);
    let wanted: Configure = json::decode(&json::read(request).await?)?;
    if !gate.may_configure(presented) {
        return Err(refusal());
    }
    if wanted.token.is_empty() {
        return Err(Error::invalid_body("the token must not be empty"));
    }
    let variables: Environment = wanted.env.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
    gate.context.configure(variables, wanted.home_as_work_dir, wanted.work_dir.map(Into::into));
    gate.sessions.start_entrypoint(&wanted.entrypoint);
    *gate.token.write().unwrap_or_else(PoisonError::into_inner) = Some(wanted.token);
    Ok(Json(Configured { protocol: PROTOCOL, version: VERSION.to_owned() }))
}
