//! The steps from an empty file to this version's schema, in order; the file's `user_version` counts those it has had.
//!
//! Guarantees: a step is done whole or not at all, rows included; one that was released is never changed. The schema
//! that they lead to is written out in `schema.sql`.

use rusqlite::{Connection, Transaction};
use rusqlite_migration::{HookError, M, Migrations};

use crate::EncryptionKey;

/// Each step's name and statements.
const STEPS: &[(&str, &str)] = &[
    ("first schema", include_str!("0001_first_schema.sql")),
    ("signing keys", include_str!("0002_signing_keys.sql")),
    ("parents of keys", include_str!("0003_parents_of_keys.sql")),
    ("rows change in place", include_str!("0004_rows_change_in_place.sql")),
    ("actors", include_str!("0005_actors.sql")),
    ("encrypted secrets", include_str!("0006_encrypted_secrets.sql")),
    ("end of life", include_str!("0007_end_of_life.sql")),
    ("warm pools", include_str!("0008_warm_pools.sql")),
    ("auto-pause", include_str!("0009_auto_pause.sql")),
    ("resize", include_str!("0010_resize.sql")),
    ("stored files", include_str!("0011_stored_files.sql")),
    ("linked sandboxes", include_str!("0012_linked.sql")),
    ("installation", include_str!("0013_installation.sql")),
    ("volumes", include_str!("0014_volumes.sql")),
    ("images", include_str!("0015_images.sql")),
    ("registries", include_str!("0016_registries.sql")),
    ("objects", include_str!("0017_objects.sql")),
    ("repositories", include_str!("0018_repositories.sql")),
];

/// The step after which secrets are encrypted, by code.
const ENCRYPTS: usize = 6;

/// The schema that this version of harbor works with.
pub(crate) const VERSION: usize = STEPS.len();

/// Which schema a file has, 0 for an empty one.
pub(crate) fn version(connection: &Connection) -> Result<usize, rusqlite::Error> {
    let found: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    Ok(usize::try_from(found).unwrap_or(usize::MAX))
}

/// What is said of a file whose schema is not this version's.
pub(crate) fn other_version(found: usize) -> String {
    if found > VERSION {
        format!("a newer harbor wrote it (schema {found}, this one knows {VERSION}): use that version or a newer one")
    } else {
        format!("an older harbor wrote it (schema {found}, this one needs {VERSION}): the next `harbor up` converts it")
    }
}

/// Takes the steps that the file has not had. The error says which one failed and why.
pub(crate) fn migrate(connection: &mut Connection, key: &EncryptionKey) -> Result<(), String> {
    let found = version(connection).map_err(|error| error.to_string())?;
    if found > VERSION {
        return Err(other_version(found));
    }
    for (step, (name, _)) in STEPS.iter().enumerate().skip(found) {
        take(connection, key, step)?;
        if found > 0 {
            tracing::info!(step = name, schema = step + 1, "database converted");
        }
    }
    if (1..ENCRYPTS).contains(&found) {
        scrub(connection).map_err(|error| format!("secrets in the clear could not be overwritten: {error}"))?;
    }
    Ok(())
}

/// Writes the file anew and empties its log, so that nothing is left of what has been deleted.
fn scrub(connection: &Connection) -> Result<(), rusqlite::Error> {
    connection.execute_batch("VACUUM")?;
    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
}

