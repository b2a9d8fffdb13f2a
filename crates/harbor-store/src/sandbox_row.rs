//! How a sandbox stands in its row: every column, secrets encrypted.

use std::collections::BTreeMap;

use harbor_model::ids::{OrganizationId, RegionId, SandboxId};
use harbor_model::resources::Resources;
use harbor_model::sandboxes::{Desired, Failure, Files, Generation, Network, Origin, Sandbox, Settings};
use harbor_model::secrets::Secret;
use rusqlite::{Connection, Row, Transaction, named_params, params};

use crate::{EncryptionKey, StoreError, files, row, seen, volumes};

/// The row with this id.
pub(crate) fn by_id(
    connection: &Connection,
    key: &EncryptionKey,
    id: SandboxId,
) -> Result<Option<Sandbox>, StoreError> {
    let mut statement = connection.prepare_cached("SELECT * FROM sandbox WHERE id = ?1")?;
    row::first(&mut statement, params![id.to_string()], |found| read(found, key))
}

/// The sandboxes that are linked to this one, and are not on their way out.
pub(crate) fn linked_to(
    connection: &Connection,
    key: &EncryptionKey,
    target: SandboxId,
) -> Result<Vec<Sandbox>, StoreError> {
    let mut statement = connection.prepare_cached("SELECT * FROM sandbox WHERE linked = ?1 AND live = 1")?;
    row::collect(&mut statement, params![target.to_string()], |found| read(found, key))
}

/// The organization's live sandboxes that were made with the Dockerfile of this image.
pub(crate) fn of_build(
    connection: &Connection,
    key: &EncryptionKey,
    organization: OrganizationId,
    build: &str,
) -> Result<Vec<Sandbox>, StoreError> {
    let mut statement = connection
        .prepare_cached("SELECT * FROM sandbox WHERE organization = ?1 AND build = ?2 AND live = 1 AND removed = 0")?;
    row::collect(&mut statement, params![organization.to_string(), build], |found| read(found, key))
}

/// Every row that has not been removed.
pub(crate) fn all(connection: &Connection, key: &EncryptionKey) -> Result<Vec<Sandbox>, StoreError> {
    let mut statement = connection.prepare_cached("SELECT * FROM sandbox WHERE removed = 0")?;
    row::collect(&mut statement, [], |found| read(found, key))
}

