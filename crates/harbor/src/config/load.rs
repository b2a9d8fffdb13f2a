//! Merging flags, environment, `config.toml` and defaults.
//!
//! Guarantees: a value that is not understood is refused with the place it stands in and what it must be; an unknown
//! key in `config.toml` is refused with the one probably meant. Unknown `HARBOR_…` variables are left alone: they may
//! be another program's.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};
use figment::value::{Dict, Map, Value};
use figment::{Figment, Metadata, Profile, Provider};

use super::directories::{self, Directories};
use super::keys::{self, ConfigKey, DefaultValue, KEYS, Standing};
use super::{Config, file};
use crate::process::state::RunningSettings;

/// What was said outside of `config.toml`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Given {
    /// `--config`.
    pub(crate) file: Option<PathBuf>,
    /// Flags, by key name.
    pub(crate) flags: BTreeMap<&'static str, String>,
    /// The environment.
    pub(crate) environment: BTreeMap<String, String>,
}

impl Given {
    /// Whether the environment sets this key, and so wins over `config.toml`.
    pub(crate) fn fixes(&self, key: &ConfigKey) -> bool {
        self.environment.get(&key.env()).is_some_and(|text| !text.is_empty())
    }

    /// Its flags without those that configure the installation: which one it is.
    pub(crate) fn data_directory(&self) -> BTreeMap<&'static str, String> {
        self.flags.iter().filter(|(name, _)| **name == "data_dir").map(|(name, value)| (*name, value.clone())).collect()
    }
}

/// The merged configuration.
#[derive(Debug)]
pub(crate) struct Loaded {
    /// Typed.
    pub(crate) config: Config,
    /// The `config.toml` in force, whether it exists or not.
    pub(crate) file: PathBuf,
    all: Figment,
}

impl Loaded {
    /// The value of `key` as text, and where it comes from. `None`: nobody set it and it has no default.
    pub(crate) fn value(&self, key: &ConfigKey) -> Option<(String, String)> {
        let value = self.all.find_value(key.name).ok()?;
        let source = self.all.find_metadata(key.name).map_or_else(String::new, |from| from.name.clone().into_owned());
        Some((text_of(&value)?, source))
    }

    /// Every value in force, as text, but the data directory and secrets that harbor generates.
    pub(crate) fn settings(&self) -> BTreeMap<String, String> {
        let used = KEYS.iter().filter(|key| key.standing == Standing::Used && key.name != "data_dir");
        used.filter_map(|key| Some((key.name.to_owned(), self.value(key)?.0))).collect()
    }
}

/// Merges everything: what the next start would use.
pub(crate) fn load(given: &Given) -> anyhow::Result<Loaded> {
    let location = ConfigLocation::find(given)?;
    let written = Layer::file(&location.file)?;
    merge(given, location, written, Layer::empty())
}

/// What is in force: what the running harbor was started with, else what the next start would use. Flags of this very
/// command win.
pub(crate) fn in_force(given: &Given) -> anyhow::Result<Loaded> {
    let running = RunningSettings::of_running(&directories_of(given)?)?;
    let Some(running) = running else { return load(given) };
    let location = ConfigLocation::find(given)?;
    let written = Layer::file(&location.file)?;
    merge(given, location, written, Layer::running(&running.values)?)
}

/// Merges everything but `config.toml`, for showing what there is while that is wrong.
pub(crate) fn load_without_file(given: &Given) -> anyhow::Result<Loaded> {
    let root = directories_of(given)?.root().to_owned();
    let location = ConfigLocation { root, ..ConfigLocation::find(given)? };
    merge(given, location, Layer::empty(), Layer::empty())
}

fn merge(given: &Given, location: ConfigLocation, written: Layer, running: Layer) -> anyhow::Result<Loaded> {
    let all = Figment::from(Layer::defaults(&location.root)?)
        .merge(written)
        .merge(Layer::environment(&given.environment)?)
        .merge(running)
        .merge(Layer::flags(&given.flags)?);
    let used = Layer::named("configuration", |key| {
        if key.standing == Standing::Used { Ok(all.find_value(key.name).ok()) } else { Ok(None) }
    })?;
    let mut config: Config = Figment::from(used).extract().map_err(|error| anyhow!("{error}"))?;
    config.data_dir = absolute(&config.data_dir)?;
    config.daytona.workspace = config.daytona.workspace.map(|path| absolute(&path)).transpose()?;
    Ok(Loaded { config, file: location.file, all })
}

