//! What a listing alone tells of a sandbox's containers.

use std::collections::BTreeSet;

use bollard::models::ContainerSummary;

/// A sandbox's containers as an engine lists them: enough to tell whether any of them has changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Outline(BTreeSet<(String, String, String)>);

impl Outline {
    /// Adds one container: its id, its names, its state with the exit code.
    pub(crate) fn add(&mut self, found: &ContainerSummary) {
        let names = found.names.clone().unwrap_or_default().join(" ");
        let state = found.state.map(|state| state.to_string()).unwrap_or_default();
        // `Exited (137) 2 minutes ago`: what is after the code passes with time
        let status = found.status.as_deref().unwrap_or_default();
        let code = status.split_once(')').map_or("", |(code, _)| code);
        self.0.insert((found.id.clone().unwrap_or_default(), names, format!("{state} {code}")));
    }
}

#[cfg(test)]
mod tests {
    use bollard::models::ContainerSummaryStateEnum as State;

    use super::*;

    fn outline(state: State, status: &str) -> Outline {
        let mut outline = Outline::default();
        outline.add(&ContainerSummary {
            id: Some("c".to_owned()),
            state: Some(state),
            status: Some(status.to_owned()),
            ..ContainerSummary::default()
        });
        outline
    }

    #[test]
    fn time_alone_changes_no_outline() {
        assert_eq!(outline(State::RUNNING, "Up 2 minutes"), outline(State::RUNNING, "Up 3 minutes"));
        assert_eq!(outline(State::EXITED, "Exited (0) 1 second ago"), outline(State::EXITED, "Exited (0) 1 day ago"));
        assert_ne!(outline(State::EXITED, "Exited (0) 1 day ago"), outline(State::EXITED, "Exited (137) 1 day ago"));
        assert_ne!(outline(State::RUNNING, "Up 2 minutes"), outline(State::PAUSED, "Up 2 minutes (Paused)"));
    }
}
