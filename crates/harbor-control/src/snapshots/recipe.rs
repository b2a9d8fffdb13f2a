//! Dockerfiles that callers send: what they are called, and what they say (contract, control-plane §5.4).

use std::path::Path;

use harbor_model::dockerfiles::{Instruction, instructions, instructions_with};
use harbor_model::hex;
use harbor_model::images::{Dockerfile, Recipe, is_own};
use sha2::{Digest as _, Sha256};

use crate::Error;

/// The longest Dockerfile, in bytes.
const LONGEST: usize = 256 << 10;

/// The most uploads that a Dockerfile copies from.
const MOST_CONTEXTS: usize = 1000;

/// The longest name of one, in bytes.
const LONGEST_CONTEXT: usize = 128;

/// The recipe that a Dockerfile is; 400 where it cannot be one.
pub(crate) fn of(dockerfile: Dockerfile) -> Result<Recipe, Error> {
    let Dockerfile { text, mut contexts } = dockerfile;
    check(&text).and_then(|()| check_contexts(&contexts)).map_err(Error::invalid)?;
    contexts.sort();
    let reference = reference(&text, &contexts);
    contexts.dedup();
    Ok(Recipe { reference, dockerfile: text, contexts })
}

/// The Dockerfile that is this image and nothing else.
pub(crate) fn from_image(reference: &str) -> Result<Recipe, Error> {
    let allowed = |character: char| character.is_ascii_alphanumeric() || "_.-:/@".contains(character);
    if reference.is_empty() || !reference.chars().all(allowed) {
        let shown: String = reference.chars().take(64).collect();
        return Err(Error::invalid(format!("image '{}' cannot be the name of an image", shown.escape_default())));
    }
    of(format!("FROM {reference}\n").into())
}

fn check_contexts(contexts: &[String]) -> Result<(), String> {
    if contexts.len() > MOST_CONTEXTS {
        return Err(format!("contextHashes must not be more than {MOST_CONTEXTS}"));
    }
    let plain = |name: &&String| {
        (1..=LONGEST_CONTEXT).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_alphanumeric())
    };
    match contexts.iter().find(|name| !plain(name)) {
        Some(_) => Err(format!("contextHashes must be 1 to {LONGEST_CONTEXT} letters and digits each")),
        None => Ok(()),
    }
}

