//! How many sandboxes of one kind are asked for: what is kept ready follows it (design D3).

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use harbor_model::resources::Resources;
use harbor_model::sandboxes::Sandbox;

/// For how many minutes a burst is remembered.
const MEMORY: u64 = 60;

/// More kinds than this are not told apart.
const MOST_KINDS: usize = 256;

/// What is kept ready.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    /// A sandbox, as far as members of one pool have it in common.
    Member {
        /// The snapshot's name.
        snapshot: String,
        /// Its sizes.
        resources: Resources,
    },
    /// An infra container, for whatever sandbox there is no member for.
    Infra,
}

impl Kind {
    pub(crate) fn of(sandbox: &Sandbox) -> Self {
        Self::Member { snapshot: sandbox.origin.snapshot.clone(), resources: sandbox.resources }
    }
}

/// What was asked for of one kind.
#[derive(Default)]
struct Asked {
    /// Minutes of the machine's uptime, and how many in each; the last ones that there were any in.
    minutes: VecDeque<(u64, usize)>,
    given: u64,
    missed: u64,
}

/// What was asked for, and whether it was ready. In memory: after a restart demand is learnt anew.
#[derive(Default)]
pub(crate) struct Demand(Mutex<HashMap<Kind, Asked>>);

/// What is known of one kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Known {
    /// The most that were asked for within a minute of the last hour.
    pub(crate) most: usize,
    /// How many were ready when they were asked for, and how many were not.
    pub(crate) given: u64,
    pub(crate) missed: u64,
}

impl Demand {
    /// One was asked for, and was `ready` or not.
    pub(crate) fn note(&self, kind: Kind, ready: bool, uptime: Duration) {
        let minute = uptime.as_secs() / 60;
        let mut kinds = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kinds.len() >= MOST_KINDS && !kinds.contains_key(&kind) {
            kinds.retain(|_, asked| asked.minutes.back().is_some_and(|(last, _)| last + MEMORY > minute));
            if kinds.len() >= MOST_KINDS {
                return;
            }
        }
        let asked = kinds.entry(kind).or_default();
        if ready {
            asked.given += 1;
        } else {
            asked.missed += 1;
        }
        match asked.minutes.back_mut() {
            Some((last, count)) if *last == minute => *count += 1,
            _ => asked.minutes.push_back((minute, 1)),
        }
        asked.minutes.retain(|(earlier, _)| earlier + MEMORY > minute);
    }

    pub(crate) fn of(&self, kind: &Kind, uptime: Duration) -> Known {
        let minute = uptime.as_secs() / 60;
        let kinds = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(asked) = kinds.get(kind) else { return Known::default() };
        let recent = asked.minutes.iter().filter(|(earlier, _)| earlier + MEMORY > minute);
        Known { most: recent.map(|(_, count)| *count).max().unwrap_or(0), given: asked.given, missed: asked.missed }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(snapshot: &str) -> Kind {
        Kind::Member { snapshot: snapshot.to_owned(), resources: Resources::DEFAULT }
    }

    fn minutes(count: u64) -> Duration {
        Duration::from_mins(count)
    }

    #[test]
    fn the_largest_burst_of_the_last_hour_counts() {
        let demand = Demand::default();
        let known = |at| demand.of(&kind("a"), at);
        assert_eq!(known(minutes(0)), Known::default());
        (0..5).for_each(|number| demand.note(kind("a"), number < 2, minutes(3)));
        demand.note(kind("a"), true, minutes(5));
        demand.note(kind("b"), true, minutes(5));
        assert_eq!(known(minutes(5)), Known { most: 5, given: 3, missed: 3 });
        assert_eq!(known(minutes(62)).most, 5);
        assert_eq!(known(minutes(63)).most, 1);
        assert_eq!(known(minutes(65)).most, 0);
    }

    #[test]
    fn kinds_without_end_are_forgotten() {
        let demand = Demand::default();
        (0..MOST_KINDS).for_each(|number| demand.note(kind(&number.to_string()), false, minutes(1)));
        demand.note(kind("one too many"), false, minutes(2));
        assert_eq!(demand.of(&kind("one too many"), minutes(2)), Known::default());
        demand.note(kind("later"), false, minutes(90));
        assert_eq!(demand.of(&kind("later"), minutes(90)).most, 1);
    }
}
