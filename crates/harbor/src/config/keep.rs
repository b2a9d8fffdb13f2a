//! Keeping what `harbor up` was given: its flags become values of `config.toml`, so that the next start, and every other
//! command meanwhile, means the same installation.

use anyhow::Context as _;

use super::file;
use super::keys::{self, ConfigKey};
use super::load::{self, Given, Loaded};

/// A value that a flag gave and that the next start would not use by itself.
#[derive(Clone, Debug)]
pub(crate) struct Kept {
    /// Which key.
    pub(crate) key: &'static ConfigKey,
    /// Its value, as text.
    pub(crate) value: String,
}

/// The flags whose values differ from what the next start without them would use.
pub(crate) fn differing(loaded: &Loaded, given: &Given) -> anyhow::Result<Vec<Kept>> {
    let without = load::load(&Given { flags: given.data_directory(), ..given.clone() })?;
    let flags = given.flags.keys().filter_map(|name| keys::find(name)).filter(|key| key.name != "data_dir");
    let differs = flags.filter_map(|key| {
        let (value, _) = loaded.value(key)?;
        let same = without.value(key).is_some_and(|(other, _)| other == value);
        (!same).then_some(Kept { key, value })
    });
    Ok(differs.collect())
}

/// Writes them into `config.toml`.
pub(crate) fn keep(loaded: &Loaded, kept: &[Kept]) -> anyhow::Result<()> {
    for Kept { key, value } in kept {
        file::set(&loaded.file, key, &file::absolute(key, value)?)
            .with_context(|| format!("cannot keep --{}", key.flag().unwrap_or_default()))?;
    }
    Ok(())
}
