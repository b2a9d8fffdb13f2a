//! The registry of images: what lies in it is the store's to keep, who may do what is control's to say, and the engine gets
//! from it what snapshots and sandboxes are made of.

use std::sync::Arc;

use harbor_blobs::{
    AuthorizeRepositories, Blobs, IndexError, LoginRefused, Registry, RegistryConfig, Repositories, RepositoryAccess,
};
use harbor_control::{Control, RegistryDenial, RegistryScope};
use harbor_model::actors::Actor;
use harbor_model::errors::chain;
use harbor_model::ids::OrganizationId;
use harbor_model::objects::Piece;
use harbor_model::repositories::{
    Addition, BlobUpload, Digest, Manifest, ManifestKey, ManifestPush, NewManifest, Referrer, Removal, RepositoryBlob,
    RepositoryName, Tag,
};
use harbor_model::secrets::Secret;
use harbor_reconcile::{OwnImage, OwnRegistry};
use harbor_runner::Login;
use harbor_store::{Store, Writer};

use super::objects::{failed, now};
use crate::config::Config;

/// What the registry is called in documents written for where it was a container of its own (contract, edges §5.3).
const ALIASES: [&str; 2] = ["daytona-registry:6000", "registry:6000"];

/// So it was called as well, and so others call registries of theirs.
const CONTESTED_ALIAS: &str = "localhost:6000";

/// The registry over these blobs.
pub(super) fn open(config: &Config, store: &Store, blobs: Blobs, control: Control) -> Registry {
    Registry::new(RegistryConfig {
        blobs,
        repositories: Arc::new(StoreRepositories(store.clone())),
        authorize: Arc::new(Logins(control)),
        open_here: config.registry.open_here,
    })
}

/// Control knows who may do what.
struct Logins(Control);

#[async_trait::async_trait]
impl AuthorizeRepositories for Logins {
    async fn access(&self, user: &str, password: &Secret) -> Result<RepositoryAccess, LoginRefused> {
        match self.0.registry_scope(user, password).await {
            Ok(RegistryScope::Owner) => Ok(RepositoryAccess::Owner),
            Ok(RegistryScope::Organization { id, push }) => {
                Ok(RepositoryAccess::Member { project: id.to_string(), push })
            }
            Err(RegistryDenial::Invalid) => Err(LoginRefused::Invalid),
            Err(RegistryDenial::Unknown) => Err(LoginRefused::Unknown),
        }
    }
}

/// How the engine gets what lies in the registry.
pub(super) struct OwnImages {
    registry: Registry,
    control: Control,
    /// Host and port, for engines.
    address: String,
    /// What it is called in references of images: hosts and ports.
    names: Vec<String>,
}

impl OwnImages {
    pub(super) fn new(registry: Registry, control: Control, address: String, port: u16) -> Self {
        let here = ["localhost", "127.0.0.1", "[::1]"].map(|host| format!("{host}:{port}"));
        let names = ALIASES.map(str::to_owned).into_iter().chain(here).chain([address.clone()]).collect();
        Self { registry, control, address, names }
    }

    fn lacks(&self, rest: &str) -> String {
        let address = &self.address;
        if rest.contains('@') {
            return format!("harbor's own registry has no {rest}: push it again, or name another digest");
        }
        format!("harbor's own registry has no {rest}: docker login {address}, then docker push {address}/{rest}")
    }

    /// What a reference says behind the name of the registry, and whether that is others' name for theirs; `None`: it is of
    /// another registry.
    fn behind_the_name<'a>(&self, reference: &'a str) -> Option<(&'a str, bool)> {
        let (host, rest) = reference.split_once('/')?;
        let is_contested = host == CONTESTED_ALIAS;
        (is_contested || self.names.iter().any(|name| name == host)).then_some((rest, is_contested))
    }

    /// By what reference the engine gets an image, which is named by its tag, or by its digest.
    async fn find(&self, organization: OrganizationId, rest: &str) -> Result<Option<String>, String> {
        let (name, key) = match rest.split_once('@') {
            Some((name, digest)) => (name.split(':').next().unwrap_or_default(), digest),
            None => rest.rsplit_once(':').unwrap_or((rest, "latest")),
        };
        let repository: RepositoryName = name.parse().map_err(|error| format!("{name}: {error}"))?;
        let key: ManifestKey = key.parse().map_err(|error| format!("{key}: {error}"))?;
        if !may_pull(organization, &repository) {
            return Ok(None);
        }
        let digest = self.registry.digest(&repository, &key).await.map_err(|error| chain(&error))?;
        Ok(digest.map(|digest| format!("{}/{repository}@{digest}", self.address)))
    }
}

fn may_pull(organization: OrganizationId, repository: &RepositoryName) -> bool {
    RepositoryAccess::Member { project: organization.to_string(), push: false }.may_pull(repository)
}

#[async_trait::async_trait]
impl OwnRegistry for OwnImages {
    fn refusal(&self, organization: OrganizationId, reference: &str) -> Option<String> {
        let (rest, _) = self.behind_the_name(reference).filter(|(_, is_contested)| !is_contested)?;
        let name = rest.split(['@', ':']).next().unwrap_or_default();
        let repository: RepositoryName = name.parse().ok()?;
        (!may_pull(organization, &repository)).then(|| self.lacks(rest))
    }

