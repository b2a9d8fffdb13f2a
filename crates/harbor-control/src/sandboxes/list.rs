//! Listing: filters, order and pages (contract, control-plane §5.14).
//!
//! One machine holds hundreds of sandboxes, not millions: rows are read once and sorted here, so that the derived
//! state needs no second, stored copy.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::Arc;

use harbor_model::Timestamp;
use harbor_model::ids::SandboxId;
use harbor_model::sandboxes::Sandbox;

use crate::{Caller, Control, Error};

/// What a listing leaves out. The default leaves out nothing but what was deleted.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Also members of the organization's warm pools, which nobody was given yet.
    pub warm: bool,
    /// Ids that start with this, in either case.
    pub id: Option<String>,
    /// Names that start with this, in either case.
    pub name: Option<String>,
    /// Labels that must all be there with these values.
    pub labels: BTreeMap<String, String>,
    /// States, as the contract's words; empty: all.
    pub states: Vec<String>,
    /// Snapshot names; empty: all.
    pub snapshots: Vec<String>,
    /// Targets; empty: all.
    pub regions: Vec<String>,
    /// Classes, `container` being the only one there is; empty: all.
    pub classes: Vec<String>,
    /// Processors.
    pub cpu: Range<u32>,
    /// Memory in GiB.
    pub memory_gib: Range<u32>,
    /// Disk in GiB.
    pub disk_gib: Range<u32>,
    /// Public or private ones only.
    pub public: Option<bool>,
    /// Recoverable or other ones only.
    pub recoverable: Option<bool>,
    /// When it was made.
    pub created: Range<Timestamp>,
    /// When it is deleted, whatever state it is in; one that is not is in no such range.
    pub destroy: Range<Timestamp>,
    /// When it was last used.
    pub last_event: Range<Timestamp>,
}

/// Inclusive bounds, each optional.
#[derive(Clone, Copy, Debug)]
pub struct Range<T> {
    /// The least.
    pub from: Option<T>,
    /// The most.
    pub to: Option<T>,
}

impl<T> Default for Range<T> {
    fn default() -> Self {
        Self { from: None, to: None }
    }
}

impl<T: PartialOrd> Range<T> {
    /// As [`Range::holds`]; no value is only in a range without bounds.
    fn holds_any(&self, value: Option<&T>) -> bool {
        value.map_or(self.from.is_none() && self.to.is_none(), |value| self.holds(value))
    }

    fn holds(&self, value: &T) -> bool {
        self.from.as_ref().is_none_or(|from| from <= value) && self.to.as_ref().is_none_or(|to| value <= to)
    }
}

impl Filter {
    fn admits(&self, sandbox: &Sandbox) -> bool {
        let one_of = |list: &[String], word: &str| list.is_empty() || list.iter().any(|listed| listed == word);
        let labels = &sandbox.settings.labels;
        starts_with(self.id.as_ref(), &sandbox.id.to_string())
            && starts_with(self.name.as_ref(), sandbox.name.as_str())
            && self.labels.iter().all(|(key, value)| labels.get(key) == Some(value))
            && one_of(&self.states, sandbox.state().word())
            && one_of(&self.snapshots, &sandbox.origin.snapshot)
            && one_of(&self.regions, sandbox.origin.target.as_str())
            && one_of(&self.classes, "container")
            && self.cpu.holds(&sandbox.resources.cpu)
            && self.memory_gib.holds(&sandbox.resources.memory_gib)
            && self.disk_gib.holds(&sandbox.resources.disk_gib)
            && self.public.is_none_or(|public| public == sandbox.settings.public)
            && self
                .recoverable
                .is_none_or(|wanted| wanted == sandbox.failure.as_ref().is_some_and(|failure| failure.recoverable))
            && self.created.holds(&sandbox.created_at)
            && self.destroy.holds_any(sandbox.destroy_at.as_ref())
            && self.last_event.holds(&sandbox.last_activity_at)
    }
}

fn starts_with(prefix: Option<&String>, text: &str) -> bool {
    prefix.is_none_or(|prefix| text.to_lowercase().starts_with(&prefix.to_lowercase()))
}