/// Where logs, lock and state lie, for commands that look at a harbor or stop it: these work whatever else is wrong
/// with the configuration. `config.toml` is read for `data_dir` alone, where neither flag nor environment says that.
/// Not for what `daytona.workspace` moves: database, objects and registry.
pub(crate) fn directories_of(given: &Given) -> anyhow::Result<Directories> {
    let location = ConfigLocation::find(given)?;
    let written = if location.told { None } else { file::data_dir(&location.file)? };
    let root = written.map_or(Ok(location.root), |written| absolute(Path::new(written.trim())))?;
    Ok(Directories::new(&root, None))
}

/// The `config.toml` in force, without reading it.
pub(crate) fn file_of(given: &Given) -> anyhow::Result<PathBuf> {
    Ok(ConfigLocation::find(given)?.file)
}

/// Where `config.toml` is: as told, else in the data directory that flag, environment or default name.
struct ConfigLocation {
    root: PathBuf,
    /// Whether flag or environment names `root`.
    told: bool,
    file: PathBuf,
}

impl ConfigLocation {
    fn find(given: &Given) -> anyhow::Result<Self> {
        let variable = |name: &str| given.environment.get(name).filter(|value| !value.is_empty()).cloned();
        let told = given.flags.get("data_dir").cloned().or_else(|| variable("HARBOR_DATA_DIR"));
        let root = match &told {
            Some(root) => absolute(Path::new(root))?,
            None => directories::default_root()?,
        };
        let file = match given.file.clone().or_else(|| variable("HARBOR_CONFIG").map(PathBuf::from)) {
            Some(file) => absolute(&file)?,
            None => root.join("config.toml"),
        };
        Ok(Self { root, told: told.is_some(), file })
    }
}

fn absolute(path: &Path) -> anyhow::Result<PathBuf> {
    let home = path.strip_prefix("~").ok().and_then(|rest| Some(PathBuf::from(std::env::var_os("HOME")?).join(rest)));
    std::path::absolute(home.as_deref().unwrap_or(path)).with_context(|| format!("{} is not a path", path.display()))
}

/// One source of values, nested as its dotted keys say.
struct Layer {
    name: String,
    values: Dict,
}

impl Layer {
    fn named(name: &str, mut value: impl FnMut(&ConfigKey) -> anyhow::Result<Option<Value>>) -> anyhow::Result<Self> {
        let mut values = Dict::new();
        for key in KEYS {
            if let Some(value) = value(key)? {
                insert(&mut values, key.name, value);
            }
        }
        Ok(Self { name: name.to_owned(), values })
    }

    fn empty() -> Self {
        Self { name: String::new(), values: Dict::new() }
    }

    fn running(values: &BTreeMap<String, String>) -> anyhow::Result<Self> {
        Self::named("running harbor", |key| {
            values.get(key.name).map(|text| parse(key, text, "the running harbor")).transpose()
        })
    }

    fn defaults(root: &Path) -> anyhow::Result<Self> {
        Self::named("default", |key| match key.default {
            DefaultValue::Is(text) => parse(key, text, "the default").map(Some),
            DefaultValue::DataDirectory => Ok(Some(Value::from(root.to_string_lossy().into_owned()))),
            DefaultValue::Unset | DefaultValue::Generated(_) => Ok(None),
        })
    }

    fn file(path: &Path) -> anyhow::Result<Self> {
        let written = file::read(path)?;
        let shown = path.display().to_string();
        for name in written.keys() {
            if keys::find(name).is_none_or(|key| key.name != name) {
                let meant = keys::find(name).or_else(|| keys::similar(name));
                let hint = meant.map_or_else(
                    || "`harbor config ls` lists the keys".to_owned(),
                    |key| format!("did you mean `{}`?", key.name),
                );
                return Err(anyhow!("{shown}: unknown key `{name}`: {hint}"));
            }
        }
        Self::named(&shown, |key| written.get(key.name).map(|text| parse(key, text, &shown)).transpose())
    }

