//! The command line. In its container infra is started without arguments; tests move what would collide.

use std::ffi::OsString;
use std::path::PathBuf;

use harbor_protocol::infra::{SOCKET_DIRECTORY, STREAM_PORT, TOKEN_FILE};

use crate::problem::Problem;

/// Where infra serves.
pub(crate) struct Arguments {
    /// `--directory`: where the unix socket is made.
    pub(crate) directory: PathBuf,
    /// `--token-file`: the token of the streaming form; absent file: that form is off.
    pub(crate) token_file: PathBuf,
    /// `--stream-port`: TCP port of the streaming form.
    pub(crate) stream_port: u16,
    /// `--install`: do not serve, but make this delivered directory the current one, and end.
    pub(crate) install: Option<PathBuf>,
    /// `--pack`: do not serve, but write this layer to standard output as an archive, and end.
    pub(crate) pack: Option<PathBuf>,
    /// `--unpack`: do not serve, but write the archive on standard input into this layer, and end.
    pub(crate) unpack: Option<PathBuf>,
    /// `--empty`: do not serve, but remove all that is in this directory, and end.
    pub(crate) empty: Option<PathBuf>,
    /// `--keep`: do nothing until it is asked to end, for the sake of the image, named here, that its container is made of.
    pub(crate) keep: bool,
}

impl Arguments {
    /// Reads `--name value` pairs.
    pub(crate) fn parse(mut words: impl Iterator<Item = OsString>) -> Result<Self, Problem> {
        let mut parsed = Self {
            directory: PathBuf::from(SOCKET_DIRECTORY),
            token_file: PathBuf::from(TOKEN_FILE),
            stream_port: STREAM_PORT,
            install: None,
            pack: None,
            unpack: None,
            empty: None,
            keep: false,
        };
        while let Some(name) = words.next() {
            let value = words.next().ok_or_else(|| Problem::new(format!("{} needs a value", name.display())))?;
            match name.to_str() {
                Some("--directory") => parsed.directory = PathBuf::from(value),
                Some("--token-file") => parsed.token_file = PathBuf::from(value),
                Some("--install") => parsed.install = Some(PathBuf::from(value)),
                Some("--pack") => parsed.pack = Some(PathBuf::from(value)),
                Some("--unpack") => parsed.unpack = Some(PathBuf::from(value)),
                Some("--empty") => parsed.empty = Some(PathBuf::from(value)),
                Some("--keep") => parsed.keep = true,
                Some("--stream-port") => parsed.stream_port = port(&value)?,
                _ => return Err(Problem::new(format!("unknown argument {}", name.display()))),
            }
        }
        Ok(parsed)
    }
}

fn port(value: &OsString) -> Result<u16, Problem> {
    let number = value.to_str().and_then(|text| text.parse().ok()).filter(|&port| port != 0);
    number.ok_or_else(|| Problem::new(format!("{} is not a port", value.display())))
}