/// The sandbox of a row, whose secrets `key` opens.
pub(crate) fn read(row: &Row<'_>, key: &EncryptionKey) -> Result<Sandbox, StoreError> {
    let row_id: String = row.get("id")?;
    let secret = |column| -> Result<String, StoreError> { Ok(key.read(row, column, &row_id)?.unwrap_or_default()) };
    let env = key.read(row, "sandbox.encrypted_env", &row_id)?;
    let failure: Option<String> = row.get("failure")?;
    let recoverable = row.get("recoverable")?;
    let desired: String = row.get("desired")?;
    let gpu = row.get("gpu")?;
    let resize_to = match row.get::<_, Option<u32>>("resize_cpu")? {
        None => None,
        Some(cpu) => {
            let (memory_gib, disk_gib) = (row.get("resize_memory_gib")?, row.get("resize_disk_gib")?);
            Some(Resources { cpu, memory_gib, disk_gib, gpu })
        }
    };
    let parent = row::optional_id(row, "parent")?;
    let files = Files { parent, ..files::decode(row.get_ref("files")?.as_str_or_null().unwrap_or_default())? };
    Ok(Sandbox {
        id: row::parsed(row, "id")?,
        organization: row::parsed(row, "organization")?,
        name: row::name(row, "name")?,
        origin: Origin {
            snapshot: row.get("snapshot")?,
            image: row.get("image")?,
            build: row::recipe(row, "build")?,
            entrypoint: row::list(row, "entrypoint")?,
            user: row.get("user")?,
            env: env.map_or(Ok(BTreeMap::new()), |env| row::map_of("env", &env))?,
            mounts: volumes::decode_mounts(row.get_ref("mounts")?.as_str().unwrap_or_default())?,
            target: RegionId::new(row.get::<_, String>("target")?),
        },
        resources: Resources {
            cpu: row.get("cpu")?,
            memory_gib: row.get("memory_gib")?,
            disk_gib: row.get("disk_gib")?,
            gpu,
        },
        resize_to,
        files,
        settings: Settings {
            labels: row::map(row, "labels")?,
            public: row.get("public")?,
            auto_stop_minutes: row.get("auto_stop_minutes")?,
            auto_pause_minutes: row.get("auto_pause_minutes")?,
            auto_archive_minutes: row.get("auto_archive_minutes")?,
            auto_delete_minutes: row.get("auto_delete_minutes")?,
            network: Network {
                block_all: row.get("network_block_all")?,
                allow_networks: row.get("allow_networks")?,
                allow_domains: row.get("allow_domains")?,
            },
        },
        preview_token: Secret::new(secret("sandbox.encrypted_preview_token")?),
        toolbox_token: Secret::new(secret("sandbox.encrypted_toolbox_token")?),
        desired: Desired::from_word(&desired).ok_or(StoreError::Unreadable("desired"))?,
        force: row.get("force")?,
        seen: seen::decode(row.get_ref("seen")?.as_str().unwrap_or_default())?,
        failure: failure.map(|reason| Failure { reason, recoverable }),
        note: row.get("note")?,
        toolbox_version: row.get("toolbox_version")?,
        started_once: row.get("started_once")?,
        generation: Generation(row.get("generation")?),
        created_at: row::moment(row, "created_at")?,
        updated_at: row::moment(row, "updated_at")?,
        last_activity_at: row::moment(row, "last_activity_at")?,
        linked: row::optional_id(row, "linked")?,
        warm_pool: row::optional_id(row, "warm_pool")?,
        destroy_at: row::optional_moment(row, "destroy_at")?,
    })
}

macro_rules! columns {
    () => {
        "organization, name, live, removed, snapshot, image, entrypoint, user, target, cpu, memory_gib,
         disk_gib, gpu, labels, public, auto_stop_minutes, auto_archive_minutes, auto_delete_minutes,
         network_block_all, allow_networks, allow_domains, encrypted_env, encrypted_preview_token, encrypted_toolbox_token, desired, force, seen, failure,
         recoverable, note, toolbox_version, started_once, generation, created_at, updated_at, last_activity_at,
         warm_pool, destroy_at,
         auto_pause_minutes, resize_cpu, resize_memory_gib, resize_disk_gib, files, parent, linked,
         mounts, build, dockerfile, contexts"
    };
}

macro_rules! values {
    () => {
        ":organization, :name, :live, :removed, :snapshot, :image, :entrypoint, :user, :target, :cpu,
         :memory_gib, :disk_gib, :gpu, :labels, :public, :auto_stop_minutes, :auto_archive_minutes,
         :auto_delete_minutes, :network_block_all, :allow_networks, :allow_domains, :encrypted_env, :encrypted_preview_token, :encrypted_toolbox_token,
         :desired, :force, :seen, :failure, :recoverable, :note, :toolbox_version, :started_once, :generation,
         :created_at, :updated_at, :last_activity_at, :warm_pool,
         :destroy_at, :auto_pause_minutes,
         :resize_cpu, :resize_memory_gib, :resize_disk_gib, :files, :parent, :linked,
         :mounts, :build, :dockerfile, :contexts"
    };
}

/// Records a row.
pub(crate) const INSERT: &str = concat!("INSERT INTO sandbox (id, ", columns!(), ") VALUES (:id, ", values!(), ")");

/// Changes no row but the one that was read: of the generation before.
pub(crate) const UPDATE: &str = concat!(
    "UPDATE sandbox SET (",
    columns!(),
    ") = (",
    values!(),
    ") WHERE id = :id AND generation = :generation - 1"
);

