//! The normalised graph of a view: some edges dropped, then `Â = D^-½ (A + I) D^-½`.

use brodmann_kernels::{CsrMatrix, CsrView, OptionError, ParallelLoop, Real, Seed};
use rayon::prelude::*;

use super::super::error::StaigError;
use super::super::loss::pairs::check_undirected;
use super::edge_probability::EdgeDrop;
use super::feature_mask::{is_dropped, threshold};

/// Rows written by one task.
const ROWS: usize = 1024;
/// Graphs drawn at most for one view.
pub const MAX_RESAMPLES: usize = 10;

/// Draws the graph of a view.
#[derive(Clone, Debug)]
pub struct GraphAugmenter {
    indptr: Vec<usize>,
    indices: Vec<u32>,
    /// For each entry, of both directions alike, the probability of dropping its edge as a share of 2³².
    thresholds: Vec<u32>,
    /// The number each observation draws by, where that is not its own: of a part, the number in the whole.
    numbers: Option<Vec<u32>>,
    resamples: usize,
}

/// The normalised graph of a view, with the buffers to draw it anew.
#[derive(Clone, Debug)]
pub struct GraphView<T> {
    matrix: CsrMatrix<T>,
    /// Whether each entry of the full graph is in this view.
    kept: Vec<bool>,
    /// Root of the inverse degree, the spot itself included.
    scale: Vec<f64>,
}

impl<T: Real> GraphView<T> {
    /// `Â`: symmetric, with a full diagonal.
    pub fn adjacency(&self) -> &CsrMatrix<T> {
        &self.matrix
    }
}

impl GraphAugmenter {
    /// Checks the graph and lays the probabilities beside its entries.
    ///
    /// # Inputs
    /// `graph`: undirected, no diagonal, edges are its stored entries whatever their value. `resamples`: 1
    /// to 10; above 1, an edge is kept when at least half of so many draws keep it.
    /// # Errors
    /// `Option`; `GraphShape`, `SelfNeighbor`, `NotSymmetric`; `RowCount` when the probabilities
    /// are another graph's.
    /// # Cost
    /// O(nnz log k), with k neighbours per spot.
    pub fn new(graph: CsrView<'_, f64>, drop: &EdgeDrop, resamples: usize) -> Result<Self, StaigError> {
        if !(1..=MAX_RESAMPLES).contains(&resamples) {
            return Err(OptionError::new("resamples", resamples, "1 to 10").into());
        }
        check_undirected(graph)?;
        let invalid =
            |p: f64| StaigError::from(OptionError::new("edge_rule", p, "a probability from 0 to 1"));
        let valid = |p: f64| if (0.0..=1.0).contains(&p) { Ok(threshold(p)) } else { Err(invalid(p)) };
        let thresholds = match drop {
            EdgeDrop::Fixed(p) => vec![valid(*p)?; graph.nnz()],
            EdgeDrop::PerEdge(probabilities) => {
                if probabilities.n_rows() != graph.n_rows() {
                    return Err(StaigError::RowCount {
                        what: "the table of edge probabilities",
                        found: probabilities.n_rows(),
                        expected: graph.n_rows(),
                    });
                }
                let mut thresholds = Vec::with_capacity(graph.nnz());
                for i in 0..graph.n_rows() {
                    for &j in graph.row(i).0 {
                        let j = j as usize;
                        let p = probabilities.view().get(i.min(j), i.max(j));
                        thresholds
                            .push(valid(p.ok_or(StaigError::MissingProbability { row: i, column: j })?)?);
                    }
                }
                thresholds
            }
        };
        let (indptr, indices) = (graph.indptr().to_vec(), graph.indices().to_vec());
        Ok(Self { indptr, indices, thresholds, numbers: None, resamples })
    }

    /// The part on some observations, which draws of its edges what the whole draws of them.
    ///
    /// # Inputs
    /// `members`: the observations of the part, rising, with all their neighbours. `places`: for each observation of
    /// the whole its place in its part.
    pub(in super::super) fn part(&self, members: &[u32], places: &[u32]) -> Self {
        let mut part = Self { indptr: vec![0], numbers: Some(members.to_vec()), ..Self::empty() };
        part.resamples = self.resamples;
        for &i in members {
            let entries = self.indptr[i as usize]..self.indptr[i as usize + 1];
            part.indices.extend(self.indices[entries.clone()].iter().map(|&j| places[j as usize]));
            part.thresholds.extend_from_slice(&self.thresholds[entries]);
            part.indptr.push(part.indices.len());
        }
        part
    }

    /// Number of observations.
    pub(in super::super) fn n_obs(&self) -> usize {
        self.indptr.len() - 1
    }

    /// Neighbours of an observation, rising.
    pub(in super::super) fn neighbors(&self, i: usize) -> &[u32] {
        &self.indices[self.indptr[i]..self.indptr[i + 1]]
    }

    /// The same graph, whose observations draw by other numbers: those of the whole that it is a part of.
    #[must_use]
    pub(in super::super) fn numbered(self, numbers: Vec<u32>) -> Self {
        Self { numbers: Some(numbers), ..self }
    }

    /// Of a graph without observations.
    pub(in super::super) fn empty() -> Self {
        Self { indptr: vec![0], indices: Vec::new(), thresholds: Vec::new(), numbers: None, resamples: 1 }
    }