/// What a listing is ordered by; ties by id, in the same direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sort {
    /// Its id.
    Id,
    /// Its name.
    Name,
    /// Its state's word.
    State,
    /// Its snapshot's name.
    Snapshot,
    /// Its target.
    Region,
    /// Processors.
    Cpu,
    /// Memory.
    Memory,
    /// Disk.
    Disk,
    /// When it was last used.
    LastActivityAt,
    /// When it was made.
    CreatedAt,
    /// When its row last changed.
    UpdatedAt,
}

/// Which end comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// The least.
    Ascending,
    /// The greatest.
    Descending,
}

impl Order {
    fn apply(self, ordering: Ordering) -> Ordering {
        match self {
            Self::Ascending => ordering,
            Self::Descending => ordering.reverse(),
        }
    }
}

/// What one sandbox is sorted by.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SortValue {
    /// Numbers and times (milliseconds since 1970 UTC).
    Number(i64),
    /// Texts.
    Text(String),
}

impl Sort {
    fn value(self, sandbox: &Sandbox) -> SortValue {
        let at =
            |time: Timestamp| SortValue::Number(i64::try_from(time.unix_timestamp_nanos() / 1_000_000).unwrap_or(0));
        match self {
            Self::Id => SortValue::Text(sandbox.id.to_string()),
            Self::Name => SortValue::Text(sandbox.name.as_str().to_owned()),
            Self::State => SortValue::Text(sandbox.state().word().to_owned()),
            Self::Snapshot => SortValue::Text(sandbox.origin.snapshot.clone()),
            Self::Region => SortValue::Text(sandbox.origin.target.as_str().to_owned()),
            Self::Cpu => SortValue::Number(sandbox.resources.cpu.into()),
            Self::Memory => SortValue::Number(sandbox.resources.memory_gib.into()),
            Self::Disk => SortValue::Number(sandbox.resources.disk_gib.into()),
            Self::LastActivityAt => at(sandbox.last_activity_at),
            Self::CreatedAt => at(sandbox.created_at),
            Self::UpdatedAt => at(sandbox.updated_at),
        }
    }
}

/// Where the page before ended. It stays good when rows come and go in between.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct After {
    /// What its last sandbox was sorted by.
    pub value: SortValue,
    /// Its id.
    pub id: SandboxId,
}

/// Part of a listing.
#[derive(Clone, Debug)]
pub struct Page {
    /// The sandboxes.
    pub items: Vec<Sandbox>,
    /// How many the filter admits in all.
    pub total: usize,
    /// Where the next page starts, if there is one.
    pub next: Option<After>,
}

impl Control {
    /// The caller's sandboxes that `filter` admits: at most `limit`, from the `skip`-th behind `after`.
    pub async fn list_sandboxes(
        &self,
        caller: &Caller,
        filter: &Filter,
        (sort, order): (Sort, Order),
        (after, skip, limit): (Option<After>, usize, usize),
    ) -> Result<Page, Error> {
        let mut all = self.store().sandboxes_of(caller.organization)?;
        if filter.warm {
            all.extend(self.members_of_pools(caller).await?.into_iter().map(Arc::new));
        }
        let mut rows: Vec<(SortValue, Arc<Sandbox>)> = all
            .into_iter()
            .filter(|sandbox| sandbox.live() && filter.admits(sandbox))
            .map(|sandbox| (sort.value(&sandbox), sandbox))
            .collect();
        rows.sort_by(|(a, left), (b, right)| order.apply(a.cmp(b).then(left.id.cmp(&right.id))));
        let total = rows.len();
        let behind = |value: &SortValue, id: SandboxId| match &after {
            None => true,
            Some(after) => order.apply(value.cmp(&after.value).then(id.cmp(&after.id))) == Ordering::Greater,
        };
        let mut rest = rows.into_iter().filter(|(value, sandbox)| behind(value, sandbox.id)).skip(skip).peekable();
        let mut items = Vec::new();
        let mut last = None;
        while items.len() < limit
            && let Some((value, sandbox)) = rest.next()
        {
            last = Some(After { value, id: sandbox.id });
            items.push(Arc::unwrap_or_clone(sandbox));
        }
        let next = last.filter(|_| rest.peek().is_some());
        Ok(Page { items, total, next })
    }
}