    fn environment(variables: &BTreeMap<String, String>) -> anyhow::Result<Self> {
        Self::named("environment", |key| {
            let value = variables.get(&key.env()).filter(|text| !text.is_empty());
            value.map(|text| parse(key, text, &key.env())).transpose()
        })
    }

    fn flags(flags: &BTreeMap<&'static str, String>) -> anyhow::Result<Self> {
        Self::named("flag", |key| {
            let place = || key.flag().map_or_else(String::new, |flag| format!("--{flag}"));
            flags.get(key.name).map(|text| parse(key, text, &place())).transpose()
        })
    }
}

impl Provider for Layer {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.name.clone())
    }

    fn data(&self) -> figment::error::Result<Map<Profile, Dict>> {
        Ok(Map::from([(Profile::Default, self.values.clone())]))
    }
}

/// Values are never echoed: a secret may stand in the wrong key.
fn parse(key: &ConfigKey, text: &str, place: &str) -> anyhow::Result<Value> {
    key.kind.parse(text).map_err(|wanted| anyhow!("{place}: {} must be {wanted}", key.name))
}

fn insert(values: &mut Dict, name: &str, value: Value) {
    match name.split_once('.') {
        None => _ = values.insert(name.to_owned(), value),
        Some((section, rest)) => {
            let nested = values.entry(section.to_owned()).or_insert_with(|| Value::from(Dict::new()));
            if let Value::Dict(_, nested) = nested {
                insert(nested, rest, value);
            }
        }
    }
}

fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::String(_, text) => Some(text.clone()),
        Value::Bool(_, on) => Some(on.to_string()),
        Value::Num(_, number) => number.to_u128().map(|number| number.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::config::kinds::ValueKind;
    use crate::config::{Bind, LogFormat};

    struct Case {
        directory: tempfile::TempDir,
        given: Given,
    }

    impl Case {
        fn new() -> Self {
            let directory = tempfile::tempdir().unwrap();
            let mut given = Given::default();
            given.environment.insert("HARBOR_DATA_DIR".to_owned(), directory.path().to_str().unwrap().to_owned());
            Self { directory, given }
        }

        fn file(self, text: &str) -> Self {
            fs::write(self.directory.path().join("config.toml"), text).unwrap();
            self
        }

        fn variable(mut self, name: &str, value: &str) -> Self {
            self.given.environment.insert(name.to_owned(), value.to_owned());
            self
        }

        fn flag(mut self, key: &'static str, value: &str) -> Self {
            self.given.flags.insert(key, value.to_owned());
            self
        }

        fn load(&self) -> Loaded {
            load(&self.given).unwrap()
        }

        fn refusal(&self) -> String {
            format!("{:#}", load(&self.given).unwrap_err())
        }
    }

    #[track_caller]
    fn check(case: &Case, port: u16, source: &str) {
        let loaded = case.load();
        assert_eq!(loaded.config.daytona.host_port, port);
        let (text, from) = loaded.value(keys::find("daytona.host_port").unwrap()).unwrap();
        assert_eq!(text, port.to_string());
        assert!(from.ends_with(source), "{from}");
    }

    #[test]
    fn a_flag_wins_over_the_environment_over_the_file_over_the_default() {
        let case = Case::new();
        check(&case, 35000, "default");
        let case = case.file("[daytona]\nhost_port = 1001\n");
        check(&case, 1001, "config.toml");
        let case = case.variable("HARBOR_DAYTONA_HOST_PORT", "1002");
        check(&case, 1002, "environment");
        check(&case.flag("daytona.host_port", "1003"), 1003, "flag");
    }

    #[test]
    fn an_empty_variable_says_nothing() {
        check(&Case::new().variable("HARBOR_DAYTONA_HOST_PORT", ""), 35000, "default");
    }

    #[test]
    fn defaults_make_a_whole_configuration() {
        let case = Case::new();
        let config = case.load().config;
        assert_eq!(config.data_dir, case.directory.path());
        assert_eq!(config.bind, Bind::Localhost);
        assert_eq!(config.log.format, LogFormat::Text);
        assert_eq!(config.api_url(35000), "http://localhost:35000");
        assert!(config.daytona.admin_api_key.is_none() && config.daytona.workspace.is_none());
    }

    #[test]
    fn every_used_key_reaches_the_typed_configuration() {
        let mut case = Case::new();
        for key in KEYS.iter().filter(|key| key.standing == Standing::Used && key.name != "data_dir") {
            let value = match key.kind {
                ValueKind::Port | ValueKind::Count(..) => "7",
                ValueKind::Switch => "true",
                ValueKind::Bind => "127.0.0.2",
                ValueKind::Choice(words) => words[0],
                ValueKind::HttpUrl | ValueKind::HttpOrigin => "https://example.org/",
                ValueKind::SshUrl => "ssh://example.org",
                ValueKind::Engine => "tcp://localhost:2375",
                ValueKind::Email => "me@example.org",
                ValueKind::LogLevel => "debug",
                ValueKind::HostKey => continue,
                ValueKind::Path | ValueKind::DataDirectory => "/some/where",
                ValueKind::Text | ValueKind::Secret | ValueKind::Token | ValueKind::Image | ValueKind::Bucket => {
                    "eight-is-text"
                }
            };
            case = case.variable(&key.env(), value);
        }
        let config = case.load().config;
        assert_eq!(config.public_url.proxy.as_deref(), Some("https://example.org"));
        assert_eq!(config.daytona.admin_api_key.unwrap().reveal(), "eight-is-text");
        assert!(config.compat.strict && config.allow_lan);
    }

    #[test]
    fn text_that_looks_like_a_number_stays_text() {
        let case = Case::new().file("[daytona]\ndb_version = 18\nadmin_password = \"0123\"\n");
        let loaded = case.load();
        assert_eq!(loaded.config.daytona.admin_password.as_ref().unwrap().reveal(), "0123");
        assert_eq!(loaded.value(keys::find("daytona.db_version").unwrap()).unwrap().0, "18");
    }

    #[test]
    fn a_refusal_names_file_and_key() {
        let refusal = Case::new().file("[daytona]\nhost_prot = 1\n").refusal();
        assert!(refusal.contains("config.toml") && refusal.contains("`daytona.host_prot`"), "{refusal}");
        assert!(refusal.contains("did you mean `daytona.host_port`?"), "{refusal}");
        let refusal = Case::new().file("[daytona]\nhost_port = \"hunter2\"\n").refusal();
        assert!(refusal.contains("config.toml: daytona.host_port must be a port number"), "{refusal}");
        assert!(!refusal.contains("hunter2"), "{refusal}");
        let refusal = Case::new().variable("HARBOR_INFRA_STOCK", "many").refusal();
        assert!(refusal.starts_with("HARBOR_INFRA_STOCK: infra.stock must be a whole number"), "{refusal}");
        let refusal = Case::new().flag("bind", "everywhere").refusal();
        assert!(refusal.starts_with("--bind: bind must be localhost or an IP address"), "{refusal}");
        let refusal = Case::new().file("[daytona\n").refusal();
        assert!(refusal.contains("config.toml, line 1: "), "{refusal}");
    }

    #[test]
    fn an_admin_key_that_no_header_can_carry_is_refused() {
        for key in ["a b", " lead", "trail ", "ünï", "tab\there"] {
            let refusal = Case::new().variable("HARBOR_DAYTONA_ADMIN_API_KEY", key).refusal();
            let says = "HARBOR_DAYTONA_ADMIN_API_KEY: daytona.admin_api_key must be printable ASCII";
            assert!(refusal.starts_with(says) && !refusal.contains(key), "{refusal}");
            let refusal = Case::new().file(&format!("[daytona]\nadmin_api_key = '{key}'\n")).refusal();
            assert!(refusal.contains("daytona.admin_api_key must be printable ASCII without blanks"), "{refusal}");
        }
    }

    #[test]
    fn the_file_may_move_the_data_but_not_itself() {
        let case = Case::new().file("data_dir = \"/elsewhere\"\n");
        let mut given = case.given.clone();
        given.environment.clear();
        given.file = Some(case.directory.path().join("config.toml"));
        assert_eq!(load(&given).unwrap().config.data_dir, Path::new("/elsewhere"));
        assert_eq!(directories_of(&given).unwrap().root(), Path::new("/elsewhere"));
        assert_eq!(directories_of(&case.given).unwrap().root(), case.directory.path());
        assert_eq!(case.load().config.data_dir, case.directory.path());
    }
}
