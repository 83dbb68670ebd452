//! What moving between cells costs: their distance in the embedding.

use brodmann_kernels::{CsrMatrix, CsrView, OptionError};
use serde::{Deserialize, Serialize};

use super::LinksError;

/// What moving between cells that are no neighbours costs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Beyond {
    /// As much as the farthest neighbours: 1.
    #[default]
    Maximum,
    /// Nothing moves there.
    Forbidden,
}

/// Costs from 0 to 1 between neighbouring cells, symmetric, with the cell itself at 0.
#[derive(Clone, Debug, PartialEq)]
pub struct CellCosts {
    costs: CsrMatrix<f64>,
    scale: f64,
}

impl CellCosts {
    /// Costs from distances between neighbours: `min(distance / scale, 1)`, in both directions where one is stored.
    ///
    /// # Inputs
    /// `distances`: `(n_cells, n_cells)`, Euclidean in the embedding, of the nearest cells or of all; a stored zero is a
    /// neighbour. Where both directions are stored and differ, the smaller counts. `scale`: the distance that costs 1;
    /// `None`: the largest stored one.
    /// # Errors
    /// `Size` for a graph that is not square, `BadDistance`, `Option` for a scale that is not above 0.
    /// # Cost
    /// O(nnz) time; 12 bytes per neighbour in either direction.
    pub fn new(distances: CsrView<'_, f64>, scale: Option<f64>) -> Result<Self, LinksError> {
        let n = distances.n_rows();
        if distances.n_cols() != n {
            let (what, of) = ("the graph of the embedding", "columns");
            return Err(LinksError::Size { what, found: distances.n_cols(), of, expected: n });
        }
        for row in 0..n {
            if let Some(bad) = distances.row(row).1.iter().find(|d| !(d.is_finite() && **d >= 0.0)) {
                return Err(LinksError::BadDistance { row, value: bad.to_string() });
            }
        }
        let largest = distances.data().iter().copied().fold(0.0, f64::max);
        let scale = match scale {
            Some(scale) if !(scale.is_finite() && scale > 0.0) => {
                return Err(OptionError::new("cost_scale", scale, "a finite number above 0").into());
            }
            Some(scale) => scale,
            None if largest > 0.0 => largest,
            None => 1.0,
        };
        let transposed = distances.transpose();
        let mut rows = Vec::with_capacity(n);
        for i in 0..n {
            let own = distances.row(i);
            let back = transposed.view().row(i);
            let mut row: Vec<(u32, f64)> = Vec::with_capacity(own.0.len() + back.0.len() + 1);
            row.push((i as u32, 0.0));
            row.extend(own.0.iter().copied().zip(own.1.iter().copied()));
            row.extend(back.0.iter().copied().zip(back.1.iter().copied()));
            row.sort_by(|a, b| a.0.cmp(&b.0).then(a.1.total_cmp(&b.1)));
            row.dedup_by_key(|entry| entry.0);
            for entry in &mut row {
                entry.1 = (entry.1 / scale).min(1.0);
            }
            rows.push(row);
        }
        Ok(Self { costs: CsrMatrix::from_rows(n, &rows), scale })
    }

    /// Number of cells.
    pub fn n_cells(&self) -> usize {
        self.costs.n_rows()
    }

    /// The distance that costs 1.
    pub fn scale(&self) -> f64 {
        self.scale
    }

    /// `(n_cells, n_cells)`, from 0 to 1.
    pub fn view(&self) -> CsrView<'_, f64> {
        self.costs.view()
    }

    /// `exp(−cost / ε)`.
    pub(super) fn kernel(&self, epsilon: f64, beyond: Beyond) -> Kernel {
        let background = match beyond {
            Beyond::Maximum => (-1.0 / epsilon).exp(),
            Beyond::Forbidden => 0.0,
        };
        // No cost exceeds 1, so that the difference is not negative.
        let near = self.view().map(|cost| (-cost / epsilon).exp() - background);
        Kernel { near, background }
    }
}

/// `exp(−cost / ε)` of all pairs of cells: `background` for all, and `near` on top of it for neighbours.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Kernel {
    pub near: CsrMatrix<f64>,
    pub background: f64,
}

impl Kernel {
    /// `Σⱼ K_ij wⱼ`, `total` being `Σⱼ wⱼ`.
    #[inline]
    pub(super) fn row_sum(&self, i: usize, w: &[f64], total: f64) -> f64 {
        let (columns, values) = self.near.view().row(i);
        // Four sums, so that an addition need not wait for the one before it.
        let mut sums = [0.0; 4];
        let (four, rest) = columns.as_chunks::<4>();
        let (four_values, rest_values) = values.as_chunks::<4>();
        for (c, v) in four.iter().zip(four_values) {
            for k in 0..4 {
                sums[k] += v[k] * w[c[k] as usize];
            }
        }
        let last: f64 = rest.iter().zip(rest_values).map(|(c, v)| v * w[*c as usize]).sum();
        (sums[0] + sums[1]) + (sums[2] + sums[3]) + last + self.background * total
    }
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn costs_are_symmetric_scaled_and_free_within_a_cell() {
        let d = CsrMatrix::from_dense(array![[0.0, 1.0, 0.0], [2.0, 0.0, 4.0], [0.0, 0.0, 0.0]].view());
        let costs = CellCosts::new(d.view(), None).expect("costs");
        let get = |i, j| costs.view().get(i, j);
        assert_eq!(
            [get(0, 1), get(1, 0), get(1, 2), get(2, 1)],
            [Some(0.25), Some(0.25), Some(1.0), Some(1.0)]
        );
        assert_eq!([get(0, 0), get(2, 2), get(0, 2)], [Some(0.0), Some(0.0), None]);
        let wide = CellCosts::new(d.view(), Some(2.0)).expect("costs");
        assert_eq!((wide.view().get(1, 2), wide.scale()), (Some(1.0), 2.0));
        let kernel = costs.kernel(0.5, Beyond::Maximum);
        let w = [1.0, 10.0, 100.0];
        for i in 0..3 {
            let expected: f64 =
                (0..3).map(|j| (-costs.view().get(i, j).unwrap_or(1.0) / 0.5).exp() * w[j]).sum();
            assert!((kernel.row_sum(i, &w, 111.0) - expected).abs() < 1e-13);
        }
        let forbidden = costs.kernel(0.5, Beyond::Forbidden);
        assert!((forbidden.row_sum(0, &w, 111.0) - (1.0 + 10.0 * (-0.5f64).exp())).abs() < 1e-13);
    }

    #[test]
    fn what_is_no_distance_is_refused() {
        for bad in [f64::NAN, -1.0, f64::INFINITY] {
            let d = CsrMatrix::from_rows(2, &[vec![(1, bad)], vec![]]);
            assert!(matches!(CellCosts::new(d.view(), None), Err(LinksError::BadDistance { row: 0, .. })));
        }
        let d = CsrMatrix::from_rows(3, &[vec![(1, 1.0)], vec![]]);
        assert!(matches!(CellCosts::new(d.view(), None), Err(LinksError::Size { .. })));
        let d = CsrMatrix::<f64>::from_rows(2, &[vec![(1, 0.0)], vec![]]);
        assert_eq!(CellCosts::new(d.view(), None).expect("zeros").view().get(1, 0), Some(0.0));
        assert!(CellCosts::new(d.view(), Some(0.0)).is_err());
        assert_eq!(CellCosts::new(CsrMatrix::from_rows(0, &[]).view(), None).expect("none").n_cells(), 0);
    }
}
