//! Making a sandbox (contract, control-plane §5.4).

use std::collections::BTreeMap;

use harbor_model::Timestamp;
use harbor_model::ids::{OrganizationId, RegionId, SandboxId, SnapshotId};
use harbor_model::images::{Dockerfile, Recipe};
use harbor_model::names::{DisplayName, SandboxRef};
use harbor_model::pools::WarmPool;
use harbor_model::resources::{Asked, Resources};
use harbor_model::sandboxes::{Beginning, Desired, Files, Generation, Network, Origin, Sandbox, Seen, Settings};
use harbor_model::snapshots::{Snapshot, SnapshotState};
use harbor_store::{FromStock, StoreError};

use crate::error::Kind;
use crate::snapshots::recipe;
use crate::{Allowed, Caller, Control, Error, NewMount, WriteSandboxes, now, token};

/// Minutes: a week.
const AUTO_ARCHIVE_DEFAULT: u32 = 10_080;

/// Minutes: thirty days. The longest a stopped sandbox waits until it is archived.
pub const AUTO_ARCHIVE_MAXIMUM: u32 = 43_200;

/// Minutes.
const AUTO_STOP_DEFAULT: u32 = 15;

/// Users that a request may name, the first where it names none: those of the default image. Processes are told the
/// name and run as their image's own user.
const USERS: [&str; 2] = ["daytona", "root"];

/// What a caller asks for.
#[derive(Clone, Debug, Default)]
pub struct NewSandbox {
    /// Its name; its id otherwise.
    pub name: Option<DisplayName>,
    /// Name or id of its snapshot; blank or absent: the default one.
    pub snapshot: Option<String>,
    /// The image that it is made of instead.
    pub image: Option<SandboxImage>,
    /// The user told to its processes.
    pub user: Option<String>,
    /// Environment variables.
    pub env: BTreeMap<String, String>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Whether its previews need no token.
    pub public: bool,
    /// Any text; means the one region and is echoed (design §3a).
    pub target: Option<String>,
    /// Sizes, honoured with a snapshot too (design D11).
    pub asked: Asked,
    /// Minutes; 0: never.
    pub auto_stop: Option<i64>,
    /// Minutes; 0: never.
    pub auto_pause: Option<i64>,
    /// Minutes; 0: the maximum.
    pub auto_archive: Option<i64>,
    /// Minutes; 0: at once, below 0: never.
    pub auto_delete: Option<i64>,
    /// Minutes from its creation until it is deleted, whatever state it is in; 0: never.
    pub ttl: Option<i64>,
    /// What it may reach.
    pub network: Network,
    /// The volumes in it.
    pub mounts: Vec<NewMount>,
    /// The sandbox that it shares a private network with, and is deleted with.
    pub linked: Option<SandboxRef>,
}

/// The image of a sandbox that is made without a snapshot.
#[derive(Clone, Debug)]
pub enum SandboxImage {
    /// The image of this reference.
    Reference(String),
    /// What this Dockerfile builds.
    Dockerfile(Dockerfile),
}

/// What a new sandbox is made of, before it is known what else is asked for.
struct Base {
    /// `None`: a recipe.
    snapshot: Option<Snapshot>,
    build: Option<Recipe>,
    resources: Resources,
}

impl Control {
    /// Records the sandbox that the caller wants and waits, as long as the start budget lasts, for it to be started.
    ///
    /// Answers with the state it has then: `started`, or `creating`. One that failed meanwhile is 400 with the reason;
    /// its row stays, in `error`. One whose image is to be built is answered at once, as `pending_build`.
    pub async fn create_sandbox(&self, caller: &Allowed<WriteSandboxes>, new: NewSandbox) -> Result<Sandbox, Error> {
        let (sandbox, snapshot, given_name) = Box::pin(self.plan(caller, new)).await?;
        let is_built = sandbox.origin.build.is_some();
        let name = given_name.clone();
        let changes = self.changes();
        let writer = self.writer_within_capacity(caller);
        // nobody in a warm pool is linked
        let from = match sandbox.linked {
            // it waits for its image first
            _ if is_built => FromStock::Nothing,
            Some(_) => FromStock::Infra,
            None => FromStock::Warm,
        };
        let inserted = writer.insert_sandbox(sandbox, from, snapshot, move |row| {
            if let Some(name) = name.or_else(|| row.id.to_string().parse().ok()) {
                row.name = name;
            }
        });
        let sandbox = inserted.await.map_err(|error| match (error, given_name) {
            (StoreError::NameTaken, Some(name)) => Error::conflict(format!("Sandbox with name {name} already exists")),
            (other, _) => other.into(),
        })?;
        tracing::info!(sandbox = %sandbox.id, snapshot = %sandbox.origin.snapshot, "create wanted");
        // its future is large, and seldom needed
        if is_built {
            Box::pin(self.wait_built(changes, sandbox)).await
        } else {
            self.wait_started(changes, sandbox).await
        }
    }

