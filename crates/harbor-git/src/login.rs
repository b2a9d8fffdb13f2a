//! User name and password for a host: lent by the toolbox for this one command, or stored by the user in plain text.
//!
//! Guarantees: lent ones are read from an inherited file and told to the host they are for, and while there are any
//! nothing stored is used. They are in no argument, variable or file system.

use std::fmt::Write as _;
use std::fs::{self, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;
use std::sync::OnceLock;

use harbor_protocol::lent::{self, Lent};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use rustix::process::{DumpableBehavior, set_dumpable_behavior};

use crate::arguments::Arguments;
use crate::config;
use crate::failure::{Failure, Outcome};

/// What stays as it is in a stored address.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The same in a host and its port.
const PLAIN_HOST: &AsciiSet = &PLAIN.remove(b':').remove(b'[').remove(b']');

static LENT: OnceLock<Lent> = OnceLock::new();

/// A user name and its password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Login {
    pub(crate) username: String,
    pub(crate) password: String,
}

/// Takes what the toolbox has lent, and closes the file, so that no program started from here inherits it.
pub(crate) fn take_lent() -> Outcome {
    let Some(number) = lent::inherited() else { return Ok(()) };
    // Other processes of the sandbox's user must not look into this one.
    set_dumpable_behavior(DumpableBehavior::NotDumpable).map_err(io::Error::from)?;
    let lent = lent::take(number).ok_or_else(|| Failure::fatal("unable to read askpass response"))?;
    LENT.get_or_init(|| lent);
    Ok(())
}

/// The login for a host (with its port, if its address has one); `username` restricts what is stored.
pub(crate) fn find(scheme: &str, host: &str, username: Option<&str>) -> Option<Login> {
    if let Some(lent) = LENT.get() {
        let Lent { host: theirs, username, password } = lent.clone();
        return theirs.eq_ignore_ascii_case(host).then_some(Login { username, password });
    }
    let config = config::everywhere().ok()?;
    let helpers = config::values(&config, "credential.helper").ok()?;
    // An empty one takes back those before it.
    let from = helpers.iter().rposition(String::is_empty).map_or(0, |at| at + 1);
    if !helpers[from..].iter().any(|helper| helper == "store") {
        return None;
    }
    files().iter().find_map(|file| search(&fs::read_to_string(file).ok()?, scheme, host, username))
}

/// Where stored logins are looked for.
fn files() -> Vec<PathBuf> {
    let Some(home) = std::env::var_os("HOME").map(PathBuf::from) else { return Vec::new() };
    let other = std::env::var_os("XDG_CONFIG_HOME").map_or_else(|| home.join(".config"), PathBuf::from);
    vec![home.join(".git-credentials"), other.join("git/credentials")]
}

fn search(stored: &str, scheme: &str, host: &str, username: Option<&str>) -> Option<Login> {
    let entries = stored.lines().filter_map(Entry::parse);
    let matching = |entry: &Entry| {
        entry.scheme.eq_ignore_ascii_case(scheme)
            && entry.host.eq_ignore_ascii_case(host)
            && username.is_none_or(|username| entry.login.username == username)
    };
    entries.filter(matching).map(|entry| entry.login).next()
}

/// A line of a store: `https://user:password@host`.
#[derive(Debug, PartialEq, Eq)]
struct Entry {
    scheme: String,
    host: String,
    login: Login,
}

impl Entry {
    fn parse(line: &str) -> Option<Self> {
        let (scheme, rest) = line.trim().split_once("://")?;
        let (user, rest) = rest.split_once('@')?;
        let (username, password) = user.split_once(':')?;
        let host = rest.split('/').next().unwrap_or(rest);
        let login = Login { username: decoded(username), password: decoded(password) };
        Some(Self { scheme: scheme.to_owned(), host: decoded(host), login })
    }

    fn line(&self) -> String {
        let encoded = |text: &str| utf8_percent_encode(text, PLAIN).to_string();
        let Login { username, password } = &self.login;
        let host = utf8_percent_encode(&self.host, PLAIN_HOST);
        format!("{}://{}:{}@{host}", self.scheme, encoded(username), encoded(password))
    }
}

/// A text without percent signs that stand for bytes.
pub(crate) fn decoded(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

/// `credential-store store`: keeps the login of standard input, in place of one for the same user and host.
pub(crate) fn store(arguments: &Arguments) -> Outcome {
    if arguments.all() != ["store"] {
        return Err(Failure::usage("credentials can be stored"));
    }
    let mut input = String::new();
    io::stdin().read_to_string(&mut input)?;
    let field = |name: &str| {
        let value = input.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
        value.map(str::to_owned).ok_or_else(|| Failure::fatal(&format!("{name} is missing")))
    };
    let login = Login { username: field("username")?, password: field("password")? };
    let entry = Entry { scheme: field("protocol")?, host: field("host")?, login };
    let files = files();
    let file = files.iter().find(|file| file.exists()).or(files.first());
    let file = file.ok_or_else(|| Failure::fatal("$HOME not set"))?;
    let stored = match fs::read_to_string(file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        outcome => outcome?,
    };
    let same = |line: &str| {
        Entry::parse(line).is_some_and(|old| {
            (&old.scheme, &old.host, &old.login.username) == (&entry.scheme, &entry.host, &entry.login.username)
        })
    };
    let mut text = entry.line() + "\n";
    for line in stored.lines().filter(|line| !same(line)) {
        let _ = writeln!(text, "{line}");
    }
    // Whoever reads it meanwhile sees the old or the new one whole.
    let mut new = file.clone().into_os_string();
    new.push(".lock");
    let mut options = OpenOptions::new();
    let mut written = options.write(true).create_new(true).mode(0o600).open(&new)?;
    written.write_all(text.as_bytes())?;
    Ok(fs::rename(&new, file)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stored_lines_are_read_and_written() {
        let line = "https://a%40b:p%3Aw%2F@h:8443";
        let login = Login { username: "a@b".to_owned(), password: "p:w/".to_owned() };
        let entry = Entry { scheme: "https".to_owned(), host: "h:8443".to_owned(), login };
        assert_eq!((Entry::parse(line).as_ref(), entry.line().as_str()), (Some(&entry), line));
        for nonsense in ["", "https://h", "https://a@h", "a:b@h"] {
            assert_eq!(Entry::parse(nonsense), None, "{nonsense}");
        }
    }

    #[test]
    fn the_first_that_fits_is_taken() {
        let stored = "http://a:1@h\nhttps://a:2@h\nhttps://b:3@h\n";
        let password = |host, user| search(stored, "https", host, user).map(|login| login.password);
        assert_eq!(password("H", None).as_deref(), Some("2"));
        assert_eq!(password("h", Some("b")).as_deref(), Some("3"));
        assert_eq!((password("h", Some("c")), password("h:1", None)), (None, None));
    }
}
