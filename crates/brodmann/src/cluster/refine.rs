//! Smoothing domains by a vote of the neighbourhood.

use ndarray::ArrayView2;
use rayon::prelude::*;

use crate::graph::{GraphError, spatial_nearest};

/// Marks a place in a row of neighbours that holds none.
pub const NO_NEIGHBOR: u32 = u32::MAX;

/// Spots that vote together in one task; fixed.
const CHUNK: usize = 1024;

/// Why labels could not be refined.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum RefineError {
    /// Not as many neighbours as spots times `n_neighbors`.
    #[error("{found} neighbours were given, {expected} (spots × n_neighbors) were expected; pass whole rows")]
    NeighborCount {
        /// Entries found.
        found: usize,
        /// Entries expected.
        expected: usize,
    },
    /// A neighbour that is no spot.
    #[error(
        "spot {spot} has neighbour {neighbor}, a number below {n_obs} was expected; build the rows again"
    )]
    UnknownNeighbor {
        /// Spot.
        spot: usize,
        /// Its neighbour.
        neighbor: u32,
        /// Spots.
        n_obs: usize,
    },
    /// Two inputs disagree in length.
    #[error("{found} {what} for {expected} labels, one each was expected; pass those of the same table")]
    LengthMismatch {
        /// What was counted.
        what: &'static str,
        /// Entries found.
        found: usize,
        /// Labels.
        expected: usize,
    },
    /// The neighbours could not be found.
    #[error(transparent)]
    Graph(#[from] GraphError),
}

/// Every spot takes the label most frequent among its nearest spots of the same slice, itself not counted.
///
/// All votes are on the labels given, none on refined ones. Of labels equally frequent the nearest spot's wins. A
/// spot alone in its slice keeps its label.
///
/// # Inputs
/// `labels`: one per spot. `coordinates`: `(n_obs, 2 or 3)`. `slices`: one code per spot. `n_neighbors`: 15 in STAIG, up to 50.
/// # Returns
/// Refined labels; a label may vanish.
/// # Errors
/// [`RefineError`].
/// # Cost
/// O(n log n + n k) time, O(n k) memory.
/// # Source
/// Yang et al. 2025 (STAIG); the step is common to SpaGCN and STAGATE.
pub fn refine_labels(
    labels: &[u32],
    coordinates: ArrayView2<'_, f64>,
    slices: Option<&[u32]>,
    n_neighbors: usize,
) -> Result<Vec<u32>, RefineError> {
    let n_obs = labels.len();
    let same_length = |what, found| {
        if found == n_obs {
            Ok(())
        } else {
            Err(RefineError::LengthMismatch { what, found, expected: n_obs })
        }
    };
    same_length("coordinates", coordinates.nrows())?;
    let Some(slices) = slices else {
        let nearest = spatial_nearest(coordinates, n_neighbors)?;
        let rows: Vec<u32> = nearest.indices.iter().copied().collect();
        return majority_vote(labels, &rows, nearest.indices.ncols());
    };
    same_length("slice codes", slices.len())?;
    let mut spots: Vec<usize> = (0..n_obs).collect();
    spots.sort_by_key(|&i| (slices[i], i));
    let mut refined = labels.to_vec();
    for slice in spots.chunk_by(|&a, &b| slices[a] == slices[b]) {
        let places = coordinates.select(ndarray::Axis(0), slice);
        let nearest = spatial_nearest(places.view(), n_neighbors)?;
        let own: Vec<u32> = slice.iter().map(|&i| labels[i]).collect();
        let rows: Vec<u32> = nearest.indices.iter().copied().collect();
        for (&i, label) in slice.iter().zip(majority_vote(&own, &rows, nearest.indices.ncols())?) {
            refined[i] = label;
        }
    }
    Ok(refined)
}

/// [`refine_labels`] with the neighbours at hand.
///
/// # Inputs
/// `neighbors`: row by row, `n_neighbors` spots each, the nearest first, the spot itself not among them; [`NO_NEIGHBOR`] fills rows of fewer.
/// # Errors
/// [`RefineError::NeighborCount`], [`RefineError::UnknownNeighbor`].
/// # Cost
/// O(n k log k).
pub fn majority_vote(labels: &[u32], neighbors: &[u32], n_neighbors: usize) -> Result<Vec<u32>, RefineError> {
    let n_obs = labels.len();
    let expected = n_obs.saturating_mul(n_neighbors);
    if neighbors.len() != expected {
        return Err(RefineError::NeighborCount { found: neighbors.len(), expected });
    }
    if n_neighbors == 0 {
        return Ok(labels.to_vec());
    }
    let mut refined = labels.to_vec();
    refined.par_chunks_mut(CHUNK).zip(neighbors.par_chunks(CHUNK * n_neighbors)).enumerate().try_for_each(
        |(chunk, (out, rows))| {
            let mut votes: Vec<(u32, u32)> = Vec::with_capacity(n_neighbors);
            for (offset, (label, row)) in out.iter_mut().zip(rows.chunks_exact(n_neighbors)).enumerate() {
                votes.clear();
                for (rank, &neighbor) in row.iter().enumerate().filter(|(_, j)| **j != NO_NEIGHBOR) {
                    let Some(&vote) = labels.get(neighbor as usize) else {
                        let spot = chunk * CHUNK + offset;
                        return Err(RefineError::UnknownNeighbor { spot, neighbor, n_obs });
                    };
                    votes.push((vote, rank as u32));
                }
                if let Some(winner) = winner(&mut votes) {
                    *label = winner;
                }
            }
            Ok(())
        },
    )?;
    Ok(refined)
}

/// The most frequent label, of several the one with the lowest rank.
fn winner(votes: &mut [(u32, u32)]) -> Option<u32> {
    votes.sort_unstable();
    votes
        .chunk_by(|a, b| a.0 == b.0)
        .max_by_key(|same| (same.len(), std::cmp::Reverse(same[0].1)))
        .map(|same| same[0].0)
}

#[cfg(test)]
mod tests;