    /// Checks a request in the contract's order and makes the row it asks for, with its snapshot and the name given.
    async fn plan(
        &self,
        caller: &Caller,
        mut new: NewSandbox,
    ) -> Result<(Sandbox, Option<SnapshotId>, Option<DisplayName>), Error> {
        let Base { snapshot, build, resources } = self.base(caller, &mut new).await?;
        let linked = self.link_target(caller, &new).await?;
        let mounts = self.mounts(caller, std::mem::take(&mut new.mounts)).await?;
        let (auto_stop_minutes, auto_pause_minutes) = idle_minutes(&new)?;
        let settings = Settings {
            labels: new.labels,
            public: new.public,
            auto_stop_minutes,
            auto_pause_minutes,
            auto_archive_minutes: auto_archive(minutes("autoArchiveInterval", new.auto_archive)?),
            auto_delete_minutes: auto_delete(new.auto_delete)?,
            network: unrestricted(new.network)?,
        };
        let target = new.target.filter(|target| !target.trim().is_empty());
        let (origin_name, image, entrypoint) = match (&snapshot, &build) {
            (Some(snapshot), _) => (&*snapshot.name, snapshot.base(), snapshot.entrypoint.clone()),
            (None, Some(recipe)) => (&*recipe.reference, &*recipe.reference, Some(recipe::entrypoint(recipe))),
            (None, None) => return Err(Error::invalid("a sandbox is made of a snapshot or of an image")),
        };
        let origin = Origin {
            snapshot: origin_name.to_owned(),
            image: image.to_owned(),
            entrypoint,
            build: build.clone(),
            user: known_user(new.user)?,
            env: checked_env(new.env)?,
            mounts,
            target: target.map_or_else(|| self.config().region.clone(), RegionId::new),
        };
        let mut sandbox = fresh(caller.organization, origin, resources, settings)?;
        sandbox.files.beginning = snapshot.as_ref().map_or(Beginning::Unbuilt { begun: false }, beginning);
        sandbox.linked = linked;
        if let Some(name) = &new.name {
            sandbox.name = name.clone();
        }
        sandbox.destroy_at = new.ttl.map_or(Ok(None), |ttl| end_of_life(ttl, sandbox.created_at))?;
        Ok((sandbox, snapshot.map(|snapshot| snapshot.id), new.name))
    }

    /// What the new sandbox is made of: a snapshot, or an image that may have to be built.
    async fn base(&self, caller: &Caller, new: &mut NewSandbox) -> Result<Base, Error> {
        if let Some(image) = new.image.take() {
            let build = match image {
                SandboxImage::Reference(reference) => recipe::from_image(&reference)?,
                SandboxImage::Dockerfile(dockerfile) => recipe::of(dockerfile)?,
            };
            return Ok(Base { snapshot: None, build: Some(build), resources: self.size(new.asked)? });
        }
        if self.config().strict && new.asked.any() {
            return Err(Error::invalid("Cannot specify Sandbox resources when using a snapshot"));
        }
        let snapshot = self.usable_snapshot(caller, new.snapshot.as_deref()).await?;
        let resources = self.granted(&snapshot, new.asked)?;
        Ok(Base { snapshot: Some(snapshot), build: None, resources })
    }

    /// The sandbox that the new one is to be linked to, by the contract's rules (control-plane §5.10).
    async fn link_target(&self, caller: &Caller, new: &NewSandbox) -> Result<Option<SandboxId>, Error> {
        let Some(target) = &new.linked else { return Ok(None) };
        let target = self.sandbox(caller, target).await?;
        if auto_delete(new.auto_delete)? != Some(0) {
            let message = "A linked sandbox must be ephemeral: set autoDeleteInterval to 0";
            return Err(Error::invalid(message));
        }
        target.unlinkable().map_or(Ok(Some(target.id)), |why| Err(Error::invalid(why)))
    }

