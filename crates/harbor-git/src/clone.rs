//! `clone` of one branch into an empty directory, and `init`.

use std::path::Path;

use git2::build::CheckoutBuilder;
use git2::{Direction, Repository, RepositoryInitOptions};

use crate::arguments::Arguments;
use crate::failure::{Failure, Outcome};
use crate::fetch::{self, Advertised};
use crate::{local, transport};

/// Options that say what is always so here, and `--no-checkout`.
pub(crate) const FLAGS: &[&str] = &["--quiet", "--single-branch", "--no-local", "--no-checkout"];

pub(crate) fn clone(arguments: &Arguments) -> Outcome {
    let [address, target] = arguments.all()[..] else { return Err(Failure::usage("an address and a directory")) };
    let depth = fetch::depth(arguments)?;
    let repository = Repository::init(target)?;
    let mut anonymous = repository.remote_anonymous(address)?;
    local::check(&String::from_utf8_lossy(anonymous.url_bytes()))?;
    let connected = anonymous.connect_auth(Direction::Fetch, Some(transport::callbacks()), None);
    let mut connection = connected.map_err(|error| transport::explained(error, address))?;
    let advertised = Advertised::of(&connection)?;
    let chosen = Chosen::of(&advertised, arguments.value("--branch"))?;
    let name = arguments.value("--origin").unwrap_or("origin");
    let Some(chosen) = chosen else {
        // Empty, and so is the clone.
        drop(connection);
        return Ok(repository.remote(name, address).map(drop)?);
    };
    fetch::download(&repository, connection.remote(), &chosen.refspec(name), Some(chosen.at), depth)?;
    drop(connection);
    chosen.settle(&repository, name, address, &advertised)?;
    if !arguments.has("--no-checkout") {
        repository.checkout_head(Some(CheckoutBuilder::new().force()))?;
    }
    Ok(())
}

/// What is cloned: a branch, or the commit of a head that stands on none.
struct Chosen {
    branch: Option<String>,
    at: git2::Oid,
}

impl Chosen {
    /// The branch asked for, else the remote's own; none in an empty repository.
    fn of(advertised: &Advertised, wanted: Option<&str>) -> Result<Option<Self>, Failure> {
        if let Some(branch) = wanted {
            let missing = || Failure::fatal(&format!("Remote branch {branch} not found in upstream origin"));
            let at = advertised.find(&format!("refs/heads/{branch}")).ok_or_else(missing)?;
            return Ok(Some(Self { branch: Some(branch.to_owned()), at }));
        }
        let branch = advertised.default.as_deref().and_then(|name| name.strip_prefix("refs/heads/"));
        let found = branch.and_then(|branch| {
            let at = advertised.find(&format!("refs/heads/{branch}"))?;
            Some(Self { branch: Some(branch.to_owned()), at })
        });
        Ok(found.or_else(|| advertised.find("HEAD").map(|at| Self { branch: None, at })))
    }

    fn refspec(&self, remote: &str) -> String {
        match &self.branch {
            Some(branch) => format!("+refs/heads/{branch}:refs/remotes/{remote}/{branch}"),
            None => "HEAD".to_owned(),
        }
    }

    /// Writes the remote, the branch and its upstream.
    fn settle(&self, repository: &Repository, remote: &str, address: &str, advertised: &Advertised) -> Outcome {
        let said = format!("clone: from {address}");
        let Some(branch) = &self.branch else {
            repository.remote(remote, address)?;
            return Ok(repository.set_head_detached(self.at)?);
        };
        repository.remote_with_fetch(remote, address, &self.refspec(remote))?;
        let ours = format!("refs/heads/{branch}");
        repository.reference(&ours, self.at, true, &said)?;
        repository.reference_symbolic("HEAD", &ours, true, &said)?;
        if advertised.default.as_deref() == Some(ours.as_str()) {
            let theirs = format!("refs/remotes/{remote}/{branch}");
            repository.reference_symbolic(&format!("refs/remotes/{remote}/HEAD"), &theirs, true, &said)?;
        }
        let mut config = repository.config()?;
        config.set_str(&format!("branch.{branch}.remote"), remote)?;
        Ok(config.set_str(&format!("branch.{branch}.merge"), &ours)?)
    }
}

/// `init`: makes a repository in the current directory, or leaves the one that is there as it is.
pub(crate) fn init(arguments: &Arguments) -> Outcome {
    let mut options = RepositoryInitOptions::new();
    options.bare(arguments.has("--bare")).external_template(false);
    Ok(Repository::init_opts(Path::new("."), &options).map(drop)?)
}