fn take(connection: &mut Connection, key: &EncryptionKey, step: usize) -> Result<(), String> {
    let with_code = |number: usize, sql: &'static str| {
        if number != ENCRYPTS {
            return M::up(sql);
        }
        let key = key.clone();
        M::up_with_hook(sql, move |transaction: &Transaction<'_>| {
            key.encrypt_all(transaction).map_err(|error| HookError::Hook(error.to_string()))
        })
    };
    let steps = (1..).zip(STEPS).map(|(number, (_, sql))| with_code(number, sql)).collect();
    let failed = |error: rusqlite_migration::Error| format!("step {} ({}): {error}", step + 1, STEPS[step].0);
    Migrations::new(steps).to_version(connection, step + 1).map_err(failed)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use expect_test::expect_file;
    use harbor_model::ids::{ContainerId, SandboxId};
    use harbor_model::sandboxes::{Boot, Sandbox, Seen};
    use harbor_model::secrets::Secret;

    use super::*;
    use crate::{Store, database};

    /// Rows of every table as old versions wrote them, by the version whose schema they are written to.
    const ROWS: &[(usize, &str)] = &[(1, include_str!("rows/0001.sql")), (2, include_str!("rows/0002.sql"))];

    fn key() -> EncryptionKey {
        EncryptionKey::derive(&Secret::new("key"), &Secret::new("salt"))
    }

    fn schema(connection: &Connection) -> String {
        let mut statement = connection
            .prepare("SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL AND name <> 'sqlite_sequence' ORDER BY name")
            .unwrap();
        let all = statement.query_map([], |row| row.get::<_, String>(0)).unwrap();
        all.map(|sql| sql.unwrap() + ";\n").collect::<Vec<_>>().join("\n")
    }

    /// A database of an older `version`, with rows that it wrote.
    fn old(path: &Path, version: usize) -> Connection {
        let mut connection = database::connect(path).unwrap();
        for step in 0..version {
            take(&mut connection, &key(), step).unwrap();
            for (_, rows) in ROWS.iter().filter(|(first, _)| *first == step + 1) {
                connection.execute_batch(rows).unwrap();
            }
        }
        connection
    }

    #[test]
    fn the_schema_is_the_one_that_is_written_out() {
        let directory = tempfile::tempdir().unwrap();
        let mut connection = database::connect(&directory.path().join("fresh.db")).unwrap();
        migrate(&mut connection, &key()).unwrap();
        expect_file!["../schema.sql"].assert_eq(&schema(&connection));
    }

    #[tokio::test]
    async fn every_older_database_gets_the_same_schema_and_keeps_its_rows() {
        let fresh = {
            let directory = tempfile::tempdir().unwrap();
            let mut connection = database::connect(&directory.path().join("fresh.db")).unwrap();
            migrate(&mut connection, &key()).unwrap();
            schema(&connection)
        };
        for version in 1..VERSION {
            let directory = tempfile::tempdir().unwrap();
            let path = directory.path().join("harbor.db");
            drop(old(&path, version));
            let store = Store::open(&path, &key()).unwrap();
            check_rows(&store, version).await;
            check_no_clear_text(directory.path());
            drop(store);
            assert_eq!(schema(&database::connect(&path).unwrap()), fresh, "from version {version}");
        }
    }

    /// Nothing that was secret can be read from any file of the database, and something else can.
    fn check_no_clear_text(directory: &Path) {
        let files = std::fs::read_dir(directory).unwrap().map(|file| std::fs::read(file.unwrap().path()).unwrap());
        let all = files.collect::<Vec<_>>().concat();
        let holds = |text: &str| all.windows(text.len()).any(|window| window == text.as_bytes());
        assert!(holds("box3"));
        for secret in
            ["env-1", "env-3", "env-6", "preview-3", "preview-6", "toolbox-3", "toolbox-6", "signs-3", "signs-98"]
        {
            assert!(!holds(secret), "{secret} is in the file");
        }
    }

    async fn check_rows(store: &Store, version: usize) {
        let id = |last: u8| format!("00000000-0000-4000-8000-0000000000{last:02}").parse::<SandboxId>().unwrap();
        let sandbox = async |last| store.sandbox(id(last)).await.unwrap().unwrap();
        let container = || ContainerId::new("c");
        let seen = [
            Seen::Absent,
            Seen::Made { container: container() },
            Seen::Running { container: container(), boot: Boot("b".into()), configured: true, connected: false },
            Seen::Exited { container: container(), code: 137, asked: true, connected: false, to_sleep: false },
            Seen::Lost,
            Seen::Removed,
        ];
        for (last, seen) in (1..).zip(seen) {
            assert_eq!(sandbox(last).await.seen, seen, "version {version}");
        }
        let Sandbox { origin, settings, preview_token, toolbox_token, generation, .. } = sandbox(3).await;
        assert_eq!(origin.env.into_iter().collect::<Vec<_>>(), [("SECRET".to_owned(), "env-3".to_owned())]);
        assert_eq!(settings.labels.into_iter().collect::<Vec<_>>(), [("a".to_owned(), "b".to_owned())]);
        assert_eq!((preview_token.reveal(), toolbox_token.reveal(), generation.0), ("preview-3", "toolbox-3", 7));
        let gone = sandbox(6).await;
        assert!(gone.origin.env.is_empty() && gone.preview_token.reveal().is_empty(), "not wiped");
        assert!(sandbox(3).await.live() && !sandbox(4).await.live() && !sandbox(6).await.live());
        let key = store.signing_key(id(3)).await.unwrap();
        assert_eq!(key.map(|key| key.reveal().to_owned()), (version >= 2).then(|| "signs-3".to_owned()));
        let told = store.outbox_after(0, 10).await.unwrap();
        assert_eq!(told.iter().map(|entry| &entry.actor).collect::<Vec<_>>(), [&None]);
    }

    #[test]
    fn a_newer_database_is_refused_in_words() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("harbor.db");
        let connection = database::connect(&path).unwrap();
        connection.pragma_update(None, "user_version", 1000).unwrap();
        let refusal = Store::open(&path, &key()).err().unwrap().to_string();
        assert!(refusal.contains("a newer harbor wrote it"), "{refusal}");
    }

    #[test]
    fn a_look_at_an_older_database_leaves_it_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("harbor.db");
        drop(old(&path, 2));
        let refusal = Store::open_read_only(&path).err().unwrap().to_string();
        assert!(refusal.contains("an older harbor wrote it (schema 2"), "{refusal}");
        assert_eq!(version(&database::connect(&path).unwrap()).unwrap(), 2);
    }
}