    pub(crate) async fn usable_snapshot(&self, caller: &Caller, asked: Option<&str>) -> Result<Snapshot, Error> {
        let text = asked.filter(|text| !text.trim().is_empty()).unwrap_or(&self.config().default_snapshot);
        let found = self.find_snapshot(caller, text).await?;
        let snapshot = found.ok_or_else(|| {
            Error::invalid(format!("Snapshot {text} not found. Did you add it through the Dashboard or the API?"))
        })?;
        match snapshot.state {
            SnapshotState::Active => Ok(snapshot),
            state => {
                let reason = snapshot.error.map_or_else(String::new, |reason| format!(": {reason}"));
                Err(Error::invalid(format!("Snapshot {text} is {}, not active{reason}", state.word())))
            }
        }
    }

    /// A member of a warm pool, to be made of `snapshot`: a sandbox of nobody's, as a create without further wishes
    /// makes it, that nothing stops by itself.
    pub fn pool_member(&self, pool: &WarmPool, snapshot: &Snapshot) -> Result<Sandbox, Error> {
        let origin = Origin {
            snapshot: snapshot.name.clone(),
            image: snapshot.base().to_owned(),
            build: None,
            entrypoint: snapshot.entrypoint.clone(),
            user: USERS[0].to_owned(),
            env: BTreeMap::new(),
            mounts: Vec::new(),
            target: pool.target.clone(),
        };
        let settings = Settings {
            labels: BTreeMap::new(),
            public: false,
            auto_stop_minutes: 0,
            auto_pause_minutes: 0,
            auto_archive_minutes: AUTO_ARCHIVE_MAXIMUM,
            auto_delete_minutes: None,
            network: Network::default(),
        };
        let mut member = fresh(OrganizationId::NOBODY, origin, snapshot.resources, settings)?;
        member.files.beginning = beginning(snapshot);
        self.admit_unasked(&member)?;
        Ok(Sandbox { warm_pool: Some(pool.id), ..member })
    }

    fn granted(&self, snapshot: &Snapshot, asked: Asked) -> Result<Resources, Error> {
        if asked.gpu.is_some_and(|gpu| gpu > 0) {
            return Err(Error::invalid("This host gives no GPU to sandboxes"));
        }
        let resources = snapshot.resources.with(asked);
        // a snapshot's own size is never refused, however small the host
        let limits = self.config().limits.raised_to(snapshot.resources);
        resources.check(limits).map_err(|too_big| Error::invalid(too_big.to_string()))?;
        Ok(resources)
    }
}

/// What a sandbox of this snapshot begins with.
fn beginning(snapshot: &Snapshot) -> Beginning {
    snapshot.layer.clone().map_or(Beginning::Image, Beginning::Layer)
}

/// A sandbox that is to be started and has nothing yet, named by its id, with tokens of its own.
pub(super) fn fresh(
    organization: OrganizationId,
    origin: Origin,
    resources: Resources,
    settings: Settings,
) -> Result<Sandbox, Error> {
    let (id, created_at) = (SandboxId::random(), now());
    Ok(Sandbox {
        id,
        organization,
        name: DisplayName::recorded(id.to_string()),
        origin,
        resources,
        resize_to: None,
        files: Files::default(),
        settings,
        preview_token: token::token()?,
        toolbox_token: token::token()?,
        desired: Desired::Started,
        force: false,
        seen: Seen::Absent,
        failure: None,
        note: None,
        toolbox_version: None,
        started_once: false,
        generation: Generation::default(),
        created_at,
        updated_at: created_at,
        last_activity_at: created_at,
        linked: None,
        warm_pool: None,
        destroy_at: None,
    })
}

/// Network policies are enforced by infra, which cannot do that yet: refused rather than ignored (design D6).
fn unrestricted(network: Network) -> Result<Network, Error> {
    if network.restricted() {
        return Err(Error::new(
            Kind::NotBuilt,
            "networkBlockAll, networkAllowList and domainAllowList are not built yet: this sandbox would not be restricted",
        ));
    }
    Ok(network)
}

fn known_user(given: Option<String>) -> Result<String, Error> {
    let user = given.filter(|user| !user.is_empty()).unwrap_or_else(|| USERS[0].to_owned());
    if USERS.contains(&user.as_str()) {
        return Ok(user);
    }
    let (known, shown) = (USERS.join(" or "), user.chars().take(64).collect::<String>());
    Err(Error::invalid(format!("user '{}' is not known here: it must be {known}", shown.escape_default())))
}

pub(super) fn minutes(field: &str, given: Option<i64>) -> Result<Option<u32>, Error> {
    given
        .map(|minutes| {
            u32::try_from(minutes).map_err(|_| {
                let most = u32::MAX;
                Error::invalid(format!("{field} must be a number of minutes from 0 to {most}, not {minutes}"))
            })
        })
        .transpose()
}

