//! Reading and editing `config.toml`.
//!
//! Guarantees: an edit keeps comments, order and everything else, replaces the file in one step, and leaves it
//! readable by its owner alone, since keys may stand in it.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

use anyhow::{Context as _, anyhow};
use figment::value::Value as Typed;
use toml_edit::{DocumentMut, Item, Table, TableLike, Value, value};

use super::keys::ConfigKey;
use super::kinds::ValueKind;
use crate::secrets::files;

/// Every value of the file at `path` by dotted key, as text. A missing file is empty.
pub(crate) fn read(path: &Path) -> anyhow::Result<BTreeMap<String, String>> {
    let mut values = BTreeMap::new();
    flatten(parse(path)?.as_table(), "", &mut values).with_context(|| path.display().to_string())?;
    Ok(values)
}

/// Sets `key` to `text`, or removes it when `text` is empty. The error says what the value must be.
pub(crate) fn set(path: &Path, key: &ConfigKey, text: &str) -> anyhow::Result<()> {
    let mut document = parse(path)?;
    if text.is_empty() {
        remove(document.as_table_mut(), key.name);
    } else {
        let typed = key.kind.parse(text).map_err(|wanted| anyhow!("{} must be {wanted}", key.name))?;
        put(document.as_table_mut(), key.name, written(key.kind, &typed, text))?;
    }
    files::replace(path, document.to_string().as_bytes()).with_context(|| format!("cannot write {}", path.display()))
}

/// `text` as a value of `key` that does not depend on the working directory.
pub(crate) fn absolute(key: &ConfigKey, text: &str) -> anyhow::Result<String> {
    match key.kind {
        ValueKind::Path | ValueKind::DataDirectory if !text.is_empty() => {
            Ok(std::path::absolute(text)?.to_string_lossy().into_owned())
        }
        _ => Ok(text.to_owned()),
    }
}

/// `data_dir` of a file that may be wrong in every other respect.
pub(crate) fn data_dir(path: &Path) -> anyhow::Result<Option<String>> {
    let text = text(path)?;
    let of = |document: DocumentMut| document.get("data_dir")?.as_str().map(str::to_owned);
    let found = match text.parse::<DocumentMut>() {
        Ok(document) => of(document),
        // it stands before the first section, on a line that is right by itself
        Err(_) => text
            .lines()
            .take_while(|line| !line.trim_start().starts_with('['))
            .find_map(|line| of(line.parse().ok()?)),
    };
    Ok(found.filter(|directory| !directory.trim().is_empty()))
}

fn text(path: &Path) -> anyhow::Result<String> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(text),
        Err(error) if [io::ErrorKind::NotFound, io::ErrorKind::NotADirectory].contains(&error.kind()) => {
            Ok(String::new())
        }
        Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
}

fn parse(path: &Path) -> anyhow::Result<DocumentMut> {
    let text = text(path)?;
    text.parse().map_err(|error: toml_edit::TomlError| {
        let before = error.span().map_or(0, |span| span.start);
        let line = text.bytes().take(before).filter(|byte| *byte == b'\n').count() + 1;
        anyhow!("{}, line {line}: {}", path.display(), error.message())
    })
}

fn flatten(table: &dyn TableLike, prefix: &str, values: &mut BTreeMap<String, String>) -> anyhow::Result<()> {
    for (name, item) in table.iter() {
        let name = format!("{prefix}{name}");
        match item {
            Item::None => {}
            item if item.is_table_like() => {
                if let Some(nested) = item.as_table_like() {
                    flatten(nested, &format!("{name}."), values)?;
                }
            }
            Item::Value(Value::String(text)) => _ = values.insert(name, text.value().clone()),
            Item::Value(Value::Integer(number)) => _ = values.insert(name, number.value().to_string()),
            Item::Value(Value::Boolean(on)) => _ = values.insert(name, on.value().to_string()),
            _ => return Err(anyhow!("{name} must be a text, a whole number, or true or false")),
        }
    }
    Ok(())
}