    /// A view with every edge, large enough for any draw.
    pub fn full_view<T: Real>(&self) -> GraphView<T> {
        let n = self.n_obs();
        let mut view = GraphView {
            matrix: CsrMatrix::from_rows(0, &[]),
            kept: vec![true; self.indices.len()],
            scale: vec![0.0; n],
        };
        self.measure(&mut view.scale, &mut view.kept, |_, _, _| true);
        self.write(&mut view);
        view
    }

    /// Draws one view of one epoch into `view`, without allocating.
    ///
    /// # Cost
    /// O(nnz · resamples).
    pub fn draw<T: Real>(&self, seed: Seed, epoch: u64, view_index: u64, view: &mut GraphView<T>) {
        let base = seed.derive("staig/augment/edges", 2 * epoch + view_index);
        let mut draws = [base; MAX_RESAMPLES];
        for (k, draw) in draws.iter_mut().enumerate() {
            *draw = base.derive("resample", k as u64);
        }
        let draws = &draws[..self.resamples];
        let numbers = self.numbers.as_deref();
        let number = |i: u32| numbers.map_or(i, |numbers| numbers[i as usize]);
        self.measure(&mut view.scale, &mut view.kept, |i, j, threshold| {
            let (i, j) = (number(i), number(j));
            // The same word for both directions, whatever the order of the edges.
            let edge = (u64::from(i.min(j)) << 32) | u64::from(i.max(j));
            let n_kept = draws.iter().filter(|draw| !is_dropped(draw.word(edge), threshold)).count();
            2 * n_kept >= draws.len()
        });
        self.write(view);
    }

    /// Decides on each entry, and finds the scale of each spot.
    fn measure(&self, scale: &mut [f64], kept: &mut [bool], keep: impl Fn(u32, u32, u32) -> bool + Sync) {
        let mut parts: Vec<(usize, &mut [bool])> = Vec::new();
        let mut rest = kept;
        let n = scale.len();
        for first in (0..n).step_by(ROWS) {
            let last = n.min(first + ROWS);
            let (part, tail) = rest.split_at_mut(self.indptr[last] - self.indptr[first]);
            parts.push((first, part));
            rest = tail;
        }
        parts.into_par_iter().zip(scale.par_chunks_mut(ROWS)).each(|((first, kept), scale)| {
            let base = self.indptr[first];
            for (k, scale) in scale.iter_mut().enumerate() {
                let i = first + k;
                let mut degree = 1u32;
                for entry in self.indptr[i]..self.indptr[i + 1] {
                    let stays = keep(i as u32, self.indices[entry], self.thresholds[entry]);
                    kept[entry - base] = stays;
                    degree += u32::from(stays);
                }
                *scale = 1.0 / f64::from(degree).sqrt();
            }
        });
    }

    /// Writes the kept entries and the diagonal, with their values.
    fn write<T: Real>(&self, view: &mut GraphView<T>) {
        let n = view.scale.len();
        let old = std::mem::replace(&mut view.matrix, CsrMatrix::from_rows(0, &[]));
        let (mut indptr, mut indices, mut data) = old.into_parts();
        indptr.clear();
        indptr.reserve(n + 1);
        indptr.push(0);
        let mut end = 0;
        for i in 0..n {
            let range = self.indptr[i]..self.indptr[i + 1];
            end += 1 + view.kept[range].iter().filter(|&&k| k).count();
            indptr.push(end);
        }
        // The first draw takes room for every edge; later ones only change the length.
        let capacity = self.indices.len() + n;
        indices.reserve(capacity.saturating_sub(indices.len()));
        data.reserve(capacity.saturating_sub(data.len()));
        indices.resize(end, 0);
        data.resize(end, T::ZERO);

        let mut parts: Vec<(usize, &mut [u32], &mut [T])> = Vec::new();
        let (mut rest, mut values) = (indices.as_mut_slice(), data.as_mut_slice());
        for first in (0..n).step_by(ROWS) {
            let len = indptr[n.min(first + ROWS)] - indptr[first];
            let (part, tail) = rest.split_at_mut(len);
            let (value_part, value_tail) = values.split_at_mut(len);
            parts.push((first, part, value_part));
            (rest, values) = (tail, value_tail);
        }
        let (scale, kept) = (&view.scale, &view.kept);
        parts.into_par_iter().each(|(first, indices, values)| {
            let mut at = 0;
            let mut put = |i: usize, j: u32| {
                indices[at] = j;
                values[at] = T::from_f64(scale[i] * scale[j as usize]);
                at += 1;
            };
            for i in first..n.min(first + ROWS) {
                let mut diagonal_due = true;
                for entry in self.indptr[i]..self.indptr[i + 1] {
                    let j = self.indices[entry];
                    if diagonal_due && j as usize > i {
                        put(i, i as u32);
                        diagonal_due = false;
                    }
                    if kept[entry] {
                        put(i, j);
                    }
                }
                if diagonal_due {
                    put(i, i as u32);
                }
            }
        });
        view.matrix = CsrMatrix::try_new(n, n, indptr, indices, data)
            .expect("rows are sorted and in range by construction");
    }
}

/// `Â = D^-½ (A + I) D^-½` of the whole graph, its stored entries counting as edges of weight 1.
///
/// # Errors
/// `GraphShape`, `SelfNeighbor`, `NotSymmetric`.
/// # Cost
/// O(nnz log k), with k neighbours per spot.
/// # Source
/// Kipf & Welling 2017.
pub fn normalized_adjacency<T: Real>(graph: CsrView<'_, f64>) -> Result<CsrMatrix<T>, StaigError> {
    Ok(GraphAugmenter::new(graph, &EdgeDrop::Fixed(0.0), 1)?.full_view().matrix)
}
