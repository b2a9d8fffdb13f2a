//! What a pull or build says, on its way into the store: whole lines, a few times a second.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use harbor_model::actors::Actor;
use harbor_model::errors::chain;
use harbor_model::ids::ImageId;
use harbor_runner::Progress;
use harbor_store::Store;

/// How often what was said is stored.
const EVERY: Duration = Duration::from_millis(250);

/// The most bytes that wait to be stored; what is beyond is left out.
const MOST_WAITING: usize = 1 << 20;

/// The most bytes of one pull or build that are kept.
const MOST_KEPT: usize = 4 << 20;

/// Stands at the end of a log that was longer.
const CUT: &str = "[harbor keeps no more of this log]\n";

/// The most bytes of one line.
const LONGEST_LINE: usize = 16 << 10;

/// The log of one pull or build.
pub(super) struct Log {
    store: Store,
    image: ImageId,
    said: Mutex<Said>,
}

#[derive(Default)]
struct Said {
    /// Not stored yet.
    text: String,
    /// The last line that says something.
    last: String,
    /// How many bytes were stored.
    kept: usize,
}

impl Log {
    pub(super) fn new(store: Store, image: ImageId) -> Self {
        Self { store, image, said: Mutex::default() }
    }

    /// Takes what is said, whole lines or parts of one.
    pub(super) fn say(&self, text: &str) {
        let mut said = self.said();
        let room = MOST_WAITING.saturating_sub(said.text.len());
        said.text.push_str(&text[..text.floor_char_boundary(room)]);
        let says = |line: &&str| !line.is_empty() && !line.starts_with("--->") && !line.starts_with("Removing ");
        if let Some(line) = text.lines().map(str::trim).rfind(says) {
            line[..line.floor_char_boundary(200)].clone_into(&mut said.last);
        }
    }

    /// The last line that says something, shortened to 200 bytes.
    pub(super) fn last_line(&self) -> String {
        self.said().last.clone()
    }

    /// Stores whole lines as they come, and never ends.
    pub(super) async fn keep(&self) -> Infallible {
        loop {
            tokio::time::sleep(EVERY).await;
            self.store_lines(false).await;
        }
    }

    /// Stores what is left.
    pub(super) async fn finish(&self) {
        self.store_lines(true).await;
    }

    async fn store_lines(&self, all: bool) {
        let text = {
            let mut said = self.said();
            let end = said.text.rfind('\n').map_or(0, |at| at + 1);
            let whole = all || said.text.len() - end > LONGEST_LINE;
            let end = if whole { said.text.len() } else { end };
            let text = said.text.drain(..end).collect::<String>();
            let before = said.kept;
            said.kept = before.saturating_add(text.len());
            match (before >= MOST_KEPT, said.kept >= MOST_KEPT) {
                // how it ended
                (true, _) if all => {
                    text[text.floor_char_boundary(text.len().saturating_sub(LONGEST_LINE))..].to_owned()
                }
                (true, _) => String::new(),
                (false, true) => format!("{text}{CUT}"),
                (false, false) => text,
            }
        };
        if text.is_empty() {
            return;
        }
        if let Err(error) = self.store.by(Actor::Harbor).add_to_image_log(self.image, text).await {
            tracing::warn!(image = %self.image, error = chain(&error), "part of a log was not kept");
        }
    }

    fn said(&self) -> MutexGuard<'_, Said> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The layers of a pull, counted.
#[derive(Default)]
pub(super) struct Layers(BTreeMap<String, String>);

impl Layers {
    /// What a step of a pull adds to its log: a line where a layer begins something else, and nothing for mere progress.
    pub(super) fn line(&mut self, step: Progress) -> String {
        let Progress { layer, status, .. } = step;
        let Some(layer) = layer.filter(|_| !status.starts_with("Pulling from")) else { return format!("{status}\n") };
        let before = self.0.insert(layer.clone(), status.clone());
        if before.as_ref() == Some(&status) {
            return String::new();
        }
        let there = self.0.values().filter(|status| is_there(status)).count();
        if is_there(&status) {
            format!("{layer}: {status} ({there} of {} layers)\n", self.0.len())
        } else {
            format!("{layer}: {status}\n")
        }
    }
}

fn is_there(status: &str) -> bool {
    matches!(status, "Pull complete" | "Already exists")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_within_a_layer_is_one_line_and_layers_are_counted() {
        let mut layers = Layers::default();
        let mut say = |layer: Option<&str>, status: &str| {
            layers.line(Progress { layer: layer.map(str::to_owned), status: status.to_owned(), bytes: None })
        };
        assert_eq!(say(Some("1"), "Pulling from a/b"), "Pulling from a/b\n");
        assert_eq!(say(Some("x"), "Pulling fs layer"), "x: Pulling fs layer\n");
        assert_eq!(say(Some("y"), "Already exists"), "y: Already exists (1 of 2 layers)\n");
        assert_eq!(say(Some("x"), "Downloading"), "x: Downloading\n");
        assert_eq!(say(Some("x"), "Downloading"), "");
        assert_eq!(say(Some("x"), "Pull complete"), "x: Pull complete (2 of 2 layers)\n");
        assert_eq!(say(None, "Status: Downloaded"), "Status: Downloaded\n");
    }
}
