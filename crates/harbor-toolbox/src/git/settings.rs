//! Remotes, configuration and stored credentials (contract, toolbox §12.8).

use axum::extract::{Query, Request, State};
use http::StatusCode;
use serde::{Deserialize, Serialize};

use super::failure;
use super::request::{Repository, RepositoryPath, body, check_name, require};
use super::run::Git;
use crate::context::Context;
use crate::http::error::Error;
use crate::http::json::Json;

#[derive(Serialize)]
pub(super) struct Remotes {
    remotes: Vec<Remote>,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
struct Remote {
    name: String,
    url: String,
}

pub(super) async fn remotes(
    State(context): State<Context>,
    Query(wanted): Query<RepositoryPath>,
) -> Result<Json<Remotes>, Error> {
    let repository = Repository::open(&context, wanted.path()?)?;
    let printed = repository.git().attempt(&["config", "-z", "--get-regexp", r"^remote\..*\.url$"], b"").await?;
    // Nothing found is a failure without a message.
    if !printed.succeeded() && !printed.messages.trim().is_empty() {
        return Err(failure::error(printed.code, &printed.messages));
    }
    Ok(Json(Remotes { remotes: parse_remotes(&printed.output) }))
}

/// Reads `remote.NAME.url` and its value, a line's end between them and NUL after; the first address of a name counts.
fn parse_remotes(output: &[u8]) -> Vec<Remote> {
    let mut remotes: Vec<Remote> = Vec::new();
    for entry in String::from_utf8_lossy(output).split('\0') {
        let Some((key, url)) = entry.split_once('\n') else { continue };
        let Some(name) = key.strip_prefix("remote.").and_then(|key| key.strip_suffix(".url")) else { continue };
        if !remotes.iter().any(|known| known.name == name) {
            remotes.push(Remote { name: name.to_owned(), url: url.to_owned() });
        }
    }
    remotes
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct NewRemote {
    path: String,
    name: String,
    url: String,
    fetch: bool,
    overwrite: bool,
}

pub(super) async fn add_remote(State(context): State<Context>, request: Request) -> Result<StatusCode, Error> {
    let NewRemote { path, name, url, fetch, overwrite } = body(request).await?;
    require(&[("path", &path), ("name", &name), ("url", &url)])?;
    check_name("remote name", &name)?;
    check_name("url", &url)?;
    let repository = Repository::open(&context, &path)?;
    let exists = repository.git().test(&["config", "--get", &format!("remote.{name}.url")]).await?;
    match (exists, overwrite) {
        (true, false) => return Err(Error::conflict(format!("remote {name} already exists"))),
        (true, true) => repository.git().run(&["remote", "set-url", "--", &name, &url]).await?,
        (false, _) => repository.git().run(&["remote", "add", "--", &name, &url]).await?,
    };
    if fetch {
        repository.git().remote(None).run(&["fetch", "--quiet", "--", &name]).await?;
    }
    Ok(StatusCode::CREATED)
}

/// Which configuration, and the repository it belongs to.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Setting {
    key: String,
    value: Option<String>,
    scope: Option<String>,
    path: Option<String>,
}

/// The option for a scope, and git where it counts.
fn scoped<'a>(context: &'a Context, scope: Option<&str>, path: Option<&str>) -> Result<(&'static str, Git<'a>), Error> {
    let path = path.filter(|path| !path.is_empty());
    let anywhere = || Git::new(context, std::path::Path::new("/"));
    match scope.filter(|scope| !scope.is_empty()) {
        None | Some("global") => Ok(("--global", anywhere())),
        Some("system") => Ok(("--system", anywhere())),
        Some("local") => {
            let path = path.ok_or_else(|| Error::bad_request("the scope local needs a path"))?;
            Ok(("--local", Repository::open(context, path)?.git()))
        }
        Some(other) => Err(Error::bad_request(format!("unknown scope {other:?}; it is global, local or system"))),
    }
}

#[derive(Serialize)]
pub(super) struct Value {
    value: Option<String>,
}

