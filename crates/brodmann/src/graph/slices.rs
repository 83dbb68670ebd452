//! Coordinates in, block-diagonal graphs out: no edge crosses a slice.

use std::fmt::{self, Display, Formatter};

use brodmann_kernels::{CsrMatrix, CsrView, ParallelLoop, SliceLength, Slices};
use ndarray::ArrayView2;
use rayon::prelude::*;

use super::error::GraphError;

/// Rows merged together; fixed.
const MERGE_CHUNK: usize = 4096;

/// Finite coordinates of known dimension.
pub(crate) enum Points {
    /// x, y.
    Plane(Vec<[f64; 2]>),
    /// x, y, z.
    Space(Vec<[f64; 3]>),
}

/// The graph of one slice, its observations numbered from 0, with what the user should know about it.
pub(crate) struct SliceGraph {
    pub(crate) distances: CsrMatrix<f64>,
    pub(crate) notes: Vec<GraphNote>,
}

/// What the user should know about a spatial graph: too few spots, duplicates, isolated spots.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GraphNote {
    /// The code of the slice it is about, where there are several.
    pub slice: Option<u32>,
    /// What it says.
    pub text: String,
}

impl From<String> for GraphNote {
    fn from(text: String) -> Self {
        Self { slice: None, text }
    }
}

impl Display for GraphNote {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.slice {
            Some(code) => write!(f, "slice {code}: {}", self.text),
            None => f.write_str(&self.text),
        }
    }
}

/// Squares of larger values, summed over columns, could overflow.
const LARGEST: f64 = 1e150;

/// Refuses NaN, infinity, and values whose squared differences overflow.
pub(crate) fn check_finite(what: &'static str, values: ArrayView2<'_, f64>) -> Result<(), GraphError> {
    let mut largest = 0.0f64;
    for ((row, column), &value) in values.indexed_iter() {
        if !value.is_finite() {
            return Err(GraphError::NonFinite { what, row, column, value });
        }
        largest = largest.max(value.abs());
    }
    if largest > LARGEST {
        return Err(GraphError::TooLarge { what, largest, limit: LARGEST });
    }
    Ok(())
}

impl Points {
    pub(crate) fn try_new(coordinates: ArrayView2<'_, f64>) -> Result<Self, GraphError> {
        if coordinates.nrows() > u32::MAX as usize {
            return Err(GraphError::TooManyObs { found: coordinates.nrows() });
        }
        check_finite("the coordinates", coordinates)?;
        // `+ 0.0` turns −0 into 0, so that equal places are equal bits.
        match coordinates.ncols() {
            2 => Ok(Self::Plane(coordinates.rows().into_iter().map(|r| [r[0] + 0.0, r[1] + 0.0]).collect())),
            3 => Ok(Self::Space(
                coordinates.rows().into_iter().map(|r| [r[0] + 0.0, r[1] + 0.0, r[2] + 0.0]).collect(),
            )),
            found => Err(GraphError::CoordinateColumns { found }),
        }
    }

    pub(crate) fn plane(
        coordinates: ArrayView2<'_, f64>,
        kind: &'static str,
    ) -> Result<Vec<[f64; 2]>, GraphError> {
        match Self::try_new(coordinates)? {
            Self::Plane(points) => Ok(points),
            Self::Space(_) => Err(GraphError::NotPlanar { kind }),
        }
    }
}

/// The slices of the observations, checked against their number.
pub(crate) fn grouped(n_obs: usize, slices: Option<&Slices>) -> Result<Slices, GraphError> {
    Slices::or_one(slices, n_obs)
        .map_err(|SliceLength { found, expected }| GraphError::SliceLength { found, expected })
}

/// Builds each slice's graph on its own and sets them on the diagonal.
pub(crate) fn by_slice<const D: usize>(
    points: &[[f64; D]],
    slices: Option<&Slices>,
    build: impl Fn(&[[f64; D]]) -> Result<SliceGraph, GraphError>,
) -> Result<SliceGraph, GraphError> {
    let groups = grouped(points.len(), slices)?;
    if groups.count() == 1 {
        return build(points);
    }
    let mut notes = Vec::new();
    let mut parts = Vec::with_capacity(groups.count());
    for (slice, group) in groups.rows().iter().enumerate() {
        let local: Vec<[f64; D]> = group.iter().map(|&i| points[i as usize]).collect();
        let part = build(&local)?;
        let code = groups.codes()[slice];
        notes.extend(part.notes.into_iter().map(|note| GraphNote { slice: Some(code), ..note }));
        parts.push(part.distances);
    }
    Ok(SliceGraph { distances: block_diagonal(points.len(), groups.rows(), &parts), notes })
}

