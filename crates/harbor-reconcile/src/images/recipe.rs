//! What goes to the engine for a build: the user's Dockerfile, in which every stage has harbor's label and the host's own
//! certificate authorities.

use std::collections::HashMap;
use std::io;

use bytes::Bytes;
use harbor_model::dockerfiles::instructions;
use harbor_runner::Context;

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
    /// The build context of this Dockerfile.
    pub(super) fn context(&self, dockerfile: &str) -> Context {
        let archive = self.archive(dockerfile).map(Bytes::from);
        Box::pin(futures_util::stream::iter([archive]))
    }

    fn archive(&self, dockerfile: &str) -> io::Result<Vec<u8>> {
        let mut archive = tar::Builder::new(Vec::new());
        append(&mut archive, "Dockerfile", with_lines(dockerfile, &self.of_every_stage()).as_bytes())?;
        if let Some(Authorities { added, bundle }) = &self.authorities {
            append(&mut archive, ".harbor/bundle.crt", bundle)?;
            for (name, content) in added {
                append(&mut archive, &format!(".harbor/authorities/{name}"), content)?;
            }
        }
        archive.into_inner()
    }

    /// The lines with which every stage begins. None of them runs anything: the stage may have nothing that could.
    fn of_every_stage(&self) -> String {
        let mut lines = self.label.as_ref().map(|label| format!("LABEL {label}\n")).unwrap_or_default();
        if self.authorities.is_some() {
            let variables: Vec<String> = VARIABLES.iter().map(|name| format!("{name}={BUNDLE}")).collect();
            let copies =
                [format!("COPY .harbor/authorities/ {AUTHORITIES}"), format!("COPY .harbor/bundle.crt {BUNDLE}")];
            lines += &[copies.join("\n"), format!("ENV {}\n", variables.join(" "))].join("\n");
        }
        lines
    }
}

fn append(archive: &mut tar::Builder<Vec<u8>>, name: &str, content: &[u8]) -> io::Result<()> {
    let mut header = tar::Header::new_gnu();
    header.set_mode(0o644);
    header.set_size(content.len() as u64);
    archive.append_data(&mut header, name, content)
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
    use std::io::Read as _;

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
    fn without_any_the_context_is_the_dockerfile_alone() {
        let files = |builder: &Builder| {
            let archive = builder.archive("FROM a\n").unwrap();
            let mut archive = tar::Archive::new(&archive[..]);
            let entries = archive.entries().unwrap().map(|entry| {
                let mut entry = entry.unwrap();
                let mut content = String::new();
                entry.read_to_string(&mut content).unwrap();
                (entry.path().unwrap().display().to_string(), content)
            });
            entries.collect::<Vec<_>>()
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
