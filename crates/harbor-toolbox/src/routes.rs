//! The table of contents: every module's routes, and the ones still missing.

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::handler::Handler as _;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{MethodFilter, any, on};
use http::Method;

use crate::auth::{self, Gate};
use crate::context::Context;
use crate::http::answers::{Redirector, finish, not_found, only_listed_methods, redirect_or_not_found, until_stopped};
use crate::http::error::Error;
use crate::pty::Terminals;
use crate::sessions::Sessions;
use crate::{execution, files, git, info, interpreter, lsp, ports, pty, remote, sessions, sftp, system};

/// Routes of the contract that are not built yet, `METHOD path` per line. It only shrinks.
const GAPS: &str = include_str!("../gaps.txt");

/// The whole application, for requests from outside.
pub(crate) fn application(context: &Context, sessions: Sessions, gate: Gate) -> Router {
    let contract = built(context, sessions).merge(gaps());
    let unknown = redirect_or_not_found.with_state(Redirector::new(contract.clone()));
    contract
        .merge(own(context))
        .fallback_service(unknown)
        .method_not_allowed_fallback(async || not_found())
        .layer(from_fn(only_listed_methods))
        .layer(from_fn_with_state(context.processes().stopping().clone(), until_stopped))
        .merge(auth::routes(gate.clone()))
        .layer(from_fn_with_state(gate, auth::admit))
        .layer(DefaultBodyLimit::disable())
        .layer(from_fn(finish))
}

/// The routes that exist.
fn built(context: &Context, sessions: Sessions) -> Router {
    Router::new()
        .merge(info::routes())
        .merge(execution::routes())
        .merge(sessions::routes(sessions))
        .merge(pty::routes(Terminals::new(context.clone())))
        .merge(ports::routes())
        .merge(system::routes())
        .merge(files::routes())
        .merge(interpreter::routes())
        .merge(git::routes())
        .merge(lsp::routes())
        .with_state(context.clone())
}

/// What is asked for by harbor itself, and no part of the contract.
fn own(context: &Context) -> Router {
    Router::new().merge(remote::routes(context)).merge(sftp::routes(context))
}

/// The routes that answer 501.
fn gaps() -> Router {
    GAPS.lines().filter_map(|line| line.split_once(' ')).fold(Router::new(), |router, (method, path)| {
        let missing = move |method: Method| async move {
            Error::not_implemented(format!("{method} {path} is not built into this toolbox yet"))
        };
        match MethodFilter::try_from(Method::from_bytes(method.as_bytes()).unwrap_or_default()) {
            Ok(filter) if method != "ANY" => router.route(path, on(filter, missing)),
            _ => router.route(path, any(missing)),
        }
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use axum::body::Body;
    use axum::extract::Request;
    use http::StatusCode;
    use tower::ServiceExt as _;

    use super::*;
    use crate::http::answers::allowed_methods;
    use crate::process::Processes;

    const CONTRACT: &str = include_str!("../../../tests/contract/toolbox-endpoints.tsv");

    /// Routes of `{sessionId}` that the entrypoint session answers itself.
    const ENTRYPOINT_ALIASES: [(&str, &str); 1] = [("DELETE", "/process/session/entrypoint")];

    fn contract() -> BTreeSet<(String, String)> {
        let line = |line: &str| {
            let mut fields = line.split('\t');
            // A rest of a path is written with a star here.
            let (method, path) = (fields.next()?, fields.next()?.replace("{path}", "{*path}"));
            Some((method.to_owned(), path))
        };
        CONTRACT.lines().filter_map(line).collect()
    }

    /// Paths whose methods are the business of a server behind them.
    fn proxied() -> BTreeSet<String> {
        contract().into_iter().filter(|(method, _)| method == "ANY").map(|(_, path)| path).collect()
    }

    fn listed_gaps() -> BTreeSet<(String, String)> {
        let line = |line: &str| line.split_once(' ').map(|(method, path)| (method.to_owned(), path.to_owned()));
        GAPS.lines().filter_map(line).collect()
    }

    #[tokio::test]
    async fn routes_built_and_gaps_are_the_contract() {
        let context = Context::new([].into(), "/".into(), Processes::default());
        let router = built(&context, Sessions::new(context.clone()));
        let mut found = BTreeSet::new();
        for path in proxied() {
            // Every method is answered: this number is no port.
            let request = Request::builder().method("WHICH").uri(path.replace("{port}", "0").replace("{*path}", "x"));
            let response = router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
            if response.status() == StatusCode::BAD_REQUEST {
                found.insert(("ANY".to_owned(), path));
            }
        }
        for path in contract().into_iter().map(|(_, path)| path).collect::<BTreeSet<_>>() {
            let allowed = allowed_methods(&router, &path).await.unwrap_or_default();
            // HEAD comes with GET in this router; the middleware in front refuses it.
            let methods = allowed.split(',').filter(|method| !matches!(*method, "" | "HEAD"));
            let methods = methods.filter(|method| !ENTRYPOINT_ALIASES.contains(&(*method, path.as_str())));
            found.extend(methods.map(|method| (method.to_owned(), path.clone())));
        }
        let gaps = listed_gaps();
        assert_eq!(found.intersection(&gaps).collect::<Vec<_>>(), Vec::<&(String, String)>::new(), "built, so no gap");
        assert_eq!(found.union(&gaps).cloned().collect::<BTreeSet<_>>(), contract());
    }
}
