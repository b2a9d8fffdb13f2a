//! Registries that organizations have logins to (contract, control-plane §8.1).

use harbor_model::ids::RegistryId;
use harbor_model::names::DisplayName;
use harbor_model::registries::Registry;
use harbor_model::secrets::Secret;

use crate::{Allowed, Caller, Control, DeleteRegistries, Error, WriteRegistries, now};

/// The most registries of an organization.
const MOST: u32 = 100;

/// What a caller says of a registry.
#[derive(Clone, Debug)]
pub struct NewRegistry {
    /// What it is called.
    pub name: DisplayName,
    /// Where it is.
    pub url: String,
    /// Who logs in.
    pub username: String,
    /// With what; `None` or blank when one is changed: as before.
    pub password: Option<Secret>,
    /// The project in it.
    pub project: Option<String>,
}

impl Control {
    /// Records a registry of the caller's organization; more than a hundred are 400.
    pub async fn create_registry(
        &self,
        caller: &Allowed<WriteRegistries>,
        new: NewRegistry,
    ) -> Result<Registry, Error> {
        let at = now();
        let registry = Registry {
            id: RegistryId::random(),
            organization: caller.organization(),
            name: new.name,
            url: Registry::checked_url(&new.url).map_err(Error::invalid)?,
            username: new.username,
            password: new.password.ok_or_else(|| Error::invalid("password must be a string"))?,
            project: new.project.unwrap_or_default(),
            created_at: at,
            updated_at: at,
        };
        if !self.store().by(caller.actor()).add_registry(registry.clone(), MOST).await? {
            return Err(Error::invalid(format!("An organization has at most {MOST} registries: delete one first")));
        }
        Ok(registry)
    }

    /// The registries of the caller's organization, the newest first.
    pub async fn registries(&self, caller: &Caller) -> Result<Vec<Registry>, Error> {
        Ok(self.store().registries(caller.organization()).await?)
    }

    /// The organization's registry with this id.
    pub async fn registry(&self, caller: &Caller, text: &str) -> Result<Registry, Error> {
        let id: RegistryId = text.parse().map_err(|_| missing(text))?;
        let found = self.store().registry(id).await?;
        found.filter(|found| found.organization == caller.organization()).ok_or_else(|| missing(text))
    }

    /// Changes the organization's registry with this id; pulls from then on log in so.
    pub async fn change_registry(
        &self,
        caller: &Allowed<WriteRegistries>,
        text: &str,
        new: NewRegistry,
    ) -> Result<Registry, Error> {
        let id = self.registry(caller, text).await?.id;
        let url = Registry::checked_url(&new.url).map_err(Error::invalid)?;
        let change = move |registry: &mut Registry| {
            (registry.name, registry.url, registry.username) = (new.name, url, new.username);
            if let Some(password) = new.password.filter(|password| !password.reveal().is_empty()) {
                registry.password = password;
            }
            if let Some(project) = new.project {
                registry.project = project;
            }
            registry.updated_at = now();
        };
        let changed = self.store().by(caller.actor()).change_registry(id, change).await?;
        changed.ok_or_else(|| missing(text))
    }

    /// Forgets the organization's registry with this id.
    pub async fn delete_registry(&self, caller: &Allowed<DeleteRegistries>, text: &str) -> Result<(), Error> {
        let id = self.registry(caller, text).await?.id;
        let removed = self.store().by(caller.actor()).remove_registry(id).await?;
        if removed { Ok(()) } else { Err(missing(text)) }
    }
}

fn missing(text: &str) -> Error {
    Error::not_found(format!("Docker registry with ID {text} not found"))
}
