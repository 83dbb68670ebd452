//! Which domains border on which?

use std::borrow::Cow;

use brodmann_kernels::{CsrMatrix, CsrView};
use ndarray::{Array1, Array2};
use rayon::prelude::*;

use super::labels::{MAX_GROUPS, NONE};
use super::{Labels, StatsError};
use crate::graph::union_symmetric;

/// The graph of domains.
#[derive(Clone, Debug, PartialEq)]
pub struct DomainAdjacency {
    /// `(n_groups, n_groups)`, symmetric: edges between spots of two domains, and on the diagonal within one; each edge
    /// once, in whichever direction it is stored.
    pub contacts: Array2<u64>,
    /// `(n_groups)`: edges to spots without a label.
    pub unlabelled: Array1<u64>,
    /// `(n_groups, n_groups)`: the share of the row's boundary that faces the column's domain. The boundary is what leads
    /// to other domains; 0 on the diagonal, NaN for a domain that borders on none.
    pub boundary_shares: Array2<f64>,
}

/// Contacts between domains, edge by edge.
///
/// # Inputs
/// `graph`: `(n_obs, n_obs)`, directed or not; every stored entry off the diagonal is an edge, whatever its weight.
/// # Returns
/// [`DomainAdjacency`].
/// # Errors
/// `ShapeMismatch`; `LabelCount`, `LabelOutOfRange`, `TooManyGroups`.
/// # Cost
/// O(edges + n_groups²) time; 4 bytes per spot, and 24 per edge where the graph is directed.
///
/// # Example
///
/// ```
/// use brodmann::stats::{Labels, domain_adjacency};
/// use brodmann_kernels::CsrMatrix;
/// use ndarray::array;
///
/// // Four spots in a row, the first two of one domain; edges stored in one direction.
/// let path = CsrMatrix::from_rows(4, &[vec![(1, 1.0)], vec![(2, 1.0)], vec![(3, 1.0)], vec![]]);
/// let labels = Labels { codes: &[Some(0), Some(0), Some(1), Some(2)], n_groups: 3 };
/// let found = domain_adjacency(path.view(), labels)?;
/// assert_eq!(found.contacts, array![[1, 1, 0], [1, 0, 1], [0, 1, 0]]);
/// assert_eq!(found.boundary_shares.row(1).to_vec(), [0.5, 0.0, 0.5]);
/// # Ok::<(), brodmann::stats::StatsError>(())
/// ```
pub fn domain_adjacency(graph: CsrView<'_, f64>, labels: Labels<'_>) -> Result<DomainAdjacency, StatsError> {
    let n_obs = labels.codes.len();
    let codes = labels.checked(n_obs, MAX_GROUPS)?;
    let edges = Undirected::new(graph, n_obs)?;
    let k = labels.n_groups;
    let mut contacts = Array2::<u64>::zeros((k, k));
    let mut unlabelled = Array1::<u64>::zeros(k);
    for (i, &a) in codes.iter().enumerate().filter(|(_, a)| **a != NONE) {
        for j in edges.of(i) {
            match codes[j as usize] {
                NONE => unlabelled[a as usize] += 1,
                // Met from both ends, and within a domain counted at one.
                b if a != b || (j as usize) < i => contacts[[a as usize, b as usize]] += 1,
                _ => {}
            }
        }
    }
    let mut boundary_shares = contacts.mapv(|count| count as f64);
    boundary_shares.diag_mut().fill(0.0);
    for mut row in boundary_shares.rows_mut() {
        let boundary = row.sum();
        row.mapv_inplace(|count| count / boundary);
    }
    Ok(DomainAdjacency { contacts, unlabelled, boundary_shares })
}

/// A graph without directions.
pub(super) struct Undirected<'a> {
    indptr: Cow<'a, [usize]>,
    indices: Cow<'a, [u32]>,
}

impl<'a> Undirected<'a> {
    /// Borrows a graph whose every entry has its mirror image, or completes it.
    pub(super) fn new(graph: CsrView<'a, f64>, n_obs: usize) -> Result<Self, StatsError> {
        let (rows, columns) = (graph.n_rows(), graph.n_cols());
        if rows != n_obs || columns != n_obs {
            return Err(StatsError::ShapeMismatch { rows, columns, n_obs });
        }
        let is_mirrored = |i: usize| {
            let mirror = |&j: &u32| graph.row(j as usize).0.binary_search(&(i as u32)).is_ok();
            graph.row(i).0.iter().all(mirror)
        };
        if (0..n_obs).into_par_iter().with_min_len(4096).all(is_mirrored) {
            return Ok(Self {
                indptr: Cow::Borrowed(graph.indptr()),
                indices: Cow::Borrowed(graph.indices()),
            });
        }
        let (indptr, indices, _) = CsrMatrix::into_parts(union_symmetric(graph));
        Ok(Self { indptr: Cow::Owned(indptr), indices: Cow::Owned(indices) })
    }

    /// The neighbours of spot `i`, rising, itself not among them.
    pub(super) fn of(&self, i: usize) -> impl Iterator<Item = u32> {
        let row = &self.indices[self.indptr[i]..self.indptr[i + 1]];
        row.iter().copied().filter(move |&j| j as usize != i)
    }
}

#[cfg(test)]
mod tests {
    use brodmann_kernels::Seed;

    use super::*;

    fn random_graph(n: usize, salt: u64) -> CsrMatrix<f64> {
        let dense = Array2::from_shape_fn((n, n), |(i, j)| {
            f64::from(u8::from(Seed(salt).word((i * n + j) as u64).is_multiple_of(7)))
        });
        CsrMatrix::from_dense(dense.view())
    }

    #[test]
    fn contacts_are_those_of_the_undirected_graph() {
        let n = 60;
        let graph = random_graph(n, 1);
        let codes: Vec<Option<u32>> = (0..n).map(|i| (i % 9 > 0).then_some(i as u32 % 4)).collect();
        let labels = Labels { codes: &codes, n_groups: 5 };
        let found = domain_adjacency(graph.view(), labels).expect("valid");
        let (mut contacts, mut unlabelled) = (Array2::<u64>::zeros((5, 5)), Array1::<u64>::zeros(5));
        for i in 0..n {
            for j in 0..i {
                if graph.view().get(i, j).is_some() || graph.view().get(j, i).is_some() {
                    match (codes[i], codes[j]) {
                        (Some(a), Some(b)) => {
                            contacts[[a as usize, b as usize]] += 1;
                            if a != b {
                                contacts[[b as usize, a as usize]] += 1;
                            }
                        }
                        (Some(a), None) | (None, Some(a)) => unlabelled[a as usize] += 1,
                        (None, None) => {}
                    }
                }
            }
        }
        assert_eq!((&found.contacts, &found.unlabelled), (&contacts, &unlabelled));
        let both = union_symmetric(graph.view());
        assert_eq!(domain_adjacency(both.view(), labels).expect("valid").contacts, contacts);
        for (a, row) in found.boundary_shares.rows().into_iter().enumerate() {
            // The last group has no spot, hence no boundary.
            assert!(if a < 4 { (row.sum() - 1.0).abs() < 1e-12 } else { row.iter().all(|v| v.is_nan()) });
        }
    }

    #[test]
    fn another_graph_is_refused() {
        let graph = random_graph(4, 2);
        let labels = Labels { codes: &[Some(0); 3], n_groups: 1 };
        let refused = domain_adjacency(graph.view(), labels);
        assert_eq!(refused, Err(StatsError::ShapeMismatch { rows: 4, columns: 4, n_obs: 3 }));
    }
}