pub(super) async fn config(
    State(context): State<Context>,
    Query(setting): Query<Setting>,
) -> Result<Json<Value>, Error> {
    if setting.key.is_empty() {
        return Err(Error::bad_request("key is required"));
    }
    check_name("key", &setting.key)?;
    let (option, git) = scoped(&context, setting.scope.as_deref(), setting.path.as_deref())?;
    let done = git.attempt(&["config", option, "-z", "--get", "--", &setting.key], b"").await?;
    match done.code {
        0 => {
            let text = String::from_utf8_lossy(&done.output);
            Ok(Json(Value { value: Some(text.trim_end_matches('\0').to_owned()) }))
        }
        1 if done.messages.trim().is_empty() => Ok(Json(Value { value: None })),
        _ => Err(failure::error(done.code, &done.messages)),
    }
}

pub(super) async fn set_config(State(context): State<Context>, request: Request) -> Result<StatusCode, Error> {
    let setting: Setting = body(request).await?;
    let value = setting.value.unwrap_or_default();
    require(&[("key", &setting.key), ("value", &value)])?;
    check_name("key", &setting.key)?;
    let (option, git) = scoped(&context, setting.scope.as_deref(), setting.path.as_deref())?;
    set(&git, option, &setting.key, &value).await?;
    Ok(StatusCode::OK)
}

async fn set(git: &Git<'_>, scope: &str, key: &str, value: &str) -> Result<(), Error> {
    if value.contains('\0') {
        return Err(Error::bad_request("a value must not contain NUL"));
    }
    git.run(&["config", scope, "--replace-all", "--", key, value]).await.map(drop)
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct User {
    name: String,
    email: String,
    scope: Option<String>,
    path: Option<String>,
}

pub(super) async fn set_user(State(context): State<Context>, request: Request) -> Result<StatusCode, Error> {
    let User { name, email, scope, path } = body(request).await?;
    require(&[("name", &name), ("email", &email)])?;
    let (option, git) = scoped(&context, scope.as_deref(), path.as_deref())?;
    set(&git, option, "user.name", &name).await?;
    set(&git, option, "user.email", &email).await?;
    Ok(StatusCode::OK)
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Login {
    username: String,
    password: String,
    host: Option<String>,
    protocol: Option<String>,
}

/// Stores a login with git's own plain-text helper, which is what this route is for.
pub(super) async fn store_login(State(context): State<Context>, request: Request) -> Result<StatusCode, Error> {
    let Login { username, password, host, protocol } = body(request).await?;
    require(&[("username", &username), ("password", &password)])?;
    let or = |text: Option<String>, default: &str| {
        text.filter(|text| !text.is_empty()).unwrap_or_else(|| default.to_owned())
    };
    let fields = [
        ("protocol", or(protocol, "https")),
        ("host", or(host, "github.com")),
        ("username", username),
        ("password", password),
    ];
    if let Some((name, _)) = fields.iter().find(|(_, value)| value.contains(['\0', '\n', '\r'])) {
        return Err(Error::bad_request(format!("{name} must be one line")));
    }
    let git = Git::new(&context, std::path::Path::new("/"));
    let helpers = git.attempt(&["config", "--global", "--get-all", "credential.helper"], b"").await?;
    if !String::from_utf8_lossy(&helpers.output).lines().any(|helper| helper == "store") {
        git.run(&["config", "--global", "--add", "credential.helper", "store"]).await?;
    }
    let lines: Vec<_> = fields.iter().map(|(name, value)| format!("{name}={value}\n")).collect();
    git.run_with_input(&["credential-store", "store"], lines.concat().as_bytes()).await?;
    Ok(StatusCode::OK)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_remote_has_its_first_address() {
        let output = b"remote.origin.url\nhttps://h/x\0remote.a.b.url\n/r\0remote.origin.url\nother\0broken\0";
        let remote = |name: &str, url: &str| Remote { name: name.to_owned(), url: url.to_owned() };
        assert_eq!(parse_remotes(output), [remote("origin", "https://h/x"), remote("a.b", "/r")]);
    }
}
