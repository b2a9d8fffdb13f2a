//! What a listing alone tells of a sandbox's containers.

use std::collections::BTreeSet;

use crate::docker::objects::containers::{ListedContainer, Status};

/// A sandbox's containers as an engine lists them: enough to tell whether any of them has changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Outline(BTreeSet<Line>);

/// One container: its id, its names, its state, its exit code.
type Line = (Option<String>, Vec<String>, Option<Status>, String);

impl Outline {
    /// Adds one container: its id, its names, its state with the exit code.
    pub(crate) fn add(&mut self, found: &ListedContainer) {
        // `Exited (137) 2 minutes ago`: what is after the code passes with time
        let status = found.status.as_deref().unwrap_or_default();
        let code = status.split_once(')').map_or("", |(code, _)| code);
        self.0.insert((found.id.clone(), found.names.clone(), found.state, code.to_owned()));
    }

    /// Whether none of them ever ran, or all of them go: nothing in them is a user's but what was copied there.
    pub(crate) fn is_worthless(&self) -> bool {
        self.0.iter().all(|(_, _, state, _)| state.is_some_and(|state| state == Status::Created || state.is_going()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outline(state: Status, status: &str) -> Outline {
        let mut outline = Outline::default();
        outline.add(&ListedContainer {
            id: Some("c".to_owned()),
            state: Some(state),
            status: Some(status.to_owned()),
            ..ListedContainer::default()
        });
        outline
    }

    #[test]
    fn time_alone_changes_no_outline() {
        assert_eq!(outline(Status::Running, "Up 2 minutes"), outline(Status::Running, "Up 3 minutes"));
        assert_eq!(outline(Status::Exited, "Exited (0) 1 second ago"), outline(Status::Exited, "Exited (0) 1 day ago"));
        assert_ne!(outline(Status::Exited, "Exited (0) 1 day ago"), outline(Status::Exited, "Exited (137) 1 day ago"));
        assert_ne!(outline(Status::Running, "Up 2 minutes"), outline(Status::Paused, "Up 2 minutes (Paused)"));
    }
}