/// Writes the whole row, by destructuring, so that no field is forgotten; without the secrets of one that is gone. Answers how many rows were written.
pub(crate) fn put(
    transaction: &Transaction<'_>,
    key: &EncryptionKey,
    sql: &str,
    sandbox: &Sandbox,
) -> Result<usize, StoreError> {
    let Sandbox {
        id,
        organization,
        name,
        origin: Origin { snapshot, image, build, entrypoint, user, env, mounts, target },
        resources: Resources { cpu, memory_gib, disk_gib, gpu },
        resize_to,
        files,
        settings:
            Settings {
                labels,
                public,
                auto_stop_minutes,
                auto_pause_minutes,
                auto_archive_minutes,
                auto_delete_minutes,
                network: Network { block_all, allow_networks, allow_domains },
            },
        preview_token,
        toolbox_token,
        desired,
        force,
        seen,
        failure,
        note,
        toolbox_version,
        started_once,
        generation,
        created_at,
        updated_at,
        last_activity_at,
        linked,
        warm_pool,
        destroy_at,
    } = sandbox;
    let wiped = sandbox.removed();
    let row_id = id.to_string();
    let encrypted = |column, text: &str| (!wiped).then(|| key.encrypt(column, &row_id, text)).transpose();
    let mut statement = transaction.prepare_cached(sql)?;
    let written = statement.execute(named_params! {
        ":id": id.to_string(),
        ":organization": organization.to_string(),
        ":name": name.as_str(),
        ":live": sandbox.live(),
        ":removed": sandbox.removed(),
        ":snapshot": snapshot,
        ":image": image,
        ":entrypoint": entrypoint.clone().map(row::json),
        ":user": user,
        ":mounts": volumes::encode_mounts(mounts)?,
        ":build": build.as_ref().map(|recipe| &recipe.reference),
        ":dockerfile": build.as_ref().map(|recipe| &recipe.dockerfile),
        ":contexts": build.as_ref().map(|recipe| row::json(recipe.contexts.clone())),
        ":target": target.as_str(),
        ":cpu": cpu,
        ":memory_gib": memory_gib,
        ":disk_gib": disk_gib,
        ":gpu": gpu,
        ":labels": row::json_map(labels),
        ":public": public,
        ":auto_stop_minutes": auto_stop_minutes,
        ":auto_pause_minutes": auto_pause_minutes,
        ":resize_cpu": resize_to.map(|to| to.cpu),
        ":resize_memory_gib": resize_to.map(|to| to.memory_gib),
        ":resize_disk_gib": resize_to.map(|to| to.disk_gib),
        ":files": files::encode(files)?,
        ":parent": files.parent.map(|id| id.to_string()),
        ":linked": linked.map(|id| id.to_string()),
        ":auto_archive_minutes": auto_archive_minutes,
        ":auto_delete_minutes": auto_delete_minutes,
        ":network_block_all": block_all,
        ":allow_networks": allow_networks,
        ":allow_domains": allow_domains,
        ":encrypted_env": encrypted("sandbox.encrypted_env", &row::json_map(env))?,
        ":encrypted_preview_token": encrypted("sandbox.encrypted_preview_token", preview_token.reveal())?,
        ":encrypted_toolbox_token": encrypted("sandbox.encrypted_toolbox_token", toolbox_token.reveal())?,
        ":desired": desired.word(),
        ":force": force,
        ":seen": seen::encode(seen)?,
        ":failure": failure.as_ref().map(|failure| &failure.reason),
        ":recoverable": failure.as_ref().is_some_and(|failure| failure.recoverable),
        ":note": note,
        ":toolbox_version": toolbox_version,
        ":started_once": started_once,
        ":generation": generation.0,
        ":created_at": row::milliseconds(*created_at),
        ":updated_at": row::milliseconds(*updated_at),
        ":last_activity_at": row::milliseconds(*last_activity_at),
        ":warm_pool": warm_pool.map(|id| id.to_string()),
        ":destroy_at": destroy_at.map(row::milliseconds),
    });
    written.map_err(row::name_taken)
}