fn check(text: &str) -> Result<(), String> {
    if text.len() > LONGEST {
        return Err(format!("dockerfileContent must not be longer than {} KiB", LONGEST >> 10));
    }
    if text.contains('\0') {
        return Err("dockerfileContent holds a NUL character".to_owned());
    }
    let bases = instructions(text);
    if !bases.iter().any(|one| one.word == "FROM" && !one.rest.is_empty()) {
        return Err("dockerfileContent names no image: it needs a line FROM".to_owned());
    }
    // engines do not agree on which lines go on: each line is looked at by itself as well
    let lines = text.lines().map(|line| {
        let line = line.trim_start_matches('\u{feff}').trim();
        let (word, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        Instruction { word: word.to_ascii_uppercase(), rest: rest.to_owned(), last_line: 0 }
    });
    let read = ['\\', '`'].map(|escape| instructions_with(text, escape));
    let all: Vec<Instruction> = lines.chain(read.into_iter().flatten()).collect();
    if all.iter().any(fetches) {
        let why =
            "the engine itself would fetch what it names, within this machine's network; use RUN with curl or git";
        return Err(format!("ADD of anything but plain names of uploaded files is refused: {why}"));
    }
    match all.iter().find_map(own) {
        Some(own) => Err(format!("{own}: harbor made that image for somebody; use its Dockerfile itself")),
        None => Ok(()),
    }
}

/// The image of harbor's own that an instruction names.
fn own(instruction: &Instruction) -> Option<&str> {
    if !["FROM", "ARG", "COPY", "ONBUILD"].contains(&&*instruction.word) {
        return None;
    }
    let words = instruction.rest.split(|character: char| character.is_whitespace() || "=\"'".contains(character));
    words.into_iter().find(|word| {
        let name = word.strip_prefix("index.").unwrap_or(word);
        let name = name.strip_prefix("docker.io/").unwrap_or(name);
        is_own(name.strip_prefix("library/").unwrap_or(name))
    })
}

/// Whether a name may be that of a git repository.
fn is_repository(name: &str) -> bool {
    Path::new(name).extension().is_some_and(|extension| extension.eq_ignore_ascii_case("git"))
}

/// Whether it is an `ADD` that may name something elsewhere. What quotes, variables and escapes come to is the engine's
/// business, so none may be there.
fn fetches(instruction: &Instruction) -> bool {
    let (word, rest) = match instruction.word.as_str() {
        "ONBUILD" => instruction.rest.split_once(char::is_whitespace).unwrap_or((&instruction.rest, "")),
        word => (word, &*instruction.rest),
    };
    // a list has its quotes around whole names
    let list = rest.trim().strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let names = list.map_or_else(|| rest.to_owned(), |list| list.replace('"', " "));
    let elsewhere = |name: &str| {
        name.contains(['$', '\\', '`', '"', '\''])
            || name.contains("://")
            || name.contains('@')
            || name.split('#').any(is_repository)
    };
    word.eq_ignore_ascii_case("ADD") && names.split([' ', '\t', ',']).any(elsewhere)
}

/// What the image of a Dockerfile is called: the same for the same text and contexts (contract, control-plane §5.4).
fn reference(dockerfile: &str, contexts: &[String]) -> String {
    format!("daytona-{}:daytona", hex(&Sha256::digest(dockerfile.to_owned() + &contexts.concat())))
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
            reference("FROM debian:12\n", &[]),
            "daytona-89c354c6a7d7d29fd6b01d527cdc9832aae244b1727da1521ad792cd69ee2be5:daytona"
        );
        // printf 'FROM debian:12\nab12cd34' | sha256sum
        let contexts = ["cd34", "ab12"].map(str::to_owned).to_vec();
        let recipe = of(Dockerfile { text: "FROM debian:12\n".to_owned(), contexts }).unwrap();
        assert_eq!(
            recipe.reference,
            "daytona-f922455fcbf2c0a058e1ca6dda9ae8cdf3ffab0787b998a6bd23c4c3bceda4a6:daytona"
        );
    }

    #[test]
    fn a_dockerfile_names_an_image() {
        assert!(check("ARG A=1\n from debian:12").is_ok());
        for line in [
            "ADD http://127.0.0.1/x /x",
            "ADD --chown=1:1 a HTTPS://x /x",
            "ONBUILD add http://x /x",
            "add htt\\p://x /x",
            "add 'http':\"//\"x /x",
            "ADD $WHERE /x",
            "ADD [\"http://x\", \"/x\"]",
            "ADD [\"htt\\u0070:/\", \"/x\"]",
            "ADD git@host:a/b /x",
            "ADD host/a.git /x",
            "RUN true \\\u{a0}\nADD http://x /x",
            "RUN true \\\\\nADD http://x /x",
            "RUN true `\nADD http://x /x",
            "RUN true \\\u{c}\nADD http://x /x",
            "AD`\nD http://x /x",
            "AD\\\nD http://x /x",
        ] {
            assert!(check(&format!("FROM a\n{line}\n")).unwrap_err().contains("is refused"), "{line}");
        }
        for line in ["ADD a b/ /x", "ADD [\"a b\", \"/x\"]", "COPY --from=0 http://x /x", "ONBUILD ADD . /x"] {
            assert_eq!(check(&format!("FROM a\n{line}\n")), Ok(()), "{line}");
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
            let recipe = of(dockerfile.to_owned().into()).unwrap();
            assert_eq!(entrypoint(&recipe), words, "{dockerfile}");
        }
    }
}
