//! What goes to the engine for a build: the user's Dockerfile, in which every stage has harbor's label and the host's own
//! certificate authorities.

use std::collections::HashMap;

use harbor_model::dockerfiles::instructions;

use super::context::OWN;

/// Where an image keeps authorities that its `update-ca-certificates` takes in.
const AUTHORITIES: &str = "/usr/local/share/ca-certificates/";

/// All authorities in one file, for programs that are told so by a variable.
const BUNDLE: &str = "/etc/ssl/certs/harbor-host.crt";

/// Variables by which programs are told of [`BUNDLE`].
const VARIABLES: [&str; 6] =
    ["SSL_CERT_FILE", "CURL_CA_BUNDLE", "GIT_SSL_CAINFO", "NODE_EXTRA_CA_CERTS", "PIP_CERT", "REQUESTS_CA_BUNDLE"];

/// What goes into images that are built for users.
#[derive(Clone, Debug, Default)]
pub struct Builder {
    /// Build arguments that every build gets, such as the address of a proxy.
    pub arguments: HashMap<String, String>,
    /// A label of every stage, as `name=value`, by which what a build leaves is found.
    pub label: Option<String>,
    /// The host's own certificate authorities; `None`: it has none beside the usual ones.
    pub authorities: Option<Authorities>,
}

/// Certificate authorities that an administrator added to the host.
#[derive(Clone, Debug)]
pub struct Authorities {
    /// The added ones: file names and their content, PEM.
    pub added: Vec<(String, Vec<u8>)>,
    /// The usual ones and the added ones in one file, PEM.
    pub bundle: Vec<u8>,
}

impl Builder {
    /// The files of harbor's own in the build context of this Dockerfile.
    pub(super) fn files(&self, dockerfile: &str) -> Vec<(String, Vec<u8>)> {
        let text = with_lines(dockerfile, &self.of_every_stage());
        let mut files = vec![("Dockerfile".to_owned(), text.into_bytes())];
        if let Some(Authorities { added, bundle }) = &self.authorities {
            files.push((format!("{OWN}/bundle.crt"), bundle.clone()));
            let added = added.iter().map(|(name, content)| (format!("{OWN}/authorities/{name}"), content.clone()));
            files.extend(added);
        }
        files
    }

    /// The lines with which every stage begins. None of them runs anything: the stage may have nothing that could.
    fn of_every_stage(&self) -> String {
        let mut lines = self.label.as_ref().map(|label| format!("LABEL {label}\n")).unwrap_or_default();
        if self.authorities.is_some() {
            let variables: Vec<String> = VARIABLES.iter().map(|name| format!("{name}={BUNDLE}")).collect();
            let copies = [format!("COPY {OWN}/authorities/ {AUTHORITIES}"), format!("COPY {OWN}/bundle.crt {BUNDLE}")];
            lines += &[copies.join("\n"), format!("ENV {}\n", variables.join(" "))].join("\n");
        }
        lines
    }
}

/// The Dockerfile in which every stage begins with `lines`.
fn with_lines(dockerfile: &str, lines: &str) -> String {
    let instructions = instructions(dockerfile);
    let stages: Vec<usize> = instructions.iter().filter(|one| one.word == "FROM").map(|one| one.last_line).collect();
    let mut out = String::new();
    for (number, line) in dockerfile.lines().enumerate() {
        out.push_str(line);
        out.push('\n');
        if stages.contains(&number) {
            out.push_str(lines);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_stage_begins_so_and_nothing_else_changes() {
        let dockerfile =
            "# syntax=x\nARG A=1\nFROM a AS b\nRUN echo \\\n  FROM nowhere\nfrom \\\n  b\nENTRYPOINT [\"x\"]";
        assert_eq!(
            with_lines(dockerfile, "+\n"),
            "# syntax=x\nARG A=1\nFROM a AS b\n+\nRUN echo \\\n  FROM nowhere\nfrom \\\n  b\n+\nENTRYPOINT [\"x\"]\n"
        );
    }

    #[test]
    fn without_any_it_is_the_dockerfile_alone() {
        let files = |builder: &Builder| {
            let text = |(name, content)| (name, String::from_utf8(content).unwrap());
            builder.files("FROM a\n").into_iter().map(text).collect::<Vec<(String, String)>>()
        };
        assert_eq!(files(&Builder::default()), [("Dockerfile".to_owned(), "FROM a\n".to_owned())]);
        let labelled = Builder { label: Some("a=b".to_owned()), ..Builder::default() };
        assert_eq!(files(&labelled), [("Dockerfile".to_owned(), "FROM a\nLABEL a=b\n".to_owned())]);
        let authorities = Authorities { added: vec![("x.crt".to_owned(), b"X".to_vec())], bundle: b"all".to_vec() };
        let names = files(&Builder { authorities: Some(authorities), ..Builder::default() });
        let names: Vec<&str> = names.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["Dockerfile", ".harbor/bundle.crt", ".harbor/authorities/x.crt"]);
    }
}
