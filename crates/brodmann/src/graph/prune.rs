//! Edges that are too short or too long, taken out of a spatial graph.

use brodmann_kernels::diagnosis::OptionError;
use brodmann_kernels::{CsrMatrix, Slices};

use super::error::GraphError;
use super::slices::grouped;
use super::spatial_neighbors::SpatialGraph;

/// Keeps the edges of lengths from `shortest` to `longest`, both included.
///
/// # Errors
/// `Option` unless `0 ≤ shortest ≤ longest`, both finite.
pub fn keep_lengths(graph: &mut SpatialGraph, [shortest, longest]: [f64; 2]) -> Result<(), GraphError> {
    check_lengths([shortest, longest])?;
    keep(graph, |_, length| (shortest..=longest).contains(&length));
    Ok(())
}

pub(super) fn check_lengths([shortest, longest]: [f64; 2]) -> Result<(), GraphError> {
    if !(shortest >= 0.0 && longest >= shortest && longest.is_finite()) {
        return Err(OptionError::new(
            "lengths",
            format!("{shortest} to {longest}"),
            "two finite numbers of 0 or more, the smaller first",
        )
        .into());
    }
    Ok(())
}

/// Drops the edges longer than a percentile of the distances in their slice.
///
/// Each spot's distance to itself, 0, is among them.
///
/// # Inputs
/// `slices`: one code per spot. `percentile`: 0 to 100.
/// # Errors
/// `Option` for a percentile out of range; `SliceLength`.
/// # Cost
/// O(nnz log nnz) time, O(nnz) memory.
/// # Source
/// squidpy's `gr.spatial_neighbors(percentile=…)`, whose matrix stores those zeros; linear between two distances.
pub fn keep_percentile(
    graph: &mut SpatialGraph,
    slices: Option<&Slices>,
    percentile: f64,
) -> Result<(), GraphError> {
    check_percentile(percentile)?;
    let lengths = graph.distances.view();
    let mut limit = vec![0.0; lengths.n_rows()];
    for rows in grouped(lengths.n_rows(), slices)?.rows() {
        let own = rows.iter().map(|_| 0.0);
        let all = rows.iter().flat_map(|&i| lengths.row(i as usize).1.iter().copied()).chain(own).collect();
        let longest = quantile(all, percentile / 100.0);
        for &i in rows {
            limit[i as usize] = longest;
        }
    }
    keep(graph, |i, length| length <= limit[i]);
    Ok(())
}

pub(super) fn check_percentile(percentile: f64) -> Result<(), GraphError> {
    if !(0.0..=100.0).contains(&percentile) {
        return Err(OptionError::new("percentile", percentile, "a number from 0 to 100").into());
    }
    Ok(())
}

/// Linear between the two nearest values, as numpy rounds it; `values` is not empty.
fn quantile(mut values: Vec<f64>, share: f64) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    let last = values.len() - 1;
    let at = last as f64 * share;
    let below = (at as usize).min(last);
    let (low, high) = (values[below], values[(below + 1).min(last)]);
    let t = at - below as f64;
    if t < 0.5 { low + (high - low) * t } else { high - (high - low) * (1.0 - t) }
}

/// Keeps the entries, of both matrices, for whose row and length `wanted` holds.
fn keep(graph: &mut SpatialGraph, wanted: impl Fn(usize, f64) -> bool) {
    let take = |matrix: &mut CsrMatrix<f64>| std::mem::replace(matrix, CsrMatrix::with_capacity(0, 0, 0));
    let distances = take(&mut graph.distances);
    let lengths = distances.view();
    graph.connectivities = take(&mut graph.connectivities)
        .retain(|i, j, _| lengths.get(i, j).is_some_and(|length| wanted(i, length)));
    graph.distances = distances.retain(|i, _, length| wanted(i, length));
}
