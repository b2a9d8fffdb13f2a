//! Images that organizations ask for: pulled by reference, or built from a Dockerfile. Snapshots and sandboxes wait for
//! them.

use crate::Timestamp;
use crate::ids::{ImageId, OrganizationId};

/// An image that somebody asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WantedImage {
    /// Its id.
    pub id: ImageId,
    /// Who asked for it.
    pub organization: OrganizationId,
    /// What the engine calls it; for one that is built, the name of its recipe (contract, control-plane §5.4).
    pub reference: String,
    /// The Dockerfile that it is built from; `None`: it is pulled.
    pub dockerfile: Option<String>,
    /// The uploads of its organization that the Dockerfile copies from.
    pub contexts: Vec<String>,
    /// Where it stands.
    pub state: ImageState,
    /// Why it could not be had.
    pub error: Option<String>,
    /// The id that the engine gives it: under its reference there may be another one later.
    pub engine_id: Option<String>,
    /// Its size in bytes.
    pub size_bytes: Option<u64>,
    /// When it was first asked for.
    pub created_at: Timestamp,
    /// When it last went on.
    pub updated_at: Timestamp,
}

/// A Dockerfile, and what it may copy from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dockerfile {
    /// Its text.
    pub text: String,
    /// Names of uploads of its organization, as clients make them of what they upload (contract, edges §4.4).
    pub contexts: Vec<String>,
}

impl From<String> for Dockerfile {
    fn from(text: String) -> Self {
        Self { text, contexts: Vec::new() }
    }
}

/// How an image is built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recipe {
    /// What the image is called: the same for the same recipe (contract, control-plane §5.4).
    pub reference: String,
    /// The Dockerfile.
    pub dockerfile: String,
    /// The uploads of its organization that the Dockerfile copies from, sorted.
    pub contexts: Vec<String>,
}

/// Where an image stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ImageState {
    /// Asked for.
    Pending,
    /// Being pulled or built.
    UnderWay,
    /// On the engine when it was last asked for.
    Ready,
    /// It could not be had.
    Failed,
}

impl ImageState {
    /// Every state.
    pub const ALL: &[Self] = &[Self::Pending, Self::UnderWay, Self::Ready, Self::Failed];

    /// A word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::UnderWay => "under way",
            Self::Ready => "ready",
            Self::Failed => "failed",
        }
    }

    /// The state with this word.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|state| state.word() == word)
    }
}

impl WantedImage {
    /// One that nobody has asked for before.
    pub fn new(organization: OrganizationId, reference: String, recipe: Option<&Recipe>, at: Timestamp) -> Self {
        Self {
            id: ImageId::random(),
            organization,
            reference,
            dockerfile: recipe.map(|recipe| recipe.dockerfile.clone()),
            contexts: recipe.map(|recipe| recipe.contexts.clone()).unwrap_or_default(),
            state: ImageState::Pending,
            error: None,
            engine_id: None,
            size_bytes: None,
            created_at: at,
            updated_at: at,
        }
    }

    /// Whether it is still to be had.
    pub fn is_awaited(&self) -> bool {
        matches!(self.state, ImageState::Pending | ImageState::UnderWay)
    }

    /// Somebody asks for it: what was had or failed before is looked for again, what is under way goes on.
    pub fn ask_again(&mut self, at: Timestamp) {
        if !self.is_awaited() {
            (self.state, self.error, self.updated_at) = (ImageState::Pending, None, at);
        }
    }

    /// It is being pulled or built from now on.
    pub fn begin(&mut self, at: Timestamp) {
        if self.state == ImageState::Pending {
            (self.state, self.updated_at) = (ImageState::UnderWay, at);
        }
    }

    /// It was had, as the engine's id and a size in bytes, or could not be, for this reason.
    pub fn receive(&mut self, outcome: Result<(String, u64), String>, at: Timestamp) {
        if !self.is_awaited() {
            return;
        }
        self.updated_at = at;
        match outcome {
            Ok((id, bytes)) => {
                self.state = ImageState::Ready;
                (self.engine_id, self.size_bytes) = (Some(id), Some(bytes));
            }
            Err(reason) => (self.state, self.error) = (ImageState::Failed, Some(reason)),
        }
    }
}

