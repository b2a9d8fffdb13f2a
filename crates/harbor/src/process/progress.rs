//! What harbor is doing while somebody waits: from whoever does it to whoever shows it.

use tokio::sync::watch;

/// What is being done.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct StartStep {
    /// For people, without an end mark: "pulling debian:bookworm".
    pub(crate) what: String,
    /// Done and whole, in bytes or steps, where that is known.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) of: Option<(u64, u64)>,
}

impl StartStep {
    /// Something whose end is not in sight.
    pub(crate) fn of(what: impl Into<String>) -> Self {
        Self { what: what.into(), of: None }
    }
}

/// Where to say what is being done. Only the newest is kept, so saying never waits. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Progress(watch::Sender<StartStep>);

impl Progress {
    /// A new one, and its first listener.
    pub(crate) fn new() -> (Self, watch::Receiver<StartStep>) {
        let (sender, receiver) = watch::channel(StartStep::default());
        (Self(sender), receiver)
    }

    /// Something new is being done.
    pub(crate) fn say(&self, what: impl Into<String>) {
        self.0.send_replace(StartStep::of(what));
    }

    /// Something is done in part.
    pub(crate) fn part(&self, what: impl Into<String>, done: u64, whole: u64) {
        self.0.send_replace(StartStep { what: what.into(), of: (whole > 0).then_some((done, whole)) });
    }
}
