//! The table of keys as Markdown, for documents.

use std::fmt::Write as _;

use super::keys::{DefaultValue, KEYS, Standing};

/// One row per key: name, environment variable, flag, default, meaning.
pub(crate) fn markdown() -> String {
    let mut text =
        String::from("| Key | Environment | Flag of `harbor up` | Default | Meaning |\n|---|---|---|---|---|\n");
    for key in KEYS {
        let flag = key.flag().map_or_else(String::new, |flag| format!("`--{flag}`"));
        let default = match key.default {
            DefaultValue::Is(value) => format!("`{value}`"),
            DefaultValue::Unset => "unset".to_owned(),
            DefaultValue::Generated(_) => "generated at first start".to_owned(),
            DefaultValue::DataDirectory => "`~/.local/share/harbor`, for root `/var/lib/harbor`".to_owned(),
        };
        let meaning = match key.standing {
            Standing::Used => key.meaning.to_owned(),
            Standing::Awaited(part) => format!("{} Without effect until {part} is built.", key.meaning),
            Standing::Replaced(by) => format!("Accepted, without effect: {by}."),
        };
        let (name, env) = (key.name, key.env());
        // writing to a String cannot fail
        _ = writeln!(text, "| `{name}` | `{env}` | {flag} | {default} | {meaning} |");
    }
    text
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;

    /// The checked-in reference, and README.md where it shows the table between the same markers.
    #[test]
    fn documents_show_the_table_in_force() {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        let (begin, end) = ("<!-- configuration keys: begin -->\n", "<!-- configuration keys: end -->");
        let section = |path: &Path| {
            let text = fs::read_to_string(path).ok()?;
            let section = text.split_once(begin)?.1.split_once(end)?.0.to_owned();
            Some(section)
        };
        let own = section(&here.join("configuration.md")).expect("crates/harbor/configuration.md has the markers");
        assert_eq!(own, markdown(), "write the output of `harbor config markdown` between the markers");
        if let Some(shown) = section(&here.join("../../README.md")) {
            assert_eq!(shown, markdown());
        }
    }
}
