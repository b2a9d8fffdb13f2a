//! What the contract has and harbor does not build yet. The list is `gaps.txt`; it only shrinks, and a test proves that
//! it and the built routes together are the contract.

use axum::Router;
use axum::extract::OriginalUri;
use axum::routing::{MethodFilter, on};
use harbor_control::{Administer, Caller};
use http::Method;

use crate::error::ApiError;
use crate::state::Api;

const LIST: &str = include_str!("../gaps.txt");

/// The one gap that asks for no credential: newer clients read the catalogue of audited actions without any.
const WITHOUT_CREDENTIAL: (&str, &str) = ("GET", "/audit/scenarios");

/// Method and path of every gap, as the contract writes them.
pub(crate) fn list() -> impl Iterator<Item = (&'static str, &'static str)> {
    LIST.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.trim().split_once(' '))
}

/// Adds an answer for each gap: 501, after authentication where the contract has one.
pub(crate) fn register(router: Router<Api>) -> Router<Api> {
    list().fold(router, |router, (method, path)| match filter(method) {
        Some(filter) if (method, path) == WITHOUT_CREDENTIAL => router.route(&pattern(path), on(filter, unbuilt)),
        Some(filter) => router.route(&pattern(path), on(filter, not_built)),
        None => router,
    })
}

async fn unbuilt(method: Method, OriginalUri(uri): OriginalUri) -> ApiError {
    ApiError::not_built(format!("{method} {} is not built yet", uri.path()))
}

async fn not_built(caller: Caller, method: Method, OriginalUri(uri): OriginalUri) -> ApiError {
    if uri.path().starts_with("/api/admin/")
        && let Err(refusal) = caller.allow::<Administer>()
    {
        return refusal.into();
    }
    unbuilt(method, OriginalUri(uri)).await
}

/// The router's pattern for a path of the contract, which names one variable segment in two ways.
pub(crate) fn pattern(path: &str) -> String {
    match path.strip_prefix("/sandbox/{sandboxId}") {
        Some(rest) => format!("/sandbox/{{sandboxIdOrName}}{rest}"),
        None => path.to_owned(),
    }
}

pub(crate) fn filter(method: &str) -> Option<MethodFilter> {
    Method::from_bytes(method.as_bytes()).ok().and_then(|method| MethodFilter::try_from(method).ok())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use crate::{gaps, refused, routes};

    const CONTRACT: &str = include_str!("../../../tests/contract/api-endpoints.tsv");

    /// What harbor adds below `/api/harbor/` is no part of the contract (design D12).
    #[test]
    fn built_routes_and_gaps_together_are_the_contract() {
        let contract: BTreeSet<String> = CONTRACT
            .lines()
            .skip(1)
            .filter_map(|line| line.split('\t').take(2).map(str::to_owned).collect::<Vec<_>>().try_into().ok())
            .filter(|[_, path]: &[String; 2]| !path.starts_with("/toolbox/"))
            .map(|[method, path]| format!("{method} {path}"))
            .collect();
        assert!(contract.len() > 150, "the list of endpoints was not read");
        let gaps: BTreeSet<String> = gaps::list().map(|(method, path)| format!("{method} {path}")).collect();
        let mut built: BTreeSet<String> = refused::list().map(str::to_owned).collect();
        for (path, item) in routes::built().1.paths.paths.into_iter().filter(|(path, _)| !path.starts_with("/harbor/"))
        {
            let methods = [
                ("GET", item.get),
                ("POST", item.post),
                ("PUT", item.put),
                ("DELETE", item.delete),
                ("PATCH", item.patch),
            ];
            built.extend(
                methods
                    .into_iter()
                    .filter(|(_, operation)| operation.is_some())
                    .map(|(method, _)| format!("{method} {path}")),
            );
        }
        let both: Vec<_> = gaps.intersection(&built).collect();
        assert!(both.is_empty(), "strike from gaps.txt: {both:?}");
        let covered: BTreeSet<String> = gaps.union(&built).cloned().collect();
        assert_eq!(contract.difference(&covered).collect::<Vec<_>>(), Vec::<&String>::new(), "missing");
        assert_eq!(covered.difference(&contract).collect::<Vec<_>>(), Vec::<&String>::new(), "not in the contract");
    }
}
