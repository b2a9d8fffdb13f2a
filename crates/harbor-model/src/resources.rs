//! How big a sandbox is, and how big it may be.

/// What a sandbox is given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Resources {
    /// Processors.
    pub cpu: u32,
    /// Memory in GiB, swap included.
    pub memory_gib: u32,
    /// Disk in GiB.
    pub disk_gib: u32,
    /// Graphics cards.
    pub gpu: u32,
}

impl Resources {
    /// What a snapshot gets that names no size (contract, control-plane §6.2).
    pub const DEFAULT: Self = Self { cpu: 1, memory_gib: 1, disk_gib: 3, gpu: 0 };

    /// Nothing of anything.
    pub const NONE: Self = Self { cpu: 0, memory_gib: 0, disk_gib: 0, gpu: 0 };

    /// Both together.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self {
            cpu: self.cpu.saturating_add(other.cpu),
            memory_gib: self.memory_gib.saturating_add(other.memory_gib),
            disk_gib: self.disk_gib.saturating_add(other.disk_gib),
            gpu: self.gpu.saturating_add(other.gpu),
        }
    }

    /// What is left of `self` without `other`; nothing where that is more.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self {
            cpu: self.cpu.saturating_sub(other.cpu),
            memory_gib: self.memory_gib.saturating_sub(other.memory_gib),
            disk_gib: self.disk_gib.saturating_sub(other.disk_gib),
            gpu: self.gpu.saturating_sub(other.gpu),
        }
    }

    /// `self` with every size of `asked` that is neither absent nor 0.
    #[must_use]
    pub fn with(self, asked: Asked) -> Self {
        let or = |asked: Option<u32>, own| asked.filter(|&size| size > 0).unwrap_or(own);
        Self {
            cpu: or(asked.cpu, self.cpu),
            memory_gib: or(asked.memory_gib, self.memory_gib),
            disk_gib: or(asked.disk_gib, self.disk_gib),
            gpu: or(asked.gpu, self.gpu),
        }
    }

    /// `self`, as limits, for who has `own` already: what one has is never too much.
    #[must_use]
    pub fn raised_to(self, own: Self) -> Self {
        Self {
            cpu: self.cpu.max(own.cpu),
            memory_gib: self.memory_gib.max(own.memory_gib),
            disk_gib: self.disk_gib.max(own.disk_gib),
            gpu: self.gpu.max(own.gpu),
        }
    }

    /// Whether each size is within `limit`; otherwise the first that is not.
    pub fn check(self, limit: Self) -> Result<(), TooBig> {
        let sizes = [
            ("cpu", self.cpu, limit.cpu, ""),
            ("memory", self.memory_gib, limit.memory_gib, " GiB"),
            ("disk", self.disk_gib, limit.disk_gib, " GiB"),
            ("gpu", self.gpu, limit.gpu, ""),
        ];
        match sizes.into_iter().find(|(_, asked, limit, _)| asked > limit) {
            Some((what, asked, limit, unit)) => Err(TooBig { what, asked, limit, unit }),
            None => Ok(()),
        }
    }
}

/// Sizes that a caller asked for; 0 counts as not given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// Processors.
    pub cpu: Option<u32>,
    /// Memory in GiB.
    pub memory_gib: Option<u32>,
    /// Disk in GiB.
    pub disk_gib: Option<u32>,
    /// Graphics cards.
    pub gpu: Option<u32>,
}

impl Asked {
    /// Whether any size is given.
    pub fn any(self) -> bool {
        [self.cpu, self.memory_gib, self.disk_gib, self.gpu].into_iter().flatten().any(|size| size > 0)
    }
}

/// A size beyond what this host can give.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{what} of {asked}{unit} is more than this host can give to one sandbox ({limit}{unit}); ask for at most {limit}{unit}"
)]
pub struct TooBig {
    what: &'static str,
    asked: u32,
    limit: u32,
    unit: &'static str,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zero_counts_as_not_given() {
        let asked = Asked { cpu: Some(0), memory_gib: Some(4), disk_gib: None, gpu: Some(0) };
        assert_eq!(Resources::DEFAULT.with(asked), Resources { memory_gib: 4, ..Resources::DEFAULT });
        assert!(asked.any());
        assert!(!Asked { cpu: Some(0), ..Asked::default() }.any());
    }

    #[test]
    fn the_refusal_names_the_size_and_the_limit() {
        let limit = Resources { cpu: 2, memory_gib: 8, disk_gib: 100, gpu: 0 };
        let refusal = Resources { memory_gib: 9, ..limit }.check(limit).unwrap_err().to_string();
        assert!(refusal.contains("memory of 9 GiB") && refusal.contains("at most 8 GiB"), "{refusal}");
        assert_eq!(limit.check(limit), Ok(()));
    }
}
