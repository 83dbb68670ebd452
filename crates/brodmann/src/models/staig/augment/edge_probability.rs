//! How likely each edge is dropped.

use brodmann_kernels::{CsrMatrix, CsrView};
use ndarray::{ArrayView1, ArrayView2};

use super::super::error::StaigError;

/// The probability with which edges are dropped.
#[derive(Clone, Debug, PartialEq)]
pub enum EdgeDrop {
    /// The same for all.
    Fixed(f64),
    /// One per stored entry of the graph; of an edge `i < j` the entry `(i, j)` is read, `(j, i)` is not.
    PerEdge(CsrMatrix<f64>),
}

impl Default for EdgeDrop {
    fn default() -> Self {
        Self::Fixed(0.2)
    }
}

/// Probabilities from image features: `p(i,j) = wᵢⱼ / Σⱼ wᵢⱼ` over the neighbours of `i`, with `w` the Euclidean
/// distance: the softmax of `log w`.
///
/// # Inputs
/// `graph`: `(n, n)`, edges are its stored entries. `features`: `(n, k)`, the image in principal components.
/// # Returns
/// The pattern of `graph`; rows sum to 1 and differ from their mirror images.
/// # Errors
/// `GraphShape`, `RowCount`, `NonFinite`.
/// # Cost
/// O(nnz · k).
/// # Source
/// Yang et al. 2025. Neighbours that are all identical share alike, where the formula says 0/0.
pub fn image_drop_probabilities(
    graph: CsrView<'_, f64>,
    features: ArrayView2<'_, f64>,
) -> Result<CsrMatrix<f64>, StaigError> {
    check(graph, features, "the image features")?;
    Ok(per_row(
        graph,
        features,
        |a, b| squared_distance(a, b).sqrt(),
        |row| {
            let total: f64 = row.iter().sum();
            let n = row.len() as f64;
            for w in row {
                *w = if total > 0.0 { *w / total } else { 1.0 / n };
            }
        },
    ))
}

/// Probabilities from expression: the softmax, over the neighbours of `i`, of the cosine distance.
///
/// # Inputs
/// `graph`: `(n, n)`, edges are its stored entries. `components`: `(n, k)`, principal components of the genes.
/// # Returns
/// The pattern of `graph`; rows sum to 1 and differ from their mirror images.
/// # Errors
/// `GraphShape`, `RowCount`, `NonFinite`.
/// # Cost
/// O(nnz · k).
/// # Source
/// Yang et al. 2025. A spot whose components are all zero is at distance 1 from every other.
pub fn expression_drop_probabilities(
    graph: CsrView<'_, f64>,
    components: ArrayView2<'_, f64>,
) -> Result<CsrMatrix<f64>, StaigError> {
    check(graph, components, "the expression components")?;
    Ok(per_row(graph, components, cosine_distance, |row| {
        let largest = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let mut total = 0.0;
        for w in row.iter_mut() {
            *w = (*w - largest).exp();
            total += *w;
        }
        for w in row {
            *w /= total;
        }
    }))
}

fn check(
    graph: CsrView<'_, f64>,
    features: ArrayView2<'_, f64>,
    what: &'static str,
) -> Result<(), StaigError> {
    let n = graph.n_rows();
    if graph.n_cols() != n {
        return Err(StaigError::GraphShape { n_rows: n, n_cols: graph.n_cols() });
    }
    if features.nrows() != n {
        return Err(StaigError::RowCount { what, found: features.nrows(), expected: n });
    }
    match features.indexed_iter().find(|(_, v)| !v.is_finite()) {
        Some(((row, column), &value)) => Err(StaigError::NonFinite { what, row, column, value }),
        None => Ok(()),
    }
}

fn per_row(
    graph: CsrView<'_, f64>,
    features: ArrayView2<'_, f64>,
    distance: impl Fn(ArrayView1<'_, f64>, ArrayView1<'_, f64>) -> f64 + Sync,
    normalise: impl Fn(&mut [f64]) + Sync,
) -> CsrMatrix<f64> {
    let mut weights = graph.to_owned();
    weights.for_each_row_mut(|i, columns, values| {
        for (&j, w) in columns.iter().zip(values.iter_mut()) {
            *w = distance(features.row(i), features.row(j as usize));
        }
        normalise(values);
    });
    weights
}

fn squared_distance(a: ArrayView1<'_, f64>, b: ArrayView1<'_, f64>) -> f64 {
    a.iter().zip(b).map(|(x, y)| (x - y).powi(2)).sum()
}

fn cosine_distance(a: ArrayView1<'_, f64>, b: ArrayView1<'_, f64>) -> f64 {
    let norms = (a.dot(&a) * b.dot(&b)).sqrt();
    if norms > 0.0 { 1.0 - a.dot(&b) / norms } else { 1.0 }
}
