//! What goes to the engine for a build: the user's Dockerfile, with the host's own certificate authorities in it.

use std::collections::HashMap;
use std::io;

use bytes::Bytes;
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
        let Some(Authorities { added, bundle }) = &self.authorities else {
            append(&mut archive, "Dockerfile", dockerfile.as_bytes())?;
            return archive.into_inner();
        };
        append(&mut archive, "Dockerfile", with_authorities(dockerfile).as_bytes())?;
        append(&mut archive, ".harbor/bundle.crt", bundle)?;
        for (name, content) in added {
            append(&mut archive, &format!(".harbor/authorities/{name}"), content)?;
        }
        archive.into_inner()
    }
}

fn append(archive: &mut tar::Builder<Vec<u8>>, name: &str, content: &[u8]) -> io::Result<()> {
    let mut header = tar::Header::new_gnu();
    header.set_mode(0o644);
    header.set_size(content.len() as u64);
    archive.append_data(&mut header, name, content)
}

/// The Dockerfile in which every stage begins by taking the authorities in.
fn with_authorities(dockerfile: &str) -> String {
    let variables: Vec<String> = VARIABLES.iter().map(|name| format!("{name}={BUNDLE}")).collect();
    let take = format!(
        "COPY .harbor/authorities/ {AUTHORITIES}\nCOPY .harbor/bundle.crt {BUNDLE}\nENV {}\n",
        variables.join(" ")
    );
    let mut out = String::new();
    let (mut continues, mut stage) = (false, false);
    for line in dockerfile.lines() {
        let text = line.trim();
        if !continues {
            stage = text
                .get(..5)
                .is_some_and(|word| word.eq_ignore_ascii_case("from ") || word.eq_ignore_ascii_case("from\t"));
        }
        // a comment within an instruction ends nothing
        continues = text.ends_with('\\') || continues && (text.is_empty() || text.starts_with('#'));
        out.push_str(line);
        out.push('\n');
        if stage && !continues {
            out.push_str(&take);
            stage = false;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    #[test]
    fn every_stage_takes_the_authorities_and_nothing_else_changes() {
        let dockerfile =
            "# syntax=x\nARG A=1\nFROM a AS b\nRUN echo \\\n  FROM nowhere\nfrom \\\n  b\nENTRYPOINT [\"x\"]";
        let changed = with_authorities(dockerfile);
        let kept: Vec<&str> = changed
            .lines()
            .filter(|line| !line.starts_with("COPY .harbor/") && !line.starts_with("ENV SSL_CERT_FILE="))
            .collect();
        assert_eq!(kept.join("\n"), dockerfile);
        assert_eq!(changed.matches("COPY .harbor/bundle.crt").count(), 2);
        assert!(changed.starts_with("# syntax=x\nARG A=1\nFROM a AS b\nCOPY .harbor/"), "{changed}");
        assert!(changed.contains("from \\\n  b\nCOPY .harbor/"), "{changed}");
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
        let authorities = Authorities { added: vec![("x.crt".to_owned(), b"X".to_vec())], bundle: b"all".to_vec() };
        let names = files(&Builder { authorities: Some(authorities), ..Builder::default() });
        let names: Vec<&str> = names.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["Dockerfile", ".harbor/bundle.crt", ".harbor/authorities/x.crt"]);
    }
}