/// Sets graphs of disjoint groups of observations into one graph.
fn block_diagonal(n_obs: usize, groups: &[Vec<u32>], parts: &[CsrMatrix<f64>]) -> CsrMatrix<f64> {
    // Where each observation's row is: (part, row in part).
    let mut place = vec![(0u32, 0u32); n_obs];
    for (part, group) in groups.iter().enumerate() {
        for (row, &i) in group.iter().enumerate() {
            place[i as usize] = (part as u32, row as u32);
        }
    }
    let nnz = parts.iter().map(CsrMatrix::nnz).sum();
    let mut indptr = Vec::with_capacity(n_obs + 1);
    let (mut indices, mut data) = (Vec::with_capacity(nnz), Vec::with_capacity(nnz));
    indptr.push(0);
    for &(part, row) in &place {
        let (columns, values) = parts[part as usize].view().row(row as usize);
        // Members rise within a group, so mapped columns rise too.
        indices.extend(columns.iter().map(|&c| groups[part as usize][c as usize]));
        data.extend_from_slice(values);
        indptr.push(indices.len());
    }
    assemble(n_obs, indptr, indices, data)
}

/// A square matrix from arrays this module made: rows sorted, columns in range.
pub(crate) fn assemble(
    n_obs: usize,
    indptr: Vec<usize>,
    indices: Vec<u32>,
    data: Vec<f64>,
) -> CsrMatrix<f64> {
    CsrMatrix::try_new(n_obs, n_obs, indptr, indices, data)
        .expect("indptr rises to nnz and columns are observation numbers by construction")
}

/// The union of a graph and its transpose; where both hold an entry, the smaller distance.
pub(crate) fn union_symmetric(graph: CsrView<'_, f64>) -> CsrMatrix<f64> {
    with_transpose(graph, |own, mirrored| match (own, mirrored) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (one, other) => one.or(other),
    })
}

/// Combines each entry of a square graph with the one mirrored at the diagonal; `None` leaves the place empty.
pub(crate) fn with_transpose(
    graph: CsrView<'_, f64>,
    combine: impl Fn(Option<f64>, Option<f64>) -> Option<f64> + Sync,
) -> CsrMatrix<f64> {
    let n_obs = graph.n_rows();
    let transposed = graph.transpose();
    let chunks: Vec<(Vec<usize>, Vec<u32>, Vec<f64>)> = (0..n_obs.div_ceil(MERGE_CHUNK))
        .into_par_iter()
        .map(|chunk| {
            let (mut ends, mut indices, mut data) = (Vec::new(), Vec::new(), Vec::new());
            for i in chunk * MERGE_CHUNK..n_obs.min((chunk + 1) * MERGE_CHUNK) {
                merge_rows(graph.row(i), transposed.view().row(i), |column, own, mirrored| {
                    if let Some(value) = combine(own, mirrored) {
                        indices.push(column);
                        data.push(value);
                    }
                });
                ends.push(indices.len());
            }
            (ends, indices, data)
        })
        .collect_vec();
    drop(transposed);
    let nnz = chunks.iter().map(|chunk| chunk.1.len()).sum();
    let mut indptr = Vec::with_capacity(n_obs + 1);
    let (mut indices, mut data) = (Vec::with_capacity(nnz), Vec::with_capacity(nnz));
    indptr.push(0);
    for (ends, chunk_indices, chunk_data) in chunks {
        let start = indices.len();
        indptr.extend(ends.into_iter().map(|end| start + end));
        indices.extend(chunk_indices);
        data.extend(chunk_data);
    }
    assemble(n_obs, indptr, indices, data)
}

/// Walks two sorted rows together.
pub(crate) fn merge_rows(
    (left, left_values): (&[u32], &[f64]),
    (right, right_values): (&[u32], &[f64]),
    mut visit: impl FnMut(u32, Option<f64>, Option<f64>),
) {
    let (mut a, mut b) = (0, 0);
    while a < left.len() || b < right.len() {
        let left_column = left.get(a).copied().unwrap_or(u32::MAX);
        let right_column = right.get(b).copied().unwrap_or(u32::MAX);
        let column = left_column.min(right_column);
        let mut value = (None, None);
        if a < left.len() && left_column == column {
            value.0 = Some(left_values[a]);
            a += 1;
        }
        if b < right.len() && right_column == column {
            value.1 = Some(right_values[b]);
            b += 1;
        }
        visit(column, value.0, value.1);
    }
}