/// Whether `text` can be asked for: an image with a tag that is not `latest`, or with a digest (contract, control-plane §6.2).
pub fn check_reference(text: &str) -> Result<(), String> {
    let (name, digest) = text.split_once('@').map_or((text, None), |(name, digest)| (name, Some(digest)));
    if digest.is_some_and(|digest| !is_digest(digest)) {
        return Err("Invalid digest format. Must be image@sha256:64_hex_characters".to_owned());
    }
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-:/".contains(&byte);
    if name.is_empty() || name.len() > LONGEST_REFERENCE || !name.bytes().all(allowed) {
        let rule = "it is up to 255 letters, digits, dots, colons, dashes, underscores and slashes";
        return Err(format!("Invalid image name format: {rule}"));
    }
    if is_own(text) {
        return Err(format!("{text} is an image that harbor made for somebody: use the snapshot or Dockerfile itself"));
    }
    // a colon before the last slash belongs to a registry's port
    let last = name.rsplit_once('/').map_or(name, |(_, last)| last);
    match (last.split_once(':'), digest) {
        (Some((_, "latest")), None) => Err("Images with tag \":latest\" are not allowed".to_owned()),
        (Some((_, "")), _) | (None, None) => {
            Err("Image name must include a tag (e.g., ubuntu:22.04) or digest (@sha256:...)".to_owned())
        }
        _ => Ok(()),
    }
}

/// Whether only harbor uses images of this name: what it built for somebody, and files of a sandbox that it made anew.
pub fn is_own(reference: &str) -> bool {
    is_recipe(reference) || reference.starts_with("harbor/kept:")
}

/// Whether an image of this name was built from a recipe.
pub fn is_recipe(reference: &str) -> bool {
    let hex = reference.strip_prefix("daytona-").and_then(|rest| rest.strip_suffix(":daytona"));
    hex.is_some_and(|hex| hex.len() == 64 && hex.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

/// The longest reference without its digest, in bytes.
const LONGEST_REFERENCE: usize = 255;

/// Whether `text` is a SHA-256 digest as references end with one.
pub(crate) fn is_digest(text: &str) -> bool {
    text.strip_prefix("sha256:").is_some_and(|hex| hex.len() == 64 && hex.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_name_a_version() {
        let digest = format!("debian@sha256:{}", "0".repeat(64));
        for text in ["debian:12", "localhost:5000/a/b:1.0", "daytonaio/sandbox:0.4.3", &digest] {
            assert_eq!(check_reference(text), Ok(()), "{text}");
        }
        let own = format!("daytona-{}:daytona", "0".repeat(64));
        for text in [&own, "harbor/kept:x"] {
            assert!(check_reference(text).unwrap_err().contains("harbor made"), "{text}");
        }
        for text in ["", "debian", "debian:", "debian:latest", "localhost:5000/a", "debian@sha256:ab", "a b:1", "ü:1"]
        {
            assert!(check_reference(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_under_way_is_not_begun_again() {
        let at = Timestamp::UNIX_EPOCH;
        let later = at + std::time::Duration::from_secs(1);
        let mut image = WantedImage::new(OrganizationId::random(), "a:1".to_owned(), None, at);
        image.begin(later);
        assert_eq!((image.state, image.updated_at), (ImageState::UnderWay, later));
        image.ask_again(later + std::time::Duration::from_secs(1));
        assert_eq!((image.state, image.updated_at), (ImageState::UnderWay, later));
        image.receive(Err("no".to_owned()), later);
        assert_eq!((image.state, image.error.as_deref()), (ImageState::Failed, Some("no")));
        image.receive(Ok(("late".to_owned(), 1)), later);
        assert_eq!((image.state, image.engine_id.as_deref()), (ImageState::Failed, None));
        image.ask_again(later);
        assert_eq!((image.state, image.error), (ImageState::Pending, None));
    }
}