/// When one that nobody uses is stopped, and when it is paused: at most one of both (contract, control-plane §5.13).
fn idle_minutes(new: &NewSandbox) -> Result<(u32, u32), Error> {
    let pause = minutes("autoPauseInterval", new.auto_pause)?.unwrap_or(0);
    let default = if pause == 0 { AUTO_STOP_DEFAULT } else { 0 };
    let stop = minutes("autoStopInterval", new.auto_stop)?.unwrap_or(default);
    if pause > 0 && stop > 0 {
        return Err(Error::invalid("autoStopInterval and autoPauseInterval cannot both be set: one of them must be 0"));
    }
    if pause > 0 && auto_delete(new.auto_delete)? == Some(0) {
        return Err(never_paused());
    }
    Ok((stop, pause))
}

pub(super) fn never_paused() -> Error {
    Error::invalid("autoPauseInterval must be 0 for an ephemeral sandbox: it is deleted as soon as nobody uses it")
}

/// Below 0 means never (contract, control-plane §5.1).
pub(super) fn auto_delete(given: Option<i64>) -> Result<Option<u32>, Error> {
    minutes("autoDeleteInterval", given.filter(|minutes| *minutes >= 0))
}

/// When `ttl` minutes from `start` are over; 0 means never (contract, control-plane §5.13).
pub(super) fn end_of_life(ttl: i64, start: Timestamp) -> Result<Option<Timestamp>, Error> {
    let Some(minutes) = minutes("ttlMinutes", Some(ttl))?.filter(|minutes| *minutes > 0) else { return Ok(None) };
    let end = start.checked_add(time::Duration::minutes(i64::from(minutes)));
    end.map(Some).ok_or_else(|| {
        Error::invalid(format!("ttlMinutes must end before the year 10000, not after {minutes} minutes"))
    })
}

/// 0 means the maximum, more is cut to it (contract, control-plane §5.1).
pub(super) fn auto_archive(given: Option<u32>) -> u32 {
    match given {
        None => AUTO_ARCHIVE_DEFAULT,
        Some(0) => AUTO_ARCHIVE_MAXIMUM,
        Some(minutes) => minutes.min(AUTO_ARCHIVE_MAXIMUM),
    }
}

/// Names that a process environment can hold; values without NUL.
fn checked_env(env: BTreeMap<String, String>) -> Result<BTreeMap<String, String>, Error> {
    for (name, value) in &env {
        if name.is_empty() || name.contains(['=', '\0']) {
            return Err(Error::invalid(format!("env: '{}' cannot be the name of a variable", name.escape_default())));
        }
        if value.contains('\0') {
            return Err(Error::invalid(format!("env: the value of {name} holds a NUL character")));
        }
    }
    Ok(env)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_follow_the_contract() {
        assert_eq!(auto_archive(None), 10_080);
        assert_eq!(auto_archive(Some(0)), 43_200);
        assert_eq!(auto_archive(Some(99_999)), 43_200);
        assert_eq!(auto_archive(Some(7)), 7);
        assert_eq!(minutes("autoStopInterval", Some(0)).unwrap(), Some(0));
        assert!(minutes("autoStopInterval", Some(-1)).unwrap_err().to_string().contains("autoStopInterval"));
        assert_eq!((auto_delete(None).unwrap(), auto_delete(Some(-7)).unwrap()), (None, None));
        assert_eq!(auto_delete(Some(0)).unwrap(), Some(0));
        assert!(auto_delete(Some(1_000_000_000_000)).unwrap_err().to_string().contains("autoDeleteInterval"));
    }

    #[test]
    fn only_users_of_the_default_image_are_known() {
        let user = |name: &str| known_user(Some(name.to_owned()));
        assert_eq!(known_user(None).unwrap(), "daytona");
        assert_eq!((user("").unwrap(), user("root").unwrap()), ("daytona".to_owned(), "root".to_owned()));
        for name in ["daytonna", "1000", "Root", "nobody-of-that-name", "root:root"] {
            assert!(user(name).unwrap_err().to_string().contains("daytona or root"), "{name}");
        }
    }

    #[test]
    fn variables_that_no_process_can_hold_are_refused() {
        let check =
            |name: &str, value: &str| checked_env(BTreeMap::from([(name.to_owned(), value.to_owned())])).is_ok();
        assert!(check("A", "1") && check("a.b-c", ""));
        assert!(!check("", "1") && !check("A=B", "1") && !check("A", "\0"));
    }
}