    async fn image(&self, organization: OrganizationId, reference: &str) -> Result<Option<OwnImage>, String> {
        let Some((rest, is_contested)) = self.behind_the_name(reference) else { return Ok(None) };
        let found = match self.find(organization, rest).await {
            Err(_) if is_contested => None,
            found => found?,
        };
        match found {
            Some(found) if reference.contains('@') && found != reference => Err(format!(
                "{reference} names an image of harbor's own registry by tag and digest, or by digest under another \
                     name of the registry: name it by its tag alone, or as {found}"
            )),
            Some(reference) => Ok(Some(OwnImage { reference, login: self.login(organization)? })),
            None if is_contested => Ok(None),
            None => Err(self.lacks(rest)),
        }
    }

    fn login(&self, organization: OrganizationId) -> Result<Login, String> {
        let login = self.control.own_registry_login(organization).map_err(|error| chain(&error))?;
        Ok(Login { registry: self.address.clone(), username: login.username, password: login.secret })
    }
}

/// The store knows what lies where.
struct StoreRepositories(Store);

impl StoreRepositories {
    fn writer(&self) -> Writer {
        self.0.by(Actor::Harbor)
    }
}

#[async_trait::async_trait]
impl Repositories for StoreRepositories {
    async fn blob(&self, repository: &RepositoryName, digest: &Digest) -> Result<Option<RepositoryBlob>, IndexError> {
        self.0.repository_blob(repository.clone(), digest.clone()).await.map_err(failed)
    }

    async fn mount_blob(
        &self,
        repository: &RepositoryName,
        from: &RepositoryName,
        digest: &Digest,
    ) -> Result<bool, IndexError> {
        let mounted = self.writer().mount_blob(repository.clone(), from.clone(), digest.clone(), now()).await;
        mounted.map_err(failed)
    }

    async fn remove_blob(&self, repository: &RepositoryName, digest: &Digest) -> Result<Removal, IndexError> {
        self.writer().remove_repository_blob(repository.clone(), digest.clone(), now()).await.map_err(failed)
    }

    async fn renew_blob(&self, repository: &RepositoryName, digest: &Digest) -> Result<(), IndexError> {
        let renewed = self.writer().renew_repository_blob(repository.clone(), digest.clone(), now()).await;
        renewed.map(drop).map_err(failed)
    }

    async fn begin_upload(&self, upload: BlobUpload, most: u32) -> Result<bool, IndexError> {
        self.writer().begin_blob_upload(upload, most).await.map_err(failed)
    }

    async fn upload(&self, repository: &RepositoryName, id: &str) -> Result<Option<BlobUpload>, IndexError> {
        self.0.blob_upload(repository.clone(), id.to_owned()).await.map_err(failed)
    }

    async fn add_to_upload(
        &self,
        repository: &RepositoryName,
        id: &str,
        before: u64,
        piece: Piece,
    ) -> Result<Addition, IndexError> {
        let writer = self.writer();
        let added = writer.add_to_blob_upload(repository.clone(), id.to_owned(), before, piece, now()).await;
        added.map_err(failed)
    }

    async fn complete_upload(
        &self,
        repository: &RepositoryName,
        id: &str,
        size: u64,
        digest: &Digest,
    ) -> Result<bool, IndexError> {
        let writer = self.writer();
        let completed = writer.complete_blob_upload(repository.clone(), id.to_owned(), size, digest.clone(), now());
        completed.await.map_err(failed)
    }

    async fn abort_upload(&self, repository: &RepositoryName, id: &str) -> Result<bool, IndexError> {
        self.writer().abort_blob_upload(repository.clone(), id.to_owned(), now()).await.map_err(failed)
    }

    async fn manifest(&self, repository: &RepositoryName, key: &ManifestKey) -> Result<Option<Manifest>, IndexError> {
        self.0.manifest(repository.clone(), key.clone()).await.map_err(failed)
    }

    async fn push_manifest(&self, repository: &RepositoryName, new: NewManifest) -> Result<ManifestPush, IndexError> {
        self.writer().push_manifest(repository.clone(), new).await.map_err(failed)
    }

    async fn remove_manifest(&self, repository: &RepositoryName, digest: &Digest) -> Result<Removal, IndexError> {
        self.writer().remove_manifest(repository.clone(), digest.clone(), now()).await.map_err(failed)
    }

    async fn remove_tag(&self, repository: &RepositoryName, tag: &Tag) -> Result<bool, IndexError> {
        self.writer().remove_tag(repository.clone(), tag.clone(), now()).await.map_err(failed)
    }

    async fn tags(
        &self,
        repository: &RepositoryName,
        after: &str,
        most: usize,
    ) -> Result<Option<Vec<Tag>>, IndexError> {
        self.0.tags(repository.clone(), after.to_owned(), most).await.map_err(failed)
    }

    async fn referrers(
        &self,
        repository: &RepositoryName,
        subject: &Digest,
        kind: Option<String>,
        after: &str,
        most: usize,
    ) -> Result<Vec<Referrer>, IndexError> {
        self.0.referrers(repository.clone(), subject.clone(), kind, after.to_owned(), most).await.map_err(failed)
    }

    async fn repositories(&self, after: &str, most: usize) -> Result<Vec<RepositoryName>, IndexError> {
        self.0.repositories(after.to_owned(), most).await.map_err(failed)
    }
}
