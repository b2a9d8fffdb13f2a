//! Git's smart protocol over HTTP(S).
//!
//! Guarantees: a login goes to the host it is for, whatever is redirected where; only the first request of a command
//! follows redirects, and all others go where that one ended; failures speak git's words.

use std::fs::File;
use std::io::{self, Read, Seek as _, SeekFrom, Write};
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use git2::transport::{Service, SmartSubtransport, SmartSubtransportStream, Transport};
use git2::{Config, Error, Remote};
use ureq::http::{Response, StatusCode};
use ureq::{Body, BodyReader, SendBody};

use super::address::Address;
use super::client::Client;
use crate::login::{self, Login};

/// Most redirects of the first request.
const MOST_REDIRECTS: usize = 20;

/// A longer request is kept in a file that has no name, so that it can be sent again with a login.
const IN_MEMORY: usize = 1 << 20;

/// Most bytes of a refusal's text that are passed on.
const MOST_TEXT: u64 = 1000;

/// What libgit2 calls for an address of the web.
pub(super) fn transport(remote: &Remote<'_>) -> Result<Transport, Error> {
    Transport::smart(remote, true, Web { shared: Arc::default() })
}

struct Web {
    shared: Arc<Mutex<Option<Site>>>,
}

/// Where a command speaks to, found by its first request.
struct Site {
    client: Client,
    /// The address as the caller gave it, without user and password: what messages name.
    named: String,
    base: Address,
    login: Option<Login>,
}

impl SmartSubtransport for Web {
    fn action(&self, url: &str, action: Service) -> Result<Box<dyn SmartSubtransportStream>, Error> {
        let mut site = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        let site = match &mut *site {
            Some(site) => site,
            none => none.insert(Site::new(url)?),
        };
        let (service, first) = match action {
            Service::UploadPackLs => ("git-upload-pack", true),
            Service::UploadPack => ("git-upload-pack", false),
            Service::ReceivePackLs => ("git-receive-pack", true),
            Service::ReceivePack => ("git-receive-pack", false),
        };
        let answer = if first { Some(site.discover(service)?) } else { None };
        Ok(Box::new(Exchange { shared: Arc::clone(&self.shared), service, request: Spool::default(), answer }))
    }

    fn close(&self) -> Result<(), Error> {
        Ok(())
    }
}

/// A request that is written and then answered.
struct Exchange {
    shared: Arc<Mutex<Option<Site>>>,
    service: &'static str,
    request: Spool,
    answer: Option<BodyReader<'static>>,
}

impl Write for Exchange {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.request.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Read for Exchange {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.answer.is_none() {
            let mut site = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
            let site = site.as_mut().ok_or(io::ErrorKind::NotConnected)?;
            let answer = site
                .post(self.service, &mut self.request)
                .map_err(|error| io::Error::other(error.message().to_owned()))?;
            self.answer = Some(answer);
        }
        self.answer.as_mut().map_or(Ok(0), |answer| answer.read(buffer))
    }
}

impl Site {
    fn new(url: &str) -> Result<Self, Error> {
        let base = Address::parse(url).ok_or_else(|| unable(url, "the address is malformed"))?;
        let client = Client::new(&settings()?, &base.scheme);
        Ok(Self { client, named: base.bare(), base, login: None })
    }

