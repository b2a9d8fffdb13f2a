//! `fetch`, and what it shares with `clone`.

use std::fs;

use git2::{AutotagOption, Direction, FetchOptions, Oid, Remote, RemoteConnection, RemoteUpdateFlags, Repository};

use crate::arguments::Arguments;
use crate::failure::{Failure, Outcome};
use crate::{local, repository, transport};

/// What a remote has.
pub(crate) struct Advertised {
    heads: Vec<(String, Oid)>,
    /// The full name of the branch that its head stands on.
    pub(crate) default: Option<String>,
}

impl Advertised {
    pub(crate) fn of(connection: &RemoteConnection<'_, '_, '_>) -> Result<Self, Failure> {
        let heads = connection.list()?.iter().map(|head| (head.name().to_owned(), head.oid())).collect();
        let default = connection.default_branch().ok();
        let default = default.map(|name| String::from_utf8_lossy(&name).into_owned());
        Ok(Self { heads, default })
    }

    pub(crate) fn find(&self, name: &str) -> Option<Oid> {
        self.heads.iter().find(|(known, _)| known == name).map(|(_, at)| *at)
    }
}

/// The value of `--depth`, 0 for all of history.
pub(crate) fn depth(arguments: &Arguments) -> Result<u32, Failure> {
    let given = arguments.value("--depth").unwrap_or("0");
    given.parse().map_err(|_| Failure::fatal(&format!("depth {given} is not a positive number")))
}

/// `fetch REMOTE [REFSPEC]`: all that is set for the remote, or one reference, which `FETCH_HEAD` names afterwards.
pub(crate) fn fetch(arguments: &Arguments) -> Outcome {
    let (name, refspec) = match arguments.all()[..] {
        [name] => (name.to_owned(), None),
        [name, refspec] => (name.to_owned(), Some(refspec.to_owned())),
        _ => return Err(Failure::usage("a remote, and at most one refspec")),
    };
    let depth = depth(arguments)?;
    let repository = repository::open()?;
    let found = repository.find_remote(&name);
    let mut remote = found.map_err(|_| Failure::fatal(&format!("'{name}' does not appear to be a git repository")))?;
    let address = String::from_utf8_lossy(remote.url_bytes()).into_owned();
    local::check(&address)?;
    let connected = remote.connect_auth(Direction::Fetch, Some(transport::callbacks()), None);
    let mut connection = connected.map_err(|error| transport::explained(error, &address))?;
    let advertised = Advertised::of(&connection)?;
    let Some(refspec) = refspec else {
        return download(&repository, connection.remote(), "", None, depth);
    };
    let source = refspec.trim_start_matches('+').split(':').next().unwrap_or_default();
    let exact = Oid::from_str(source).ok().filter(|_| source.len() == 40);
    let at = advertised.find(source).or(exact);
    let at = at.ok_or_else(|| Failure::fatal(&format!("couldn't find remote ref {source}")))?;
    download(&repository, connection.remote(), &refspec, Some(at), depth)?;
    let what = match source.strip_prefix("refs/heads/") {
        Some(branch) => format!("branch '{branch}' of "),
        None if source == "HEAD" => String::new(),
        None => format!("'{source}' of "),
    };
    Ok(fs::write(repository.path().join("FETCH_HEAD"), format!("{at}\t\t{what}{address}\n"))?)
}

/// Fetches on a connection that is open. An empty refspec stands for those set for the remote.
pub(crate) fn download(
    repository: &Repository,
    remote: &mut Remote<'_>,
    refspec: &str,
    at: Option<Oid>,
    depth: u32,
) -> Outcome {
    let address = String::from_utf8_lossy(remote.url_bytes()).into_owned();
    let directory = local::directory(&address);
    let is_new = repository.is_empty()?;
    if let (Some(directory), Some(at), true) = (&directory, at, is_new || depth > 0) {
        local::copy(directory, repository, at, depth)?;
        if let Some((_, ours)) = refspec.split_once(':') {
            repository.reference(ours, at, true, "fetch")?;
        }
        return Ok(());
    }
    let mut options = FetchOptions::new();
    options.remote_callbacks(transport::callbacks()).download_tags(AutotagOption::Auto).update_fetchhead(false);
    if depth > 0 {
        options.depth(i32::try_from(depth).unwrap_or(i32::MAX));
    }
    let refspecs = if refspec.is_empty() { vec![] } else { vec![refspec] };
    // libgit2 forgets where history was cut off when it fetches from this machine.
    let ends = repository.path().join("shallow");
    let kept = directory.and_then(|_| fs::read(&ends).ok());
    remote.download(&refspecs, Some(&mut options)).map_err(|error| transport::explained(error, &address))?;
    if let Some(kept) = kept {
        fs::write(ends, kept)?;
    }
    let mut callbacks = transport::callbacks();
    let tags = AutotagOption::Auto;
    Ok(remote.update_tips(Some(&mut callbacks), RemoteUpdateFlags::empty(), tags, Some("fetch"))?)
}
