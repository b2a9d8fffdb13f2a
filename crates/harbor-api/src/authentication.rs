//! Who calls: the one place where a request's credential is read (contract, control-plane §2).
//!
//! A handler says in its first argument who may call it: a [`Caller`] is anybody whose credential was accepted, an
//! [`Allowed`] somebody with these permissions, an [`OwnOrganization`] somebody who acts within the organization that
//! the path names. It comes first, so that nothing else of the request is read before, and the published document says
//! the same, made from the handler's type by [`declared`].

use std::future::Future;

use axum::extract::{FromRequestParts, RawPathParams};
use harbor_control::{Allowed, Caller, OwnOrganization, Requirement};
use harbor_model::identity::Permission;
use harbor_model::ids::OrganizationId;
use harbor_serve::ConnectionSlot;
use http::StatusCode;
use http::header::AUTHORIZATION;
use http::request::Parts;
use utoipa::openapi::security::SecurityRequirement;
use utoipa_axum::router::UtoipaMethodRouter;

use crate::error::ApiError;
use crate::input::{Sender, receive};
use crate::state::Api;

/// The key behind `Authorization: Bearer <key>`: the scheme in any case, one blank, no blanks in the key.
pub(crate) fn bearer(parts: &Parts) -> Option<&str> {
    let (scheme, key) = parts.headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    (scheme.eq_ignore_ascii_case("bearer") && !key.is_empty() && !key.contains(' ')).then_some(key)
}

impl FromRequestParts<Api> for Caller {
    type Rejection = ApiError;

    /// Reads the body too, as much of it as who is asked for may send: malformed JSON is told before a refused credential.
    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, ApiError> {
        let caller = match bearer(parts) {
            Some(key) => api.control.authenticate(key).await.map_err(ApiError::from),
            None => Err(ApiError::unauthenticated()),
        };
        if caller.is_ok()
            && let Some(slot) = parts.extensions.get::<ConnectionSlot>()
        {
            slot.vouch();
        }
        let sender = if caller.is_ok() { Sender::Caller } else { Sender::Stranger };
        receive(parts, sender, &api.bodies).await?;
        caller
    }
}

impl<R: Requirement> FromRequestParts<Api> for Allowed<R> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, ApiError> {
        Ok(Caller::from_request_parts(parts, api).await?.allow()?)
    }
}

impl FromRequestParts<Api> for OwnOrganization {
    type Rejection = ApiError;

    /// Reads the path's `organizationId`. What is no id is no organization of the caller's (recordings,
    /// `api-organizations/unknown-organization`).
    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, ApiError> {
        let caller = Caller::from_request_parts(parts, api).await?;
        let segments = RawPathParams::from_request_parts(parts, api).await.ok();
        let named = segments.iter().flatten().find(|(name, _)| *name == "organizationId").map(|(_, value)| value);
        let id: OrganizationId = named.unwrap_or_default().parse().map_err(|error| {
            let message = format!("Invalid authentication context: the organization's id is {error}");
            ApiError::new(StatusCode::FORBIDDEN, message)
        })?;
        Ok(caller.within(id)?)
    }
}

/// Who may call a handler that has this first argument.
pub(crate) trait Asked {
    /// The permissions that its grant must give.
    const PERMISSIONS: &'static [Permission];
    /// The permissions of which its grant must give one; empty: none of any.
    const ONE_OF: &'static [Permission] = &[];
}

impl Asked for Caller {
    const PERMISSIONS: &'static [Permission] = &[];
}

impl Asked for OwnOrganization {
    const PERMISSIONS: &'static [Permission] = &[];
}

impl<R: Requirement> Asked for Allowed<R> {
    const PERMISSIONS: &'static [Permission] = R::PERMISSIONS;
    const ONE_OF: &'static [Permission] = R::ONE_OF;
}

/// A handler with these arguments.
pub(crate) trait Handler<Arguments> {
    /// Its first argument.
    type First: Asked;
}

macro_rules! handlers {
    ($(($first:ident $(, $rest:ident)*)),+) => { $(
        impl<F, Answer, $first, $($rest),*> Handler<($first, $($rest,)*)> for F
        where
            F: Fn($first, $($rest),*) -> Answer,
            Answer: Future,
            $first: Asked,
        {
            type First = $first;
        }
    )+ };
}

handlers!((A), (A, B), (A, B, C), (A, B, C, D));

/// `routes` with the permissions that `handler` asks for written into the document.
pub(crate) fn declared<Arguments, H: Handler<Arguments>>(
    (schemas, mut paths, router): UtoipaMethodRouter<Api>,
    _handler: &H,
) -> UtoipaMethodRouter<Api> {
    let asks = |one: Option<&Permission>| {
        let permissions = H::First::PERMISSIONS.iter().chain(one).map(|permission| permission.word());
        SecurityRequirement::new("bearer", permissions)
    };
    let asked = match H::First::ONE_OF {
        [] => vec![asks(None)],
        one_of => one_of.iter().map(|one| asks(Some(one))).collect(),
    };
    for item in paths.paths.values_mut() {
        let operations = [&mut item.get, &mut item.post, &mut item.put, &mut item.delete, &mut item.patch];
        for operation in operations.into_iter().flatten() {
            operation.security = Some(asked.clone());
        }
    }
    (schemas, paths, router)
}
