//! The two graph operators of SpaMI.

use std::sync::Arc;

use brodmann_kernels::{CsrMatrix, Slices};

use super::error::SpamiError;
use crate::nn::{Scalar, SparseOperator, gcn_normalized};

/// The spatial graph as the network uses it.
#[derive(Clone, Debug, PartialEq)]
pub struct SpamiGraph {
    neighbors: CsrMatrix<f64>,
    pub(super) operators: Operators<f32>,
}

/// The operators in one precision.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Operators<T> {
    /// `D^-1/2 (A + I) D^-1/2`, `A` the union of both directions.
    pub normalized: Arc<SparseOperator<T>>,
    /// The mean over a spot and its own nearest neighbours: directed.
    pub context: Arc<SparseOperator<T>>,
}

impl SpamiGraph {
    /// From the nearest neighbours of each spot. Rows may differ in length and may be empty (an isolated spot then
    /// hears itself alone); a spot named in its own row, or twice, counts once.
    ///
    /// # Errors
    /// [`SpamiError::NeighborOutOfRange`].
    pub fn new<R: AsRef<[u32]>>(neighbors: &[R]) -> Result<Self, SpamiError> {
        let n_obs = neighbors.len();
        let mut rows = Vec::with_capacity(n_obs);
        for (row, list) in neighbors.iter().enumerate() {
            let list = list.as_ref();
            if let Some(&neighbor) = list.iter().find(|&&j| j as usize >= n_obs) {
                return Err(SpamiError::NeighborOutOfRange { row, neighbor, n_obs });
            }
            let mut others: Vec<(u32, f64)> =
                list.iter().filter(|&&j| j as usize != row).map(|&j| (j, 1.0)).collect();
            others.sort_unstable_by_key(|e| e.0);
            others.dedup_by_key(|e| e.0);
            rows.push(others);
        }
        let neighbors = CsrMatrix::from_rows(n_obs, &rows);
        drop(rows);
        let operators = Operators::new(&neighbors);
        Ok(Self { neighbors, operators })
    }

    /// Spots.
    pub fn n_obs(&self) -> usize {
        self.neighbors.n_rows()
    }

    /// Directed edges, loops left out.
    pub fn n_edges(&self) -> usize {
        self.neighbors.nnz()
    }

    /// Bytes held.
    pub fn bytes(&self) -> u64 {
        let own = self.neighbors.indptr().len() * 8 + self.neighbors.nnz() * 12;
        own as u64 + self.operators.normalized.bytes() + self.operators.context.bytes()
    }

    /// No edge may cross slices: corruption, contexts and convolutions stay within one.
    pub(super) fn check_slices(&self, slices: &Slices) -> Result<(), SpamiError> {
        for row in 0..self.n_obs() {
            let other = |&&j: &&u32| slices.of(j as usize) != slices.of(row);
            if let Some(&neighbor) = self.neighbors.view().row(row).0.iter().find(other) {
                return Err(SpamiError::EdgeAcrossSlices {
                    row,
                    slice: slices.code(row),
                    neighbor,
                    other: slices.code(neighbor as usize),
                });
            }
        }
        Ok(())
    }

    /// The operators of some spots alone, which have all their neighbours among themselves, renumbered.
    ///
    /// `places`: of each spot among those of its own slice.
    pub(super) fn operators_within(&self, members: &[u32], places: &[u32]) -> Operators<f32> {
        let rows: Vec<Vec<(u32, f64)>> = members
            .iter()
            .map(|&i| {
                let (columns, values) = self.neighbors.view().row(i as usize);
                columns.iter().zip(values).map(|(&j, &v)| (places[j as usize], v)).collect()
            })
            .collect();
        Operators::new(&CsrMatrix::from_rows(members.len(), &rows))
    }

    /// The same operators in double precision, for checks.
    #[cfg(test)]
    pub(super) fn operators_f64(&self) -> Operators<f64> {
        Operators::new(&self.neighbors)
    }
}

impl<T: Scalar> Operators<T> {
    /// From directed rows without loops.
    fn new(neighbors: &CsrMatrix<f64>) -> Self {
        let n_obs = neighbors.n_rows();
        let transposed = neighbors.view().transpose();
        let union: Vec<Vec<(u32, f64)>> = (0..n_obs)
            .map(|i| {
                let (own, others) = (neighbors.view().row(i).0, transposed.view().row(i).0);
                let mut row: Vec<u32> = own.iter().chain(others).copied().collect();
                row.sort_unstable();
                row.dedup();
                row.into_iter().map(|j| (j, 1.0)).collect()
            })
            .collect();
        let normalized = gcn_normalized(CsrMatrix::from_rows(n_obs, &union).view());
        drop(union);
        let normalized = Arc::new(SparseOperator::new(normalized.view()));
        let context: Vec<Vec<(u32, f64)>> = (0..n_obs)
            .map(|i| {
                let own = neighbors.view().row(i).0;
                let share = 1.0 / (own.len() + 1) as f64;
                let mut row: Vec<(u32, f64)> = own.iter().map(|&j| (j, share)).collect();
                let place = own.partition_point(|&j| (j as usize) < i);
                row.insert(place, (i as u32, share));
                row
            })
            .collect();
        let context = Arc::new(SparseOperator::new(CsrMatrix::from_rows(n_obs, &context).view()));
        Self { normalized, context }
    }

    /// Operators over nothing: enough to plan memory with.
    pub(super) fn empty() -> Self {
        Self::new(&CsrMatrix::from_rows(0, &[]))
    }
}
