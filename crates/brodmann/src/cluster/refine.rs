//! Smoothing domains by a vote of the neighbourhood.

use brodmann_kernels::{Diagnosis, SliceLength, Slices};
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
    #[error("{found} neighbours were given; expected {expected} (spots × n_neighbors)")]
    NeighborCount {
        /// Entries found.
        found: usize,
        /// Entries expected.
        expected: usize,
    },
    /// A neighbour that is no spot.
    #[error("spot {spot} has the neighbour {neighbor}; expected a number below {n_obs}")]
    UnknownNeighbor {
        /// Spot.
        spot: usize,
        /// Its neighbour.
        neighbor: u32,
        /// Spots.
        n_obs: usize,
    },
    /// Two inputs disagree in length.
    #[error("{found} {what} were given; expected {expected}, one per label")]
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

impl Diagnosis for RefineError {
    fn origin(&self) -> Option<&dyn Diagnosis> {
        match self {
            Self::Graph(e) => Some(e),
            _ => None,
        }
    }

    fn advice(&self) -> Option<String> {
        Some(match self {
            Self::NeighborCount { .. } => "give whole rows".to_owned(),
            Self::UnknownNeighbor { .. } => "build the rows again".to_owned(),
            Self::LengthMismatch { .. } => "give those of one table".to_owned(),
            Self::Graph(e) => return e.advice(),
        })
    }
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
///
/// # Example
///
/// ```
/// use brodmann::cluster::refine_labels;
/// use ndarray::array;
///
/// // The stray spot in a row takes the label of the spots beside it.
/// let row = array![[0.0, 0.0], [1.0, 0.0], [2.0, 0.0], [3.0, 0.0], [4.0, 0.0]];
/// assert_eq!(refine_labels(&[7, 7, 1, 7, 7], row.view(), None, 4)?, [7; 5]);
/// # Ok::<(), brodmann::cluster::RefineError>(())
/// ```
pub fn refine_labels(
    labels: &[u32],
    coordinates: ArrayView2<'_, f64>,
    slices: Option<&Slices>,
    n_neighbors: usize,
) -> Result<Vec<u32>, RefineError> {
    let n_obs = labels.len();
    if coordinates.nrows() != n_obs {
        let found = coordinates.nrows();
        return Err(RefineError::LengthMismatch { what: "coordinates", found, expected: n_obs });
    }
    let slices = Slices::or_one(slices, n_obs).map_err(|SliceLength { found, expected }| {
        RefineError::LengthMismatch { what: "slice codes", found, expected }
    })?;
    if slices.count() == 1 {
        let nearest = spatial_nearest(coordinates, n_neighbors)?;
        let rows: Vec<u32> = nearest.indices.iter().copied().collect();
        return majority_vote(labels, &rows, nearest.indices.ncols());
    }
    let mut refined = labels.to_vec();
    for rows in slices.rows() {
        let spots: Vec<usize> = rows.iter().map(|&i| i as usize).collect();
        let places = coordinates.select(ndarray::Axis(0), &spots);
        let nearest = spatial_nearest(places.view(), n_neighbors)?;
        let own: Vec<u32> = spots.iter().map(|&i| labels[i]).collect();
        let neighbors: Vec<u32> = nearest.indices.iter().copied().collect();
        for (&i, label) in spots.iter().zip(majority_vote(&own, &neighbors, nearest.indices.ncols())?) {
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
///
/// # Example
///
/// ```
/// use brodmann::cluster::majority_vote;
///
/// // Spot 2 hears 0 and 1, which agree.
/// assert_eq!(majority_vote(&[7, 7, 1], &[1, 2, 0, 2, 0, 1], 2)?, [7, 7, 7]);
/// # Ok::<(), brodmann::cluster::RefineError>(())
/// ```
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
