//! What may happen to an installation, and any order of it.

use std::fmt;
use std::time::Duration;

use harbor_runner::pretend::{Act, Verb};
use proptest::prelude::*;

use crate::installation::refused;

/// What happens, in order; a line for each.
#[derive(Clone)]
pub(crate) struct Sequence(pub(crate) Vec<Action>);

impl fmt::Debug for Sequence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|action| write!(f, "\n  {action:?}"))
    }
}

/// Something that happens.
#[derive(Clone, Debug)]
pub(crate) enum Action {
    /// Somebody asks for a sandbox.
    Create(Wish),
    /// Somebody asks for something to be done with one of the sandboxes, and may go away before it is done.
    Ask { which: usize, request: Request, patience: Option<Duration> },
    /// A warm pool of this size is wanted; 0: none.
    Pool(u32),
    /// A program writes a mark into a file of its sandbox.
    Write(usize),
    /// Somebody does something to a sandbox's containers.
    Foreign(usize, Foreign),
    /// harbor's process is killed, and another one begins.
    Crash,
    /// The machine of harbor and of the engine loses power.
    PowerCut,
    /// The engine will do something otherwise than well.
    Trouble(Verb, Trouble),
    /// A moment passes, in which what is under way goes on.
    Moment(Duration),
    /// So many minutes pass.
    Minutes(u8),
}

/// What a new sandbox shall be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wish {
    /// Of one of the snapshots that were made, else of the default one.
    pub(crate) snapshot: Option<usize>,
    pub(crate) auto_stop: i64,
    pub(crate) auto_archive: i64,
    /// `None`: never.
    pub(crate) auto_delete: Option<i64>,
    pub(crate) ttl: Option<i64>,
}

/// What can be asked of a sandbox.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Request {
    Start,
    Stop { force: bool },
    Pause,
    Resize(u32),
    Archive,
    BackUp,
    Fork,
    Snapshot,
    Recover { start: bool },
    Delete,
}

/// What somebody does behind harbor's back.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Foreign {
    Kill,
    Freeze,
    KillInfra,
    LoseInfra,
    Lose,
}

/// How a call of the engine goes wrong.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Trouble {
    Slow,
    Refuse,
    Hang,
    Late,
    Lost,
}

impl Trouble {
    pub(crate) fn act(self) -> Act {
        let time = Duration::from_millis(700);
        match self {
            Self::Slow => Act::Slow(time),
            Self::Refuse => Act::Fail(refused()),
            Self::Hang => Act::Hang,
            Self::Late => Act::Late(time),
            Self::Lost => Act::Lost,
        }
    }
}

/// A sequence for a pretend engine.
pub(crate) fn any_sequence() -> impl Strategy<Value = Sequence> {
    prop::collection::vec(any_action(), 1..40).prop_map(Sequence)
}

/// A sequence for any engine.
pub(crate) fn any_real_sequence() -> impl Strategy<Value = Sequence> {
    prop::collection::vec(any_real_action(), 15..30).prop_map(Sequence)
}

/// Anything that can happen on a pretend engine.
fn any_action() -> impl Strategy<Value = Action> {
    let verb = prop_oneof![
        Just(Verb::Look),
        Just(Verb::List),
        Just(Verb::Reserve),
        Just(Verb::Create),
        Just(Verb::Remake),
        Just(Verb::Start),
        Just(Verb::Configure),
        Just(Verb::Pause),
        Just(Verb::Sleep),
        Just(Verb::Wake),
        Just(Verb::Resize),
        Just(Verb::Save),
        Just(Verb::Stop),
        Just(Verb::Remove),
    ];
    let trouble = prop_oneof![
        3 => Just(Trouble::Slow),
        1 => Just(Trouble::Refuse),
        1 => Just(Trouble::Hang),
        1 => Just(Trouble::Late),
        1 => Just(Trouble::Lost),
    ];
    prop_oneof![
        12 => any_real_action(),
        3 => (verb, trouble).prop_map(|(verb, trouble)| Action::Trouble(verb, trouble)),
    ]
}

/// Anything that can happen on every engine.
fn any_real_action() -> impl Strategy<Value = Action> {
    let foreign = prop_oneof![
        Just(Foreign::Kill),
        Just(Foreign::Freeze),
        Just(Foreign::KillInfra),
        Just(Foreign::LoseInfra),
        Just(Foreign::Lose),
    ];
    prop_oneof![
        5 => any_wish().prop_map(Action::Create),
        12 => (0usize..8, any_request(), prop::option::of(any_moment()))
            .prop_map(|(which, request, patience)| Action::Ask { which, request, patience }),
        1 => (0u32..3).prop_map(Action::Pool),
        5 => (0usize..8).prop_map(Action::Write),
        2 => (0usize..8, foreign).prop_map(|(which, foreign)| Action::Foreign(which, foreign)),
        2 => Just(Action::Crash),
        1 => Just(Action::PowerCut),
        2 => any_moment().prop_map(Action::Moment),
        2 => (1u8..4).prop_map(Action::Minutes),
    ]
}

fn any_wish() -> impl Strategy<Value = Wish> {
    let rarely = |minutes: std::ops::Range<i64>| prop_oneof![2 => Just(None), 1 => minutes.prop_map(Some)];
    (prop::option::of(0usize..8), 0i64..4, 0i64..4, rarely(0..4), rarely(1..8)).prop_map(
        |(snapshot, auto_stop, auto_archive, auto_delete, ttl)| Wish {
            snapshot,
            auto_stop,
            auto_archive,
            auto_delete,
            ttl,
        },
    )
}

fn any_request() -> impl Strategy<Value = Request> {
    prop_oneof![
        4 => Just(Request::Start),
        4 => any::<bool>().prop_map(|force| Request::Stop { force }),
        2 => Just(Request::Pause),
        1 => (1u32..3).prop_map(Request::Resize),
        2 => Just(Request::Archive),
        2 => Just(Request::BackUp),
        2 => Just(Request::Fork),
        1 => Just(Request::Snapshot),
        1 => any::<bool>().prop_map(|start| Request::Recover { start }),
        2 => Just(Request::Delete),
    ]
}

fn any_moment() -> impl Strategy<Value = Duration> {
    (0u64..600).prop_map(Duration::from_millis)
}
