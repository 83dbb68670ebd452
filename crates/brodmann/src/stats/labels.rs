//! A label per spot, or none.

use super::StatsError;

/// What stands for no label once labels are checked.
pub(super) const NONE: u32 = u32::MAX;
/// Groups a table of all pairs is made for: 128 MiB of doubles.
pub(super) const MAX_GROUPS: usize = 4096;

/// The domain, cell type or other group of each spot.
#[derive(Clone, Copy, Debug)]
pub struct Labels<'a> {
    /// One per spot, below `n_groups`; `None` for a spot that is left out.
    pub codes: &'a [Option<u32>],
    /// Number of groups; those without a spot keep their row in every table.
    pub n_groups: usize,
}

impl Labels<'_> {
    /// The label of each of `n_obs` spots, [`NONE`] for none, for tables of at most `limit` groups.
    pub(super) fn checked(&self, n_obs: usize, limit: usize) -> Result<Vec<u32>, StatsError> {
        if self.codes.len() != n_obs {
            return Err(StatsError::LabelCount { found: self.codes.len(), expected: n_obs });
        }
        if self.n_groups > limit {
            return Err(StatsError::TooManyGroups { found: self.n_groups, limit });
        }
        let beyond = |code: &Option<u32>| code.is_some_and(|c| c as usize >= self.n_groups);
        if let Some(row) = self.codes.iter().position(beyond) {
            let label = self.codes[row].unwrap_or(NONE);
            return Err(StatsError::LabelOutOfRange { row, label, n_groups: self.n_groups });
        }
        Ok(self.codes.iter().map(|code| code.unwrap_or(NONE)).collect())
    }
}

/// Spots of each of `n_groups` groups.
pub(super) fn group_sizes(labels: impl Iterator<Item = u32>, n_groups: usize) -> Vec<usize> {
    let mut sizes = vec![0; n_groups];
    for label in labels.filter(|&label| label != NONE) {
        sizes[label as usize] += 1;
    }
    sizes
}
