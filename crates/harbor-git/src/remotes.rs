//! `remote` and its subcommands, and `ls-remote`.

use std::io::{self, Write as _};

use git2::{Config, Direction, Remote};

use crate::arguments::Arguments;
use crate::config;
use crate::failure::{Failure, Outcome};
use crate::{local, repository, transport};

pub(crate) fn remote(arguments: &Arguments) -> Outcome {
    let repository = repository::open()?;
    let find = |name: &str| {
        repository.find_remote(name).map_err(|_| Failure::said(2, format!("error: No such remote '{name}'")))
    };
    match arguments.all()[..] {
        [] => {
            let mut names = Vec::new();
            for name in &repository.remotes()? {
                names.extend(name?.map(str::to_owned));
            }
            names.sort_unstable();
            let lines: Vec<_> = names.into_iter().map(|name| name + "\n").collect();
            Ok(io::stdout().write_all(lines.concat().as_bytes())?)
        }
        ["get-url", name] => {
            let remote = find(name)?;
            let push = if arguments.has("--push") { remote.pushurl_bytes() } else { None };
            let url = String::from_utf8_lossy(push.unwrap_or(remote.url_bytes())).into_owned();
            Ok(writeln!(io::stdout(), "{url}")?)
        }
        ["set-url", name, url] => {
            find(name)?;
            Ok(repository.remote_set_url(name, url)?)
        }
        ["add", name, _] if !Remote::is_valid_name(name) => {
            Err(Failure::fatal(&format!("'{name}' is not a valid remote name")))
        }
        ["add", name, url] => Ok(repository.remote(name, url).map(drop)?),
        ["set-branches", name, branch] if arguments.has("--add") => {
            find(name)?;
            Ok(repository.remote_add_fetch(name, &format!("+refs/heads/{branch}:refs/remotes/{name}/{branch}"))?)
        }
        _ => Err(Failure::usage("unknown action on remotes")),
    }
}

/// `ls-remote --get-url ADDRESS`: the address that the settings put in its place; `ls-remote --heads ADDRESS`: the
/// branches there.
pub(crate) fn ls_remote(arguments: &Arguments) -> Outcome {
    let [given] = arguments.all()[..] else { return Err(Failure::usage("one address is needed")) };
    let address = instead(&config::everywhere()?, given)?;
    match (arguments.has("--get-url"), arguments.has("--heads")) {
        (true, false) => Ok(writeln!(io::stdout(), "{address}")?),
        (false, true) => heads(&address),
        _ => Err(Failure::usage("only addresses and branches are told")),
    }
}

fn heads(address: &str) -> Outcome {
    local::check(address)?;
    let mut remote = Remote::create_detached(address)?;
    let connected = remote.connect_auth(Direction::Fetch, Some(transport::callbacks()), None);
    let connection = connected.map_err(|error| transport::explained(error, address))?;
    for head in connection.list()? {
        if head.name().starts_with("refs/heads/") {
            writeln!(io::stdout(), "{}\t{}", head.oid(), head.name())?;
        }
    }
    Ok(())
}

/// Applies `url.NEW.insteadOf OLD`; the longest old beginning counts.
fn instead(config: &Config, given: &str) -> Result<String, Failure> {
    let mut best: Option<(usize, String)> = None;
    config.entries(Some(r"^url\..*\.insteadof$"))?.for_each(|entry| {
        let old = String::from_utf8_lossy(entry.value_bytes()).into_owned();
        let key = String::from_utf8_lossy(entry.name_bytes()).into_owned();
        let new = key.strip_prefix("url.").and_then(|key| key.strip_suffix(".insteadof"));
        if let (Some(new), Some(rest)) = (new, given.strip_prefix(&old))
            && best.as_ref().is_none_or(|(length, _)| *length < old.len())
        {
            best = Some((old.len(), format!("{new}{rest}")));
        }
    })?;
    Ok(best.map_or_else(|| given.to_owned(), |(_, address)| address))
}
