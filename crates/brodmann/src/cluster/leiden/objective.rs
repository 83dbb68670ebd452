//! All layers as one graph: the reason a move costs one row, however many layers there are.
//!
//! Every quality here is `Σ_c [Σ_{i,j ∈ c} Aᵢⱼ − null(c)]`, linear in `A`, so `Σ_l w_l Q_l` has one combined
//! adjacency `B = Σ_l w_l s_l (A_l + A_lᵀ) / 2` (`s_l` the layer's normalisation). The null models are squares
//! of community sums, `Σ_t σ_t (Σ_{i∈c} xᵢᵗ)²` with signs `σ = ±1`:
//!
//! * symmetric RB: `x = k √(γ w s / m)`, one term;
//! * directed RB: `K_out K_in = ((K_out + K_in)² − (K_out − K_in)²) / 4`, two terms of opposite sign;
//! * CPM and RBER: `x` constant, so *all* such layers share one term.
//!
//! Moving node `i` from `a` to `b` then changes the total by
//! `2 [(B(i,b) − yᵢ·X_b) − (B(i,a∖i) − yᵢ·(X_a − xᵢ))]` with `yᵗ = σ_t xᵗ`. Diagonals cancel and are dropped.

use brodmann_kernels::arch::prefetch::prefetch;
use brodmann_kernels::{CsrMatrix, CsrView};
use rayon::prelude::*;

use super::error::LeidenError;
use super::layer::{Layer, LayerSums, Quality, entry_weight, wide, with_view};

/// Most null-model terms a run can hold; a directed layer needs two, all CPM and RBER layers together one.
pub(crate) const MAX_TERMS: usize = 32;

/// Fewer entries than this per worker are not worth a fork.
const MIN_WORKER_ENTRIES: usize = 1 << 16;

/// Rows are asked for up to here; of longer ones the hardware guesses the rest.
const PREFETCH_ENTRIES: usize = 96;

/// A symmetric weighted graph without diagonal, rows unsorted, no zeros.
#[derive(Clone, Debug)]
pub(crate) struct Edges {
    pub indptr: Vec<usize>,
    pub indices: Vec<u32>,
    pub weights: Vec<f64>,
}

impl Edges {
    /// No rows yet, room for some.
    pub fn with_capacity(n_rows: usize, n_entries: usize) -> Self {
        let mut indptr = Vec::with_capacity(n_rows + 1);
        indptr.push(0);
        Self { indptr, indices: Vec::with_capacity(n_entries), weights: Vec::with_capacity(n_entries) }
    }

    /// The rows of all parts, in order. The first part grows by the others, so that one part is not copied at
    /// all and of many only the rest is held twice.
    pub fn concatenate(parts: Vec<Self>) -> Self {
        let mut parts = parts.into_iter();
        let mut all = parts.next().unwrap_or_else(|| Self::with_capacity(0, 0));
        for part in parts {
            let base = all.indices.len();
            all.indptr.extend(part.indptr[1..].iter().map(|end| base + end));
            all.indices.extend_from_slice(&part.indices);
            all.weights.extend_from_slice(&part.weights);
        }
        all.indices.shrink_to_fit();
        all.weights.shrink_to_fit();
        all
    }

    pub fn n_nodes(&self) -> usize {
        self.indptr.len() - 1
    }

    #[inline]
    pub fn row(&self, i: usize) -> (&[u32], &[f64]) {
        let range = self.indptr[i]..self.indptr[i + 1];
        (&self.indices[range.clone()], &self.weights[range])
    }

    /// Asks for the memory of row `i`, which soon will be read.
    #[inline(always)]
    pub fn prefetch_row(&self, i: usize) {
        let (start, end) = (self.indptr[i], self.indptr[i + 1].min(self.indptr[i] + PREFETCH_ENTRIES));
        // Cache lines of 64 bytes hold 16 columns or 8 weights.
        for at in (start..end).step_by(16) {
            prefetch(&self.indices, at);
        }
        for at in (start..end).step_by(8) {
            prefetch(&self.weights, at);
        }
    }

