//! Weights made comparable between spots: by degree, or as the likeness of neighbourhoods.

use std::str::FromStr;

use brodmann_kernels::diagnosis::OptionError;
use brodmann_kernels::{CsrMatrix, CsrView, ParallelLoop, Real};
use rayon::prelude::*;

use super::error::GraphError;

/// What becomes of the weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transform {
    /// `w_ij / √(d_i d_j)`, `d` the column sums.
    Spectral,
    /// Cosine similarity of every two rows; spots that share no neighbour get no edge.
    Cosine,
}

impl Transform {
    /// Its name in options and files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Spectral => "spectral",
            Self::Cosine => "cosine",
        }
    }
}

impl FromStr for Transform {
    type Err = GraphError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        [Self::Spectral, Self::Cosine]
            .into_iter()
            .find(|t| t.name() == text)
            .ok_or_else(|| OptionError::new("transform", format!("{text:?}"), "spectral or cosine").into())
    }
}

/// The weights of `graph` transformed.
///
/// # Inputs
/// `graph`: square, weights of 0 or more; a diagonal counts like any other entry.
/// # Returns
/// `Spectral`: the same pattern. `Cosine`: an entry wherever two rows share a column, symmetric up to rounding.
/// # Cost
/// `Spectral`: O(nnz). `Cosine`: O(Σ_ij nnz of row j), the size of `A Aᵀ`.
/// # Differences
/// squidpy leaves NaN where no edge points to a spot; here its weights are 0, so a graph stays fit for use.
/// # Source
/// squidpy's `gr.spatial_neighbors(transform=…)`. Arithmetic is that of `T` throughout.
pub fn transform<T: Real>(graph: CsrView<'_, T>, kind: Transform) -> CsrMatrix<T> {
    match kind {
        Transform::Spectral => spectral(graph),
        Transform::Cosine => cosine(graph),
    }
}

fn spectral<T: Real>(graph: CsrView<'_, T>) -> CsrMatrix<T> {
    let mut degrees = vec![T::default(); graph.n_cols()];
    for (&j, &w) in graph.indices().iter().zip(graph.data()) {
        degrees[j as usize] += w;
    }
    let scale: Vec<T> = degrees
        .into_iter()
        .map(|d| if d > T::default() { T::ONE / d.sqrt() } else { T::default() })
        .collect();
    let mut scaled = graph.to_owned();
    scaled.for_each_row_mut(|i, columns, values| {
        for (&j, w) in columns.iter().zip(values) {
            *w = scale[i] * *w * scale[j as usize];
        }
    });
    scaled
}

fn cosine<T: Real>(graph: CsrView<'_, T>) -> CsrMatrix<T> {
    let mut unit = graph.to_owned();
    unit.for_each_row_mut(|_, _, values| {
        let squares = values.iter().fold(T::default(), |sum, &w| sum + w * w);
        // A row of zeros has no direction and stays as it is.
        let inverse = if squares > T::default() { T::ONE / squares.sqrt() } else { T::ONE };
        for w in values {
            *w = inverse * *w;
        }
    });
    let (unit, columns) = (unit.view(), unit.view().transpose());
    let columns = columns.view();
    let n = unit.n_rows();
    let rows: Vec<Vec<(u32, T)>> = (0..n)
        .into_par_iter()
        .map_init(
            || (vec![T::default(); n], Vec::<u32>::new(), vec![false; n]),
            |(sums, touched, seen), i| {
                let (neighbors, weights) = unit.row(i);
                for (&k, &a) in neighbors.iter().zip(weights) {
                    let (sharers, theirs) = columns.row(k as usize);
                    for (&j, &b) in sharers.iter().zip(theirs) {
                        if !std::mem::replace(&mut seen[j as usize], true) {
                            touched.push(j);
                        }
                        sums[j as usize] += a * b;
                    }
                }
                touched.sort_unstable();
                let row = touched.iter().map(|&j| (j, sums[j as usize])).collect();
                for j in touched.drain(..) {
                    sums[j as usize] = T::default();
                    seen[j as usize] = false;
                }
                row
            },
        )
        .collect_vec();
    CsrMatrix::from_rows(n, &rows)
}

/// The graph with a diagonal of ones; one that it has gives way.
///
/// # Inputs
/// `graph`: square.
/// # Cost
/// O(nnz).
pub fn with_loops<T: Real>(graph: CsrView<'_, T>) -> CsrMatrix<T> {
    let n = graph.n_rows();
    let rows: Vec<Vec<(u32, T)>> = (0..n)
        .into_par_iter()
        .map(|i| {
            let (columns, values) = graph.row(i);
            let entries = columns.iter().copied().zip(values.iter().copied());
            let (before, after): (Vec<_>, Vec<_>) =
                entries.filter(|e| e.0 as usize != i).partition(|e| (e.0 as usize) < i);
            [before, vec![(i as u32, T::ONE)], after].concat()
        })
        .collect_vec();
    CsrMatrix::from_rows(n, &rows)
}