fn written(kind: ValueKind, typed: &Typed, text: &str) -> Value {
    let number = || text.trim().parse::<i64>().ok().map(Value::from);
    let exact = match (kind, typed) {
        (ValueKind::Port | ValueKind::Count(..), _) => number(),
        (_, Typed::Bool(_, on)) => Some(Value::from(*on)),
        _ => None,
    };
    exact.unwrap_or_else(|| Value::from(text.trim()))
}

fn put(table: &mut Table, name: &str, new: Value) -> anyhow::Result<()> {
    let Some((section, rest)) = name.split_once('.') else {
        match table.get_mut(name).and_then(Item::as_value_mut) {
            Some(old) => {
                let decor = old.decor().clone(); // a comment behind the old value stays
                *old = new;
                *old.decor_mut() = decor;
            }
            None => _ = table.insert(name, value(new)),
        }
        return Ok(());
    };
    let nested = table.entry(section).or_insert_with(toml_edit::table);
    match nested {
        Item::Table(nested) => put(nested, rest, new),
        Item::Value(Value::InlineTable(nested)) => {
            nested.insert(rest, new);
            Ok(())
        }
        _ => Err(anyhow!("{section} is not a table in the file: correct it by hand")),
    }
}

fn remove(table: &mut dyn TableLike, name: &str) {
    match name.split_once('.') {
        None => _ = table.remove(name),
        Some((section, rest)) => {
            if let Some(nested) = table.get_mut(section).and_then(Item::as_table_like_mut) {
                remove(nested, rest);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::super::keys::find;
    use super::*;

    #[track_caller]
    fn check(before: &str, key: &str, text: &str, after: &str) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("config.toml");
        fs::write(&path, before).unwrap();
        set(&path, find(key).unwrap(), text).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), after);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn comments_and_order_stay() {
        let before = "# mine\nallow_lan = true # needed for the printer\n\n[daytona] # ports\nhost_port = 1 # busy\n";
        check(before, "daytona.host_port", "36000", &before.replace("= 1 ", "= 36000 "));
        check(before, "allow_lan", "off", &before.replace("true #", "false #"));
    }

    #[test]
    fn a_missing_section_is_made() {
        check("", "daytona.host_port", "36000", "[daytona]\nhost_port = 36000\n");
        check("", "bind", "0.0.0.0", "bind = \"0.0.0.0\"\n");
        check(
            "daytona = { host_port = 1 }\n",
            "daytona.minio_bucket",
            "bucket",
            "daytona = { host_port = 1 , minio_bucket = \"bucket\" }\n",
        );
    }

    #[test]
    fn an_empty_text_clears() {
        check(
            "[daytona]\nhost_port = 1\nminio_bucket = \"bucket\"\n",
            "daytona.host_port",
            "",
            "[daytona]\nminio_bucket = \"bucket\"\n",
        );
        check("", "daytona.host_port", "", "");
    }

    #[test]
    fn the_data_directory_is_found_in_a_wrong_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("config.toml");
        assert_eq!(data_dir(&path).unwrap(), None);
        for (text, found) in [
            ("nonsense = 1\ndata_dir = \"/data\" # big disk\n", Some("/data")),
            ("bind = \ndata_dir = \"/data\"\n[daytona\n", Some("/data")),
            ("[daytona\ndata_dir = \"/section\"\n", None),
            ("data_dir = 7\n", None),
            ("data_dir = \"\"\n", None),
        ] {
            fs::write(&path, text).unwrap();
            assert_eq!(data_dir(&path).unwrap().as_deref(), found, "{text}");
        }
    }

    #[test]
    fn a_wrong_line_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("config.toml");
        for (text, line) in [("[daytona\n", 1), ("# mine\n\nbind = \n", 3), ("a = 1\n[b]\nc = \"d\n\n", 3)] {
            fs::write(&path, text).unwrap();
            let refusal = read(&path).unwrap_err().to_string();
            assert!(refusal.contains(&format!("config.toml, line {line}: ")), "{refusal}");
        }
    }

    #[test]
    fn a_wrong_value_changes_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("config.toml");
        let refusal = set(&path, find("daytona.host_port").unwrap(), "http").unwrap_err().to_string();
        assert_eq!(refusal, "daytona.host_port must be a port number from 0 to 65535");
        assert!(!path.exists());
    }
}