    /// Asks for `values[j]` of every neighbour `j` of `i`.
    #[inline(always)]
    pub fn prefetch_neighbours<V>(&self, i: usize, values: &[V]) {
        let (start, end) = (self.indptr[i], self.indptr[i + 1].min(self.indptr[i] + PREFETCH_ENTRIES));
        for &j in &self.indices[start..end] {
            prefetch(values, j as usize);
        }
    }

    /// The mean absolute weight, 1 without edges: the unit in which gains are compared.
    pub fn mean_weight(&self) -> f64 {
        let sum: f64 = self.weights.iter().map(|w| w.abs()).sum();
        if sum > 0.0 { sum / self.weights.len() as f64 } else { 1.0 }
    }
}

/// One null-model term: per-node shares and sign.
pub(crate) struct Term {
    pub sign: f64,
    pub shares: Shares,
}

/// The `x` of one term.
pub(crate) enum Shares {
    /// The same for every node.
    Constant(f64),
    /// One per node.
    PerNode(Vec<f64>),
}

/// `s_l`: what the layer's quality is divided by.
fn normalisation(layer: &Layer<'_>, sums: &LayerSums) -> f64 {
    if layer.quality == Quality::Modularity && sums.total > 0.0 { 1.0 / sums.total } else { 1.0 }
}

