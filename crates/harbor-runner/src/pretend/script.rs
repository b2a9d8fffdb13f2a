//! What a pretend engine is told to do otherwise than well.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use harbor_model::ids::SandboxId;

use crate::error::EngineError;

/// A verb of [`crate::Engine`] that can be scripted. `find` and the part of `list` that is about one sandbox are one verb.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verb {
    /// `find`, and what `list` does for each sandbox.
    Look,
    /// `list` as a whole.
    List,
    /// `reserve`.
    Reserve,
    /// `create`.
    Create,
    /// `remake`.
    Remake,
    /// `start`.
    Start,
    /// `configure`.
    Configure,
    /// `pause`.
    Pause,
    /// `sleep`.
    Sleep,
    /// `wake` of one that sleeps. What it takes is how much later than the toolbox the engine answers.
    Wake,
    /// `resize`.
    Resize,
    /// `save`.
    Save,
    /// `stop`.
    Stop,
    /// `remove`.
    Remove,
    /// `remove_volume`.
    RemoveVolume,
    /// `image`.
    Image,
    /// `keep_images`.
    KeepImages,
    /// `pull`.
    Pull,
    /// `build`.
    Build,
}

/// How one call goes.
#[derive(Debug)]
pub enum Act {
    /// It takes this long, and then goes well.
    Slow(Duration),
    /// It fails at once, and nothing was done.
    Fail(EngineError),
    /// Nothing is done and nothing is answered: it fails at its deadline.
    Hang,
    /// It is done at once, and answered after this long.
    Late(Duration),
    /// It is done, and the answer never arrives: it fails at its deadline.
    Lost,
}

/// One call of a verb.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call {
    /// The verb.
    pub verb: Verb,
    /// The sandbox that it was about, if it was about one.
    pub sandbox: Option<SandboxId>,
}

/// What is scripted, and what was called.
#[derive(Debug, Default)]
pub(super) struct Script {
    /// For the next calls, in order; those for one sandbox go before those for any.
    next: HashMap<(Verb, Option<SandboxId>), VecDeque<Act>>,
    /// What each call of a verb takes by itself.
    pub(super) usual: HashMap<Verb, Duration>,
    pub(super) calls: Vec<Call>,
    /// Calls of a verb under way, and the most that ever were at once.
    under_way: HashMap<Verb, (usize, usize)>,
}

impl Script {
    pub(super) fn add(&mut self, verb: Verb, sandbox: Option<SandboxId>, act: Act) {
        self.next.entry((verb, sandbox)).or_default().push_back(act);
    }

    pub(super) fn forget(&mut self) {
        self.next.clear();
    }

    /// Notes a call that begins; what is scripted for it, and what it takes by itself.
    pub(super) fn begin(&mut self, call: Call) -> (Option<Act>, Duration) {
        self.calls.push(call);
        let (now, most) = self.under_way.entry(call.verb).or_default();
        *now += 1;
        *most = (*most).max(*now);
        let mut take = |sandbox| self.next.get_mut(&(call.verb, sandbox)).and_then(VecDeque::pop_front);
        let own = call.sandbox.and_then(|id| take(Some(id)));
        let act = own.or_else(|| take(None));
        (act, self.usual.get(&call.verb).copied().unwrap_or_default())
    }

    pub(super) fn end(&mut self, verb: Verb) {
        if let Some((now, _)) = self.under_way.get_mut(&verb) {
            *now -= 1;
        }
    }

    pub(super) fn most_at_once(&self, verb: Verb) -> usize {
        self.under_way.get(&verb).map_or(0, |(_, most)| *most)
    }
}
