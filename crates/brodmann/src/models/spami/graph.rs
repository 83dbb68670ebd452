//! The two graph operators of SpaMI.

use super::error::SpamiError;

/// The spatial graph as the network uses it.
#[derive(Clone, Debug, PartialEq)]
pub struct SpamiGraph {
    n_obs: usize,
}

impl SpamiGraph {
    /// From the nearest neighbours of each spot, the spot itself left out; rows may have different lengths, and
    /// may be empty.
    ///
    /// # Errors
    /// [`SpamiError::NeighborOutOfRange`].
    pub fn new<R: AsRef<[u32]>>(neighbors: &[R]) -> Result<Self, SpamiError> {
        let n_obs = neighbors.len();
        for (row, list) in neighbors.iter().enumerate() {
            if let Some(&neighbor) = list.as_ref().iter().find(|&&j| j as usize >= n_obs) {
                return Err(SpamiError::NeighborOutOfRange { row, neighbor, n_obs });
            }
        }
        Ok(Self { n_obs })
    }

    /// Spots.
    pub fn n_obs(&self) -> usize {
        self.n_obs
    }
}
