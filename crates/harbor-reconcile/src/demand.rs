//! How many sandboxes of one kind are asked for: what is kept ready follows it (design D3).

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use harbor_model::resources::Resources;
use harbor_model::sandboxes::Sandbox;

/// For how many seconds a burst is remembered.
const MEMORY: u64 = 3600;

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

    /// Within how many seconds those that are asked for are one burst: about the time that making another one takes, with
    /// what goes on beside it.
    const fn burst(&self) -> u64 {
        match self {
            Self::Member { .. } => 60,
            Self::Infra => 2,
        }
    }
}

/// What was asked for of one kind.
#[derive(Default)]
struct Asked {
    /// Seconds of the machine's uptime at which a burst begins, and how many it has, oldest first.
    bursts: VecDeque<(u64, usize)>,
    given: u64,
    missed: u64,
}

/// What was asked for, and whether it was ready. In memory: after a restart demand is learnt anew.
#[derive(Default)]
pub(crate) struct Demand(Mutex<HashMap<Kind, Asked>>);

/// What is known of one kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Known {
    /// The most that were asked for in a burst of the last hour.
    pub(crate) most: usize,
    /// How many were ready when they were asked for, and how many were not.
    pub(crate) given: u64,
    pub(crate) missed: u64,
}

impl Demand {
    /// One was asked for, and was `ready` or not.
    pub(crate) fn note(&self, kind: Kind, ready: bool, uptime: Duration) {
        let (second, burst) = (uptime.as_secs(), kind.burst());
        let mut kinds = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kinds.len() >= MOST_KINDS && !kinds.contains_key(&kind) {
            kinds.retain(|_, asked| asked.bursts.back().is_some_and(|(last, _)| last + MEMORY > second));
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
        match asked.bursts.back_mut() {
            Some((began, count)) if second < *began + burst => *count += 1,
            _ => asked.bursts.push_back((second, 1)),
        }
        asked.bursts.retain(|(earlier, _)| earlier + MEMORY > second);
    }

    pub(crate) fn of(&self, kind: &Kind, uptime: Duration) -> Known {
        let second = uptime.as_secs();
        let kinds = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(asked) = kinds.get(kind) else { return Known::default() };
        let recent = asked.bursts.iter().filter(|(earlier, _)| earlier + MEMORY > second);
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
    fn a_burst_begins_with_its_first_whatever_the_clock_says() {
        let demand = Demand::default();
        let seconds = Duration::from_secs;
        for at in [59, 60, 118] {
            demand.note(kind("a"), true, seconds(at));
        }
        for at in [100, 101, 102, 104, 106] {
            demand.note(Kind::Infra, false, seconds(at));
        }
        assert_eq!(demand.of(&kind("a"), seconds(118)).most, 3);
        assert_eq!(demand.of(&Kind::Infra, seconds(106)).most, 2);
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