    /// Asks what the remote has, following redirects, with a login if it wants one.
    fn discover(&mut self, service: &str) -> Result<BodyReader<'static>, Error> {
        let suffix = format!("/info/refs?service={service}");
        for _ in 0..MOST_REDIRECTS {
            let url = format!("{}{suffix}", self.base.bare().trim_end_matches('/'));
            let answer = self.send(&url, None)?;
            if !answer.status().is_redirection() {
                return self.advertisement(answer, service);
            }
            let to = self.redirected(&answer, &suffix)?;
            if (&to.scheme, &to.authority) != (&self.base.scheme, &self.base.authority) {
                self.login = None;
            }
            if to.scheme != self.base.scheme {
                self.client = Client::new(&settings()?, &to.scheme);
            }
            self.base = to;
        }
        Err(unable(&self.named, "too many redirects"))
    }

    /// Where an answer redirects to. What stands before the host there is not a login, and nothing encrypted goes on
    /// in the clear.
    fn redirected(&self, answer: &Response<Body>, suffix: &str) -> Result<Address, Error> {
        let location = answer.headers().get("location").and_then(|value| value.to_str().ok()).unwrap_or_default();
        let to = if location.starts_with('/') {
            format!("{}://{}{location}", self.base.scheme, self.base.authority)
        } else {
            location.to_owned()
        };
        let to = to.strip_suffix(suffix).and_then(Address::parse);
        let allowed = |to: &Address| to.scheme == "https" || (to.scheme == "http" && self.base.scheme == "http");
        let to = to.filter(allowed).map(|to| Address { username: None, password: None, ..to });
        to.ok_or_else(|| unable(&self.named, &format!("unable to update url base from redirection: {location}")))
    }

    fn advertisement(&self, answer: Response<Body>, service: &str) -> Result<BodyReader<'static>, Error> {
        let answer = self.accepted(answer)?;
        let expected = format!("application/x-{service}-advertisement");
        let kind = answer.headers().get("content-type").and_then(|value| value.to_str().ok()).unwrap_or_default();
        if kind.split(';').next().unwrap_or_default().trim() != expected {
            return Err(fatal(&format!("{}/info/refs not valid: is this a git repository?", self.named)));
        }
        Ok(answer.into_body().into_reader())
    }

    fn post(&mut self, service: &str, request: &mut Spool) -> Result<BodyReader<'static>, Error> {
        let url = format!("{}/{service}", self.base.bare().trim_end_matches('/'));
        let answer = self.send(&url, Some((service, request)))?;
        Ok(self.accepted(answer)?.into_body().into_reader())
    }

    /// Sends a request, and once more with a login when the answer is that one is needed.
    fn send(&mut self, url: &str, mut post: Option<(&str, &mut Spool)>) -> Result<Response<Body>, Error> {
        let answer = self.attempt(url, &mut post)?;
        if answer.status() != StatusCode::UNAUTHORIZED || self.login.is_some() {
            return Ok(answer);
        }
        let Address { scheme, username, password, authority, .. } = &self.base;
        self.login = match (username, password) {
            (Some(username), Some(password)) => Some(Login { username: username.clone(), password: password.clone() }),
            _ => login::find(scheme, authority, username.as_deref()),
        };
        if self.login.is_none() {
            let place = format!("{scheme}://{authority}");
            return Err(fatal(&format!("could not read Username for '{place}': terminal prompts disabled")));
        }
        self.attempt(url, &mut post)
    }

    fn attempt(&self, url: &str, post: &mut Option<(&str, &mut Spool)>) -> Result<Response<Body>, Error> {
        let authorization = self.login.as_ref().map(|Login { username, password }| {
            format!("Basic {}", BASE64_STANDARD.encode(format!("{username}:{password}")))
        });
        let own = self.client.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let headers: Vec<_> = own.chain(authorization.iter().map(|value| ("authorization", value.as_str()))).collect();
        let sent = match post {
            None => {
                let request = self.client.agent.get(url).header("pragma", "no-cache");
                headers.iter().fold(request, |request, (name, value)| request.header(*name, *value)).call()
            }
            Some((service, spool)) => {
                let request = self.client.agent.post(url);
                let request = request.header("content-type", format!("application/x-{service}-request"));
                let request = request.header("accept", format!("application/x-{service}-result"));
                let request = request.header("content-length", spool.length().to_string());
                let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
                let mut body = spool.reader().map_err(|error| unable(&self.named, &error.to_string()))?;
                request.send(SendBody::from_reader(&mut body))
            }
        };
        sent.map_err(|error| {
            let mut reason = error.to_string();
            if let Some(lack) = self.client.lack.as_ref().filter(|_| reason.contains("certificate")) {
                reason = format!("{reason} ({lack})");
            }
            unable(&self.named, &reason)
        })
    }

    /// A successful answer; any other in git's words, with the text that came with it.
    fn accepted(&self, answer: Response<Body>) -> Result<Response<Body>, Error> {
        let status = answer.status();
        if status == StatusCode::OK {
            return Ok(answer);
        }
        let named = &self.named;
        let kind = answer.headers().get("content-type").and_then(|value| value.to_str().ok()).unwrap_or_default();
        if kind.starts_with("text/plain") {
            let mut text = String::new();
            // Whatever of it can be read.
            let _ = answer.into_body().into_reader().take(MOST_TEXT).read_to_string(&mut text);
            text.lines().for_each(|line| eprintln!("remote: {line}"));
        }
        Err(match status {
            StatusCode::UNAUTHORIZED => fatal(&format!("Authentication failed for '{named}'")),
            StatusCode::NOT_FOUND | StatusCode::GONE => fatal(&format!("repository '{named}' not found")),
            status => unable(named, &format!("The requested URL returned error: {}", status.as_u16())),
        })
    }
}

fn settings() -> Result<Config, Error> {
    crate::config::everywhere().map_err(|failure| Error::from_str(failure.message()))
}

fn fatal(reason: &str) -> Error {
    Error::from_str(&format!("fatal: {reason}"))
}

fn unable(address: &str, reason: &str) -> Error {
    fatal(&format!("unable to access '{address}': {reason}"))
}

/// The bytes of a request.
enum Spool {
    Memory(Vec<u8>),
    File(File, u64),
}

impl Default for Spool {
    fn default() -> Self {
        Self::Memory(Vec::new())
    }
}

impl Spool {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Self::Memory(kept) = self
            && kept.len() + bytes.len() > IN_MEMORY
        {
            let mut file = tempfile::tempfile()?;
            file.write_all(kept)?;
            *self = Self::File(file, kept.len() as u64);
        }
        match self {
            Self::Memory(kept) => kept.extend_from_slice(bytes),
            Self::File(file, length) => {
                file.write_all(bytes)?;
                *length += bytes.len() as u64;
            }
        }
        Ok(bytes.len())
    }

    fn length(&self) -> u64 {
        match self {
            Self::Memory(kept) => kept.len() as u64,
            Self::File(_, length) => *length,
        }
    }

    /// All of it, from the beginning.
    fn reader(&mut self) -> io::Result<Box<dyn Read + '_>> {
        Ok(match self {
            Self::Memory(kept) => Box::new(kept.as_slice()),
            Self::File(file, _) => {
                file.seek(SeekFrom::Start(0))?;
                Box::new(&*file)
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_request_can_be_read_twice() {
        let mut spool = Spool::default();
        for _ in 0..5 {
            assert_eq!(spool.write(&vec![7; IN_MEMORY / 4]).unwrap(), IN_MEMORY / 4);
        }
        assert!(matches!(spool, Spool::File(..)));
        for _ in 0..2 {
            let mut whole = Vec::new();
            spool.reader().unwrap().read_to_end(&mut whole).unwrap();
            assert_eq!((whole.len() as u64, whole.iter().all(|&byte| byte == 7)), (spool.length(), true));
        }
    }
}