/// The null-model terms of all layers, at their present resolutions.
pub(crate) fn null_terms(layers: &[Layer<'_>], sums: &[LayerSums]) -> Result<Vec<Term>, LeidenError> {
    let n = sums[0].out.len() as f64;
    let mut size_coefficient = 0.0;
    let mut terms = Vec::new();
    for (layer, sum) in layers.iter().zip(sums) {
        if layer.weight == 0.0 || layer.graph.nnz() == 0 {
            continue;
        }
        let scale = layer.weight * normalisation(layer, sum) * layer.effective_resolution();
        match layer.quality {
            Quality::Cpm => size_coefficient += scale,
            Quality::Rber => {
                if n > 1.0 {
                    size_coefficient += scale * sum.total / (n * (n - 1.0));
                }
            }
            Quality::RbConfiguration | Quality::Modularity => {
                // total > 0: weights are non-negative here, and not all zero.
                let root = (scale / sum.total).sqrt();
                if let Some(into) = &sum.into {
                    let half = 0.5 * root;
                    let pairs = || sum.out.iter().zip(into);
                    let plus = pairs().map(|(o, i)| half * (o + i)).collect();
                    let minus = pairs().map(|(o, i)| half * (o - i)).collect();
                    terms.push(Term { sign: 1.0, shares: Shares::PerNode(plus) });
                    terms.push(Term { sign: -1.0, shares: Shares::PerNode(minus) });
                } else {
                    let shares = sum.out.iter().map(|k| root * k).collect();
                    terms.push(Term { sign: 1.0, shares: Shares::PerNode(shares) });
                }
            }
        }
    }
    if size_coefficient > 0.0 {
        terms.push(Term { sign: 1.0, shares: Shares::Constant(size_coefficient.sqrt()) });
    }
    if terms.len() > MAX_TERMS {
        return Err(LeidenError::TooManyLayers { found: layers.len(), limit: MAX_TERMS / 2 });
    }
    Ok(terms)
}

/// The node sizes of `terms`, padded with zero terms to `T`.
pub(crate) fn node_sizes<const T: usize>(n: usize, terms: &[Term]) -> (Vec<[f64; T]>, [f64; T]) {
    let mut sizes = vec![[0.0; T]; n];
    let mut signs = [1.0; T];
    for (t, term) in terms.iter().enumerate() {
        signs[t] = term.sign;
        match &term.shares {
            Shares::Constant(x) => sizes.iter_mut().for_each(|s| s[t] = *x),
            Shares::PerNode(x) => sizes.iter_mut().zip(x).for_each(|(s, &x)| s[t] = x),
        }
    }
    (sizes, signs)
}

/// `B`: rows of all layers merged, diagonal dropped.
pub(crate) fn union_edges(layers: &[Layer<'_>], sums: &[LayerSums]) -> Edges {
    let n = sums[0].out.len();
    let mut capacity = 0;
    let mut sources = Vec::new();
    for (layer, sum) in layers.iter().zip(sums) {
        if layer.weight == 0.0 {
            continue;
        }
        let scale = layer.weight * normalisation(layer, sum);
        capacity += layer.graph.nnz();
        if sum.into.is_some() {
            capacity += layer.graph.nnz();
            sources.push(Source { layer, transposed: None, scale: 0.5 * scale });
            let transposed = with_view!(layer.graph, g => scaled_transpose(layer, g));
            sources.push(Source { layer, transposed: Some(transposed), scale: 0.5 * scale });
        } else {
            sources.push(Source { layer, transposed: None, scale });
        }
    }
    let n_workers = rayon::current_num_threads().min(capacity / MIN_WORKER_ENTRIES).max(1);
    let per_worker = n.div_ceil(n_workers).max(1);
    let ranges: Vec<_> = (0..n).step_by(per_worker).map(|start| start..n.min(start + per_worker)).collect();
    let merge = |range: std::ops::Range<usize>| {
        // Room for all, touched only as far as used.
        let mut edges = Edges::with_capacity(range.len(), capacity / n_workers);
        let (mut merged, mut next, mut spare) = (Vec::new(), Vec::new(), Vec::new());
        for i in range {
            merged.clear();
            for source in &sources {
                next.clear();
                source.append_row(i, &mut next);
                if merged.is_empty() {
                    std::mem::swap(&mut merged, &mut next);
                } else {
                    merge_rows(&merged, &next, &mut spare);
                    std::mem::swap(&mut merged, &mut spare);
                }
            }
            for &(j, w) in &merged {
                if w != 0.0 {
                    edges.indices.push(j);
                    edges.weights.push(w);
                }
            }
            edges.indptr.push(edges.indices.len());
        }
        edges
    };
    let parts: Vec<Edges> = if ranges.len() > 1 {
        ranges.into_par_iter().map(merge).collect()
    } else {
        ranges.into_iter().map(merge).collect()
    };
    Edges::concatenate(parts)
}

/// One matrix that contributes rows to the union.
struct Source<'a, 'b> {
    layer: &'b Layer<'a>,
    /// Weights already read by [`entry_weight`]; `None`: the layer's own rows.
    transposed: Option<CsrMatrix<f64>>,
    scale: f64,
}

impl Source<'_, '_> {
    fn append_row(&self, i: usize, row: &mut Vec<(u32, f64)>) {
        if let Some(matrix) = &self.transposed {
            let (columns, values) = matrix.view().row(i);
            let entries = columns.iter().zip(values).filter(|(j, _)| **j as usize != i);
            row.extend(entries.map(|(&j, &w)| (j, self.scale * w)));
        } else {
            with_view!(self.layer.graph, g => {
                let (columns, values) = g.row(i);
                row.extend(columns.iter().zip(values).filter(|(j, _)| **j as usize != i).filter_map(|(&j, &v)| {
                    entry_weight(self.layer, i, j, wide(v)).map(|w| (j, self.scale * w))
                }));
            });
        }
    }
}

fn scaled_transpose<T: Copy + Send + Sync + Into<f64>>(
    layer: &Layer<'_>,
    graph: CsrView<'_, T>,
) -> CsrMatrix<f64> {
    let use_weights = layer.use_weights;
    let weights = graph.map(move |v| {
        let stored: f64 = v.into();
        if use_weights || stored == 0.0 { stored } else { 1.0 }
    });
    weights.view().transpose()
}

/// Merges two rows sorted by column into `out`, summing shared columns.
fn merge_rows(a: &[(u32, f64)], b: &[(u32, f64)], out: &mut Vec<(u32, f64)>) {
    out.clear();
    let (mut i, mut j) = (0, 0);
    while i < a.len() && j < b.len() {
        match a[i].0.cmp(&b[j].0) {
            std::cmp::Ordering::Less => {
                out.push(a[i]);
                i += 1;
            }
            std::cmp::Ordering::Greater => {
                out.push(b[j]);
                j += 1;
            }
            std::cmp::Ordering::Equal => {
                out.push((a[i].0, a[i].1 + b[j].1));
                i += 1;
                j += 1;
            }
        }
    }
    out.extend_from_slice(&a[i..]);
    out.extend_from_slice(&b[j..]);
}
