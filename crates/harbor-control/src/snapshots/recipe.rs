//! Dockerfiles that callers send: what they are called, and what they say (contract, control-plane §5.4).

use std::fmt::Write as _;

use harbor_model::dockerfiles::{Instruction, instructions};
use harbor_model::images::{Recipe, is_own};
use sha2::{Digest as _, Sha256};

use crate::Error;

/// Instructions that no Dockerfile may have here.
const REFUSED: &[(&str, &str)] =
    &[("ADD", "the engine itself would fetch what it names, within this machine's network; use RUN with curl or git")];

/// The longest Dockerfile, in bytes.
const LONGEST: usize = 256 << 10;

/// The recipe that a Dockerfile is; 400 where it cannot be one.
pub(crate) fn of(dockerfile: String) -> Result<Recipe, Error> {
    check(&dockerfile).map_err(Error::invalid)?;
    Ok(Recipe { reference: reference(&dockerfile), dockerfile })
}

/// The Dockerfile that is this image and nothing else.
pub(crate) fn from_image(reference: &str) -> Result<Recipe, Error> {
    let allowed = |character: char| character.is_ascii_alphanumeric() || "_.-:/@".contains(character);
    if reference.is_empty() || !reference.chars().all(allowed) {
        let shown: String = reference.chars().take(64).collect();
        return Err(Error::invalid(format!("image '{}' cannot be the name of an image", shown.escape_default())));
    }
    of(format!("FROM {reference}\n"))
}

fn check(text: &str) -> Result<(), String> {
    if text.len() > LONGEST {
        return Err(format!("dockerfileContent must not be longer than {} KiB", LONGEST >> 10));
    }
    if text.contains('\0') {
        return Err("dockerfileContent holds a NUL character".to_owned());
    }
    let instructions = instructions(text);
    let mut bases = instructions.iter().filter(|one| one.word == "FROM" && !one.rest.is_empty()).peekable();
    if bases.peek().is_none() {
        return Err("dockerfileContent names no image: it needs a line FROM".to_owned());
    }
    for (word, why) in REFUSED {
        let is_it = |one: &Instruction| {
            one.word == *word || one.word == "ONBUILD" && one.rest.to_ascii_uppercase().starts_with(word)
        };
        if instructions.iter().any(is_it) {
            return Err(format!("{word} is refused: {why}"));
        }
    }
    match bases.find_map(|base| base.rest.split_whitespace().find(|word| is_own(word))) {
        Some(own) => Err(format!("FROM {own}: harbor made that image for somebody; use its Dockerfile itself")),
        None => Ok(()),
    }
}

/// What the image of a Dockerfile is called: the same for the same text (contract, control-plane §5.4).
fn reference(dockerfile: &str) -> String {
    let mut name = "daytona-".to_owned();
    for byte in Sha256::digest(dockerfile) {
        let _ = write!(name, "{byte:02x}"); // a String takes everything
    }
    name + ":daytona"
}

/// What the last `ENTRYPOINT` says, `sleep infinity` without one (contract, control-plane §5.4).
pub(crate) fn entrypoint(recipe: &Recipe) -> Vec<String> {
    let instructions = instructions(&recipe.dockerfile);
    let mut said = instructions.iter().filter(|one| one.word == "ENTRYPOINT").map(|one| &*one.rest);
    let words: Vec<String> = match said.next_back() {
        None => Vec::new(),
        Some(list) if list.starts_with('[') => serde_json::from_str(list).unwrap_or_default(),
        Some(line) => ["/bin/sh", "-c", line].map(str::to_owned).into(),
    };
    if words.is_empty() { ["sleep", "infinity"].map(str::to_owned).into() } else { words }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recipe_has_the_name_that_clients_compute() {
        // printf 'FROM debian:12\n' | sha256sum
        assert_eq!(
            reference("FROM debian:12\n"),
            "daytona-89c354c6a7d7d29fd6b01d527cdc9832aae244b1727da1521ad792cd69ee2be5:daytona"
        );
    }

    #[test]
    fn a_dockerfile_names_an_image() {
        assert!(check("ARG A=1\n from debian:12").is_ok());
        for line in ["ADD http://127.0.0.1/x /x", "add x /x", "ONBUILD add x /x"] {
            assert!(check(&format!("FROM a\n{line}\n")).unwrap_err().contains("is refused"), "{line}");
        }
        for text in ["", "RUN true", "# FROM debian:12", "FROM a\nRUN \0", &"FROM a\n".repeat(100_000)] {
            assert!(check(text).is_err(), "{}", &text[..text.len().min(40)]);
        }
    }

    #[test]
    fn the_last_entrypoint_counts() {
        for (dockerfile, words) in [
            ("FROM a", vec!["sleep", "infinity"]),
            ("FROM a\nENTRYPOINT [\"x\"]\nentrypoint [ \"a b\" , \"\\\"c\\\"\" ]\n", vec!["a b", "\"c\""]),
            ("FROM a\nENTRYPOINT run \\\n  me", vec!["/bin/sh", "-c", "run   me"]),
            ("FROM a\nENTRYPOINT [\"x\"]\nENTRYPOINT []", vec!["sleep", "infinity"]),
        ] {
            assert_eq!(entrypoint(&of(dockerfile.to_owned()).unwrap()), words, "{dockerfile}");
        }
    }
}
